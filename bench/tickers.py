"""What do 10,000 ticker connections cost contributions, and how soon has the last of them heard of a win?

One server with its feed, and in each round none, a tenth and all of the readers: players' sockets of Connect that want
everything. Contributions go at their peak rate to one jackpot that is hardly ever won, so that readers are told of
updates. Then, without other load, contributions that win: from the answer, which comes after the commit, to the first
and the last of the readers. Worker, feed, readers and generator each have a core as far as there are cores; on two of
them the worker has one, and all others share the other one.
"""

import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from threading import Event, Thread
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import httpx
from msgspec import Struct
from msgspec.structs import replace

from bench.generator.driving import drive
from bench.generator.workload import BRANDS, OPERATOR, V2_PATH, Workload
from bench.reporting.command import DATA_ROOT, Options, refusing, write_json
from bench.reporting.render import show
from bench.reporting.report import Report, Table, number, ratio_goal
from bench.servers.programs import ProgramFailed
from bench.servers.subjects import Subject, jackpotd
from bench.telling import jackpots
from bench.telling.readers import Readers, ReadersFailed

READERS = 10_000
CONNECTIONS = 128
GOAL = 0.9
WINS = 5
OPEN_TIMEOUT_S = 180.0
HEARD_TIMEOUT_S = 30.0
SPARE_FILES = 500
HELLO = b'{"SubscribeRequest":{"events":[{"source":"thrillpots","event_type":"*"}]}}'
_MANY = "1000000"
ENVIRONMENT = {
    "JACKPOTD_EVENTS_ENABLED": "true",
    "JACKPOTD_EVENTS_SOCKETS_MAX": _MANY,
    "JACKPOTD_EVENTS_SOCKETS_PER_ADDRESS_MAX": _MANY,
}


class Places(Struct, frozen=True):
    """The cores of each."""

    worker: int
    feed: int
    readers: int
    generator: int

    @property
    def said(self) -> str:
        return (
            f"worker on core {self.worker}, feed on core {self.feed}, readers on core"
            f" {self.readers}, generator on core {self.generator}"
        )


def places() -> Places:
    """One core for each as far as there are cores; the worker's is the last to be shared."""
    allowed = sorted(os.sched_getaffinity(0))
    rest = allowed[1:] or allowed
    return Places(allowed[0], rest[0], rest[min(1, len(rest) - 1)], rest[-1])


class Side(Struct):
    """What was measured with so many readers."""

    rate: float
    worker_us: float
    feed_share: float
    told_each_s: float
    problems: list[str]


class Wins(Struct):
    """Seconds from each win's answer to the first and the last reader."""

    first_s: list[float]
    last_s: list[float]


class Crowd:
    """Readers in a thread of their own, on their core, and how many of them have heard of a win."""

    def __init__(self, url: str, core: int) -> None:
        parts = urlsplit(url)
        self._core = core
        self._enough = Event()
        self._thread: Thread | None = None
        self._error: ReadersFailed | None = None
        self.winners_heard = 0
        self.first_at = self.last_at = 0.0
        self.readers = Readers(parts.hostname or "127.0.0.1", parts.port or 80, self._hear)

    def open(self, count: int) -> None:
        """That many in all."""
        players = range(self.readers.count, count)
        self.readers.open([(_target(player), HELLO) for player in players], OPEN_TIMEOUT_S)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """They read inside the block."""
        self._enough.clear()
        thread = Thread(target=self._read)
        thread.start()
        try:
            yield
        finally:
            self._enough.set()
            thread.join()
        if self._error is not None:
            raise self._error

    def forget(self) -> None:
        self.winners_heard, self.first_at, self.last_at = 0, 0.0, 0.0

    def _read(self) -> None:
        os.sched_setaffinity(0, {self._core})  # of this thread
        try:
            while not self._enough.is_set():
                self.readers.read_for(0.05)
        except ReadersFailed as error:
            self._error = error

    def _hear(self, message: bytes) -> None:
        if b'"WinEvent"' in message[:200]:
            now = time.monotonic()
            self.first_at = self.first_at or now
            self.last_at = now
            self.winners_heard += 1


