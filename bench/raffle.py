"""What do tickets cost beside plain contributions, and for how long does the draw of a million tickets hold up others?

One process as a worker starts it, without HTTP, with 128 contributions in flight. A jackpot and a raffle of the same
pot take turns. Then rounds with a million entrants are resolved one after the other, while the jackpot goes on: how
long a timer of the same event loop waits meanwhile, beside the seconds before. Every raffle's tickets are gathered from
their players' rows first, as after a start.
"""

import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import trio
from msgspec import Struct
from msgspec.structs import replace

from bench.growing.datasets import instance_id
from bench.growing.serving import House, Load, lateness, requests
from bench.raffling.datasets import FIRST_FULL, JACKPOT, RAFFLE, Full, make
from bench.reporting.command import Options, run
from bench.reporting.report import Report, Table, goal_of, number, ratio_goal
from bench.servers.machine import pinned
from jackpotd.core.commands import SetSchedule
from jackpotd.core.passing import own_schedule
from jackpotd.engine.messages import ContributionRequest, Operated, Target
from jackpotd.service import interpreter

TICKETS, PRIZES = 1_000_000, 1_000
FULL_RAFFLES_MAX = 3
PLAYERS = 10_000
BEFORE_S, AHEAD_S, DRAW_S_MAX = 2.0, 0.5, 60.0
POLL_S = 0.005
TICKETS_GOAL, PAUSE_GOAL_MS = 0.9, 50.0


class Turn(Struct, frozen=True):
    """What one kind of instance took in one turn."""

    rate: float
    processor_us: float


class Draw(Struct, frozen=True):
    """One round's end: tickets gathered, seconds from its end to its winners' commit, and how late a timer was."""

    gathered_s: float
    resolved_s: float
    late_before_ms: float
    late_ms: float


def aimed(name: str) -> Iterator[ContributionRequest]:
    """Contributions of many players to one instance."""
    target = Target("instance", name)
    for request in requests(1, PLAYERS):
        yield replace(request, target=target)


async def turn(house: House, name: str, options: Options) -> Turn:
    """Loads one instance for a while."""
    async with trio.open_nursery() as nursery:
        load = Load(house.router, aimed(name))
        nursery.start_soon(load.run)
        await trio.sleep(options.warm_up_s)
        answered, started, processor = load.answered, time.perf_counter(), time.process_time()
        await trio.sleep(options.seconds)
        count = max(1, load.answered - answered)
        seconds, used = time.perf_counter() - started, time.process_time() - processor
        nursery.cancel_scope.cancel()
    await house.journal.durable()
    if load.refused:
        raise ValueError(f"{load.refused} contributions to {name} were refused")
    return Turn(count / seconds, used / count * 1e6)


async def draw(house: House, name: str, started: float) -> Draw:
    """Ends a full round, and waits for its winners."""
    with trio.fail_after(DRAW_S_MAX):
        await house.shard.actors[name].whole_book()
    gathered_s = time.perf_counter() - started
    late: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Load(house.router, aimed(JACKPOT)).run)
        await trio.sleep(AHEAD_S)
        nursery.start_soon(lateness, late)
        await trio.sleep(BEFORE_S)
        before = max(late)
        ends_ms = await _end_soon(house, name)
        late.clear()
        with trio.fail_after(DRAW_S_MAX):
            while house.shard.fold.cells[name].state.rare.rounds == 0:  # noqa: ASYNC110 - nobody tells
                await trio.sleep(POLL_S)
            await house.journal.durable()
        resolved_s = time.time() - ends_ms / 1000
        await trio.sleep(AHEAD_S)
        nursery.cancel_scope.cancel()
    return Draw(gathered_s, resolved_s, before, max(late))


async def _end_soon(house: House, name: str) -> int:
    state = house.shard.fold.cells[name].state
    schedule = own_schedule(state)
    if schedule is None:
        raise TypeError("a raffle has a schedule")
    ends_ms = time.time_ns() // 1_000_000 + int(AHEAD_S * 1000)
    command = SetSchedule(0, "", replace(schedule, end_ms=ends_ms), "bench", "")
    outcome = await house.shard.operate(name, command)
    if not isinstance(outcome, Operated):
        raise TypeError(outcome.message)
    return ends_ms


async def serve(
    folder: Path, full: Full, options: Options
) -> tuple[list[Turn], list[Turn], list[Draw]]:
    """All turns, then all draws."""
    jackpot: list[Turn] = []
    raffle: list[Turn] = []
    house = House(folder)
    async with trio.open_nursery() as nursery:
        started = time.perf_counter()
        await house.start(nursery)
        interpreter.settle()
        for at in range(full.raffles):
            await house.shard.actors[instance_id(FIRST_FULL + at)].whole_book()
        await house.settle(nursery)
        for _ in range(options.rounds):
            jackpot.append(await turn(house, JACKPOT, options))
            raffle.append(await turn(house, RAFFLE, options))
        names = [instance_id(FIRST_FULL + at) for at in range(full.raffles)]
        draws = [await draw(house, name, started) for name in names]
        nursery.cancel_scope.cancel()
    return jackpot, raffle, draws


def measure(options: Options) -> Report:
    """Builds the raffles, serves them, and puts the figures together."""
    full = Full(min(options.rounds, FULL_RAFFLES_MAX), TICKETS, PRIZES)
    interpreter.prepare()
    with options.folder("raffle") as folder, pinned(options.cores.server):
        make(folder, full, time.time_ns() // 1_000_000)
        jackpot, raffle, draws = trio.run(partial(serve, folder, full, options))
    pause = f"longest pause of others in the draw of {TICKETS:,} tickets, {PRIZES:,} prizes"
    late = [each.late_ms for each in draws]
    return replace(
        options.report("raffle", __doc__ or ""),
        tables=(_rates({"jackpot": jackpot, "raffle": raffle}), _draws(draws)),
        goals=(
            ratio_goal(
                "contributions/s that buy tickets / plain ones",
                TICKETS_GOAL,
                [each.rate for each in raffle],
                [each.rate for each in jackpot],
            ),
            ratio_goal(
                "the same by processor time",
                TICKETS_GOAL,
                [1 / each.processor_us for each in raffle],
                [1 / each.processor_us for each in jackpot],
            ),
            goal_of(pause, PAUSE_GOAL_MS, late, "ms", is_at_most=True),
        ),
        figures={"late_ms": late, "resolved_s": [each.resolved_s for each in draws]},
    )


def _rates(costs: dict[str, list[Turn]]) -> Table:
    return Table(
        "128 in flight, medians of the turns",
        ("", "contributions/s", "processor, µs each"),
        tuple(
            (name, number(median(t.rate for t in turns)), number(median(t.processor_us for t in turns)))
            for name, turns in costs.items()
        ),
    )  # fmt: skip


def _draws(draws: list[Draw]) -> Table:
    columns = (
        "",
        "all tickets known after, s",
        "winners durable after, s",
        "a timer late before, ms",
        "meanwhile, ms",
    )
    return Table(
        f"{TICKETS:,} tickets of as many players, {PRIZES:,} prizes; the longest in each",
        columns,
        tuple(
            (f"draw {at}", number(d.gathered_s), number(d.resolved_s), number(d.late_before_ms), number(d.late_ms))
            for at, d in enumerate(draws, 1)
        ),
    )  # fmt: skip


if __name__ == "__main__":
    run(measure, __doc__, rounds=3, seconds=4.0)
