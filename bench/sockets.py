"""What does it cost to tell many WebSocket readers the same, on Hypercorn, on trio-websocket and in frames of our own?

Three servers beside each other, on the server's core, each with as many readers, which read everything on the
generator's core. In turns each tells all its readers a tick of ten messages, as fast as it can: Hypercorn (a bare ASGI
application) and trio-websocket message by message, as their interfaces have it; the feed's sockets message by message,
too, and then the whole tick in one block that was framed once. Counted is the server's processor time, the kernel's
included, so that waiting for the readers is no matter; and its memory before and after the readers came.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import create_connection
from statistics import median
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.reporting.command import Options, run
from bench.reporting.report import Report, Table, number
from bench.servers.machine import pinned
from bench.servers.programs import Program, ProgramFailed, module, running
from bench.telling.readers import Readers, ReadersFailed
from bench.telling.server import (
    HYPERCORN,
    OURS,
    TRIO_WEBSOCKET,
    Account,
    Order,
)

IN_BLOCKS = "feed, in blocks"
READERS = 500
MESSAGES = 10
MESSAGE_BYTES = 400
OPEN_TIMEOUT_S = 60.0
ANSWER_TIMEOUT_S = 60.0
TITLES = {
    HYPERCORN: "Hypercorn, message by message",
    TRIO_WEBSOCKET: "trio-websocket, message by message",
    OURS: "the feed's sockets, message by message",
    IN_BLOCKS: "the feed's sockets, one block a tick",
}
_ACCOUNT = msgspec.json.Decoder(Account)


class Side(Struct):
    """A server that runs, its readers, and its control."""

    program: Program
    readers: Readers
    control: "Control"
    memory_bytes: float = 0.0
    """For each reader."""


class Control:
    """Gives a server orders, while its readers go on reading."""

    def __init__(self, url: str, readers: Readers) -> None:
        parts = urlsplit(url)
        self._sock = create_connection((parts.hostname, parts.port))
        self._sock.setblocking(False)
        self._readers = readers
        self._said = b""

    def order(self, order: Order) -> Account:
        self._sock.sendall(msgspec.json.encode(order) + b"\n")
        self._readers.read_until(self._has_answered, order.seconds + ANSWER_TIMEOUT_S)
        line, _, self._said = self._said.partition(b"\n")
        return _ACCOUNT.decode(line)

    def close(self) -> None:
        self._sock.close()

    def _has_answered(self) -> bool:
        try:
            data = self._sock.recv(4096)
        except BlockingIOError:
            return False
        if not data:
            raise ReadersFailed("the server is gone")
        self._said += data
        return b"\n" in self._said


def measure(options: Options) -> Report:
    """All in turns."""
    report = options.report("sockets", __doc__ or "")
    found: dict[str, list[float]] = {name: [] for name in TITLES}
    with options.folder("sockets") as folder, ExitStack() as stack:
        try:
            sides = {
                name: stack.enter_context(_side(folder, name, options))
                for name in (HYPERCORN, TRIO_WEBSOCKET, OURS)
            }
            for _ in range(options.rounds):
                for name in TITLES:
                    found[name].append(_turn(sides[_server_of(name)], name, options))
        except ReadersFailed as error:
            raise ProgramFailed(str(error)) from error
        memory = {name: sides[_server_of(name)].memory_bytes for name in TITLES}
    return replace(
        report,
        tables=(_table(found, memory),),
        figures={f"{name} µs": values for name, values in found.items()},
        notes=(
            *report.notes,
            f"{READERS} readers each, {MESSAGES} messages of {MESSAGE_BYTES} bytes a tick",
            f"servers on core {options.cores.server}, readers on core {options.cores.generator}",
        ),
    )


def _server_of(name: str) -> str:
    return OURS if name == IN_BLOCKS else name


@contextmanager
def _side(folder: Path, name: str, options: Options) -> Iterator[Side]:
    """A server with all its readers; it sleeps when it is not its turn."""
    command = module("bench.telling.server", name)
    (folder / name).mkdir()
    with running(command, folder / name, core=options.cores.server) as program:
        program.read_ready()
        parts = urlsplit(program.words["gateway"])
        readers = Readers(parts.hostname or "127.0.0.1", parts.port or 80)
        control = Control(program.words["control"], readers)
        try:
            with pinned(options.cores.generator):
                side = Side(program, readers, control)
                # What the first readers bring along is no matter of how many there are.
                readers.open([("/", b"")] * 10, OPEN_TIMEOUT_S)
                control.order(Order(0.1, MESSAGES, MESSAGE_BYTES))
                before = control.order(Order())
                readers.open([("/", b"")] * (READERS - before.readers), OPEN_TIMEOUT_S)
                after = control.order(Order())
                more = after.memory_bytes - before.memory_bytes
                side.memory_bytes = more / (after.readers - before.readers)
            program.suspend()
            yield side
        finally:
            control.close()
            readers.close()


def _turn(side: Side, name: str, options: Options) -> float:
    """µs of processor time for one reader and tick."""
    is_block = name == IN_BLOCKS
    side.program.resume()
    try:
        with pinned(options.cores.generator):
            for seconds in (options.warm_up_s, options.seconds):
                account = side.control.order(Order(seconds, MESSAGES, MESSAGE_BYTES, is_block))
    finally:
        side.program.suspend()
    return account.cpu_s / max(account.ticks * account.readers, 1) * 1e6


def _table(found: dict[str, list[float]], memory: dict[str, float]) -> Table:
    base = median(found[HYPERCORN])
    rows = []
    for name, values in found.items():
        middle = median(values)
        rows.append(
            (
                TITLES[name],
                number(middle / MESSAGES),
                number(middle),
                f"{number(base / middle)} ×" if middle else "-",
                number(memory[name] / 1024),
            )
        )
    columns = (
        "",
        "µs a message",
        "µs a reader and tick",
        "Hypercorn's time : its",
        "memory a reader, KiB",
    )
    return Table("Medians of the rounds", columns, tuple(rows))


if __name__ == "__main__":
    run(measure, __doc__, rounds=5, seconds=2.0)