def _target(player: int) -> str:
    brand = BRANDS[player % len(BRANDS)]
    return f"/v1/events/{OPERATOR}/{brand}?token=token_{player:05d}&currency=EUR"


def measure(options: Options, readers_max: int) -> Report:
    """Rounds of all three, and the wins at the end of each round."""
    report, on = options.report("tickers", __doc__ or ""), places()
    counts = (0, max(1, readers_max // 10), readers_max)
    sides: dict[int, list[Side]] = {count: [] for count in counts}
    wins, memory = Wins([], []), list[float]()
    try:
        with options.folder("tickers") as folder, _server(folder, on) as subject:
            odds = {"quiet": jackpots.NEVER, "certain": jackpots.ALWAYS}
            ids = jackpots.made(subject.program.words["admin"], odds)
            for _ in range(options.rounds):
                _round(subject, on, ids, options, sides, wins, memory)
    except ReadersFailed as error:
        raise ProgramFailed(str(error)) from error
    limits = "" if readers_max >= READERS else f"with {readers_max:,} readers"
    if on.feed == on.generator:
        limits = "feed, readers and generator share a core"
    base, most = ([side.rate for side in sides[count]] for count in (0, readers_max))
    goal = ratio_goal(f"contributions/s with {readers_max:,} readers : without", GOAL, most, base)
    problems = [said for found in sides.values() for side in found for said in side.problems]
    return replace(
        report,
        tables=(_table(sides), _wins_table(wins, memory, readers_max)),
        goals=(replace(goal, limits=limits),),
        notes=(*report.notes, on.said, *dict.fromkeys(problems)),
        figures={
            **{f"rate {count}": [side.rate for side in found] for count, found in sides.items()},
            "last_s": wins.last_s,
            "memory_bytes": memory,
        },
    )


@contextmanager
def _server(folder: Path, on: Places) -> Iterator[Subject]:
    """The server on the worker's core, and its feed moved to its own."""
    with jackpotd(folder, on.worker, ENVIRONMENT) as subject:
        for task in Path(f"/proc/{_feed_of(subject)}/task").iterdir():
            os.sched_setaffinity(int(task.name), {on.feed})
        yield subject


def _feed_of(subject: Subject) -> int:
    """The process of the feed: the server's child that says so."""
    children = Path(f"/proc/{subject.program.pid}/task/{subject.program.pid}/children")
    for child in children.read_text().split():
        with suppress(FileNotFoundError, ProcessLookupError):
            if b"\0feed\0" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    raise ProgramFailed("the server has no feed")


def _round(
    subject: Subject,
    on: Places,
    ids: dict[str, str],
    options: Options,
    sides: dict[int, list[Side]],
    wins: Wins,
    memory: list[float],
) -> None:
    feed, crowd = _feed_of(subject), Crowd(subject.program.words["connect"], on.readers)
    before = _memory_bytes(feed)
    try:
        for count, found in sides.items():
            crowd.open(count)
            with crowd.reading():
                found.append(_side(subject, on, ids["quiet"], options, crowd))
        more = _memory_bytes(feed) - before
        if not memory:  # later readers find what the first ones have left
            memory.append(more / max(crowd.readers.count, 1))
        with crowd.reading():
            for _ in range(WINS):
                _win(subject, ids["certain"], crowd, wins)
    finally:
        crowd.readers.close()


def _side(subject: Subject, on: Places, instance_id: str, options: Options, crowd: Crowd) -> Side:
    """Contributions at their peak, and what worker and feed took of their cores meanwhile."""
    worker, feed = subject.program.pid, _feed_of(subject)
    plan = subject.plan(
        connections=CONNECTIONS,
        duration_s=options.seconds,
        warm_up_s=options.warm_up_s,
        core=on.generator,
        workload=Workload(seed=options.seed, instances=(instance_id,)),
    )
    began, worker_s, feed_s = time.monotonic(), _cpu_s(worker), _cpu_s(feed)
    told = crowd.readers.messages
    measured = drive(plan, f"{crowd.readers.count:,} readers")
    took_s = time.monotonic() - began
    return Side(
        rate=measured.rate,
        worker_us=(_cpu_s(worker) - worker_s) / max(sum(measured.timeline), 1) * 1e6,
        feed_share=(_cpu_s(feed) - feed_s) / took_s,
        told_each_s=(crowd.readers.messages - told) / took_s,
        problems=[
            *measured.problems,
            *([f"{crowd.readers.closed} readers were closed"] if crowd.readers.closed else []),
        ],
    )


def _win(subject: Subject, instance_id: str, crowd: Crowd, wins: Wins) -> None:
    """One contribution that wins, by itself."""
    crowd.forget()
    body = {
        "target": {"type": "instance", "id": instance_id},
        "operator_id": OPERATOR,
        "player": {"id": "p", "token": "token_p", "country": "MT", "brand_id": BRANDS[0]},
        "base_wager": {"currency": "EUR", "value": 1},
        "source": {"type": "Casino", "id": "bench"},
        "options": {"idempotency_key": f"win-{time.monotonic_ns()}"},
    }
    headers = {"Authorization": f"Bearer {subject.token}"}
    answer = httpx.post(f"{subject.url}{V2_PATH}", json=body, headers=headers)
    answered_at = time.monotonic()
    if answer.status_code != 200:
        raise ProgramFailed(f"a contribution that wins was answered {answer.text}")
    until = answered_at + HEARD_TIMEOUT_S
    while crowd.winners_heard < crowd.readers.count:
        if time.monotonic() > until:
            raise ProgramFailed(f"{crowd.winners_heard} of {crowd.readers.count} heard of a win")
        time.sleep(0.01)
    wins.first_s.append(crowd.first_at - answered_at)
    wins.last_s.append(crowd.last_at - answered_at)
    time.sleep(0.2)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _table(sides: dict[int, list[Side]]) -> Table:
    base = [side.rate for side in sides[0]]
    rows = []
    for count, found in sides.items():
        ratios = [side.rate / none for side, none in zip(found, base, strict=True) if none]
        rows.append(
            (
                f"{count:,}",
                f"{median(side.rate for side in found):,.0f}",
                f"{number(median(ratios))} ×" if ratios else "-",
                number(median(side.worker_us for side in found)),
                f"{median(side.feed_share for side in found):.0%}",
                f"{median(side.told_each_s for side in found):,.0f}",
            )
        )
    columns = (
        "readers", "contributions/s", "of those without", "worker, µs each", "feed's core",
        "messages read/s",
    )  # fmt: skip
    return Table("Medians of the rounds", columns, tuple(rows))


def _wins_table(wins: Wins, memory: list[float], readers: int) -> Table:
    columns = ("", "median", "smallest", "largest")
    rows = [
        (name, *(f"{number(value * 1e3)} ms" for value in (median(found), min(found), max(found))))
        for name, found in (
            ("from a win's answer to the first reader", wins.first_s),
            ("from a win's answer to the last reader", wins.last_s),
        )
    ]
    kib = f"{number(memory[0] / 1024)} KiB"
    rows.append(("memory of the feed for each reader", kib, "", ""))
    return Table(f"With {readers:,} readers", columns, tuple(rows))


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--readers", default=READERS, show_default=True, type=click.IntRange(10, 50_000))
@click.option("--seed", default=1, show_default=True, help="Of the workload.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 100))
@click.option("--seconds", default=6.0, show_default=True, type=click.FloatRange(0.1, 600))
@click.option("--warm-up-s", default=2.0, show_default=True, type=click.FloatRange(0, 60))
@click.option(
    "--data-root",
    default=DATA_ROOT,
    show_default=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder on a real disk; every run makes and removes its own in it.",
)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path))
def main(
    readers: int,
    seed: int,
    rounds: int,
    seconds: float,
    warm_up_s: float,
    data_root: Path,
    json_file: Path | None,
) -> None:
    options = Options(seed, rounds, seconds, warm_up_s, data_root)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if readers > hard - SPARE_FILES:
        raise click.ClickException(f"{readers:,} readers need more open files than {hard:,}")
    with refusing():
        report = measure(options, readers)
    show(report)
    write_json(report, json_file)


if __name__ == "__main__":
    main()
