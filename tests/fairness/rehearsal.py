"""A real shard plays a jackpot with everything on it; its history is exported and handed to the script of the docs.

The script is used as an outsider has it: as a file, which knows nothing of ours.
"""

import contextlib
import importlib.util
import io
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
import trio
from msgspec.structs import replace

from jackpotd.core.commands import (
    Adjust,
    AskChange,
    Boost,
    ChangeStatus,
    DecideHeldWin,
    Trigger,
)
from jackpotd.core.rejections import Rejection
from jackpotd.core.schedule import Schedule
from jackpotd.core.state import Contributor, PendingChange, Status
from jackpotd.engine.messages import ContributeMessage, ContributionRequest
from jackpotd.service.fairness_export import Journals
from jackpotd.service.fairness_lines import Line, told
from jackpotd.testing.house import (
    BORN_MS,
    House,
    StepClock,
    currencies,
    instance,
    operator,
    request,
)
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.testing.templates import MULTIPLIERS, Json, encoded, rates
from jackpotd.wire import parts

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "check_fairness.py"
MINUTE_MS = 60_000
PLAYERS = 25
PAUSES_MS = (0, 0, 1, 900, 7_000, MINUTE_MS, 9 * MINUTE_MS)


def _pot(name: str, share: float, pot_types: list[Json], **changes: Any) -> Json:
    seeds = {"initial_seed_value": 10, "min_reseed_value": 10, **changes.pop("seeds", {})}
    return {
        "id": name,
        "contribution": {"Percentage": share},
        "seed_contribution": {"Percentage": 0.2},
        "seed_strategy": seeds,
        "pot_types": pot_types,
        **changes,
    }


def showcase(selector: str = "All") -> Json:
    """A pot for each kind of tipping point, with every strategy of community payouts."""
    active = {"ActivePlayers": {"share": 0.2, "winners": 3, "within_hours": 1}}
    cycle = {"HighestContributionPerWin": {"share": 0.2, "winners": 2}}
    lifetime = {"HighestLifetimeContributor": {"share": 0.1, "winners": 2}}
    half = {"max_magic_number": 40, "cost_per_attempt": 0.5}
    quarter = {"max_magic_number": 300, "cost_per_attempt": 1}
    hourly = {"every": {"Hours": 1}, "window_start": 0}
    return {
        "name": "showcase",
        "owner_id": "op",
        "currency": "EUR",
        "allowed_brands": ["op:a"],
        "contribution_rules": {
            "opt_in_required": False,
            "contribution_type": {"Percentage": 0.1},
        },
        "house_hold_contribution": {"Percentage": 0.2},
        "win_selector_strategy": selector,
        "withhold_wins_above": 25,
        "pots": [
            _pot(
                "hits",
                0.2,
                [{"HitRate": half}, {"HitRate": quarter}],
                supports_external_trigger=True,
                community_payout={"share": 0.3, "strategies": [active, lifetime]},
            ),
            _pot(
                "hidden",
                0.2,
                [{"Value": {"min": 12, "max": 30}}, {"HitRate": quarter}],
                max_pot_value=40,
                community_payout={"share": 0.5, "strategies": [cycle, active, lifetime]},
            ),
            _pot(
                "timed",
                0.2,
                [{"Time": {**hourly, "fallback": "DrawAmongContributors"}}],
                community_payout={"share": 0.2, "strategies": [active]},
            ),
            _pot(
                "rolling",
                0.1,
                [{"Time": {**hourly, "fallback": "RollOver"}}, {"HitRate": quarter}],
                criteria={"currencies": ["EUR", "SEK"], "segments": ["vip"]},
            ),
            _pot(
                "funded",
                0.1,
                [{"HitRate": half}, {"Value": {"min": 14, "max": 16}}],
                seeds={"open_when_funded": True, "fund_strategy": "CollectAlways"},
                max_instantiation_count=9,
            ),
        ],
    }


def showcase_changes() -> list[tuple[int | None, Json]]:
    """Parameters of the showcase that may change while it is played."""
    odds = {"max_magic_number": 30, "cost_per_attempt": 0.5}
    leaders = [
        {"HighestLifetimeContributor": {"share": 0.25, "winners": winners}} for winners in (1, 3, 6)
    ]
    windows = [
        {"Time": {"every": {"Hours": hours}, "window_start": 0, "fallback": "RollOver"}}
        for hours in (1, 2)
    ]
    return [
        (None, {"win_selector_strategy": "Highest"}),
        (None, {"win_selector_strategy": "All"}),
        (0, {"pots": {"hits": {"pot_types": [{"HitRate": odds}]}}}),
        (1, {"pots": {"hidden": {"pot_types": [{"Value": {"min": 11, "max": 15}}]}}}),
        *((2, {"pots": {"timed": {"community_payout": _community(each)}}}) for each in leaders),
        *((3, {"pots": {"rolling": {"pot_types": [each]}}}) for each in windows),
    ]


def _community(*strategies: Json) -> Json:
    share = sum(next(iter(strategy.values()))["share"] for strategy in strategies)
    return {"share": share, "strategies": list(strategies)}


class Rehearsal:
    """One instance of a template over a log in memory, with a clock that the play moves on.

    `changes` are parameters that an operator may ask for, each with the pot whose next win it waits for.
    """

    def __init__(
        self,
        template: Json,
        seed: int,
        log: MemoryLog | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        self.log = MemoryLog() if log is None else log
        self.changes = showcase_changes() if template["name"] == "showcase" else []
        self.template, self.seed, self.schedule = template, seed, schedule
        self.rng = random.Random(seed)
        self.players = [f"p{number}" for number in range(PLAYERS)]
        self.clock = StepClock()
        self.refused: Counter[str] = Counter()
        entry = instance("i", template)
        if schedule is not None:
            is_ahead = schedule.start_ms is not None and schedule.start_ms > BORN_MS
            status = Status.PENDING if is_ahead else Status.ACTIVE
            entry = replace(entry, schedule=parts.part_of(schedule), status=status)
        self.house = House(
            self.log,
            [operator("op", ["a"]), currencies("op:a"), entry],
            seed=seed,
            clock=self.clock,
        )

    def again(self) -> Self:
        """The next life, from the journal alone, with the same vault."""
        found = type(self)(self.template, self.seed, self.log, self.schedule)
        found.rng, found.clock.now_ms = self.rng, self.clock.now_ms
        return found

    async def play(self, count: int) -> None:
        """So many contributions, and now and then what an operator does."""
        answered = trio.Event()
        async with self.house.running():
            for _ in range(count):
                self.clock.now_ms += self.pause_ms()
                answered = self._contribute()
                if self.rng.random() < 0.9:
                    await answered.wait()  # the others meet in one batch
                if self.rng.random() < 0.02:
                    await self._operate()
            await answered.wait()

    def pause_ms(self) -> int:
        return self.rng.choice(PAUSES_MS)

    def _asked(self) -> ContributionRequest:
        rng = self.rng
        return request(
            "i",
            wager=rng.choice((0, 10**8, 10**9, rng.randint(1, 10**10))),
            player_id=rng.choice(self.players),
            currency=rng.choice(list(MULTIPLIERS)),
            segments=rng.choice((None, ("vip",), ("new", "vip"))),
        )

    def _contribute(self) -> trio.Event:
        asked, answered = self._asked(), trio.Event()

        def note(outcome: object) -> None:
            answered.set()
            if isinstance(outcome, Rejection):
                self.refused[outcome.message] += 1

        self.house.shard.contribute("i", ContributeMessage(asked, rates(), True, (), note))
        return answered

    async def _operate(self) -> None:
        """One thing of those that operators do; some of it is refused, as the state will have it."""
        rng, shard = self.rng, self.house.shard
        state = shard.state("i")
        assert state is not None
        pot = rng.choice(state.rules.pots).id
        winner = Contributor("op:a", rng.choice(self.players), "EUR", 10**8, 10**8)
        what = rng.randrange(6)
        if what == 0:
            await shard.operate("i", Boost(0, pot, 10**8, "eve", "test"))
        elif what == 1:
            await shard.operate("i", Adjust(0, pot, rng.choice((10**8, -(10**7))), "eve", "test"))
        elif what == 2:
            reference = f"hand {rng.random()}"
            for rules in [rules for rules in state.rules.pots if rules.has_trigger]:
                command = Trigger(0, "", rules.id, winner, reference, "eve", "test", ())
                await shard.operate("i", command)
        elif what == 3:
            for held in state.rare.held[:1]:
                pot = state.rules.pots[held.pot].id
                release = rng.random() < 0.5
                await shard.operate(
                    "i", DecideHeldWin(0, held.round_id, pot, release, "eve", "test")
                )
        elif what == 4 and self.changes:
            at, changes = rng.choice(self.changes)
            change = PendingChange(f"{rng.random()}", at, encoded(changes), 0, "eve", "test")
            await shard.operate("i", AskChange(0, (change,), b""))
        else:
            for status in (Status.PAUSED, Status.ACTIVE):
                await shard.operate("i", ChangeStatus(0, status, "test", "eve"))
                self.clock.now_ms += MINUTE_MS

    async def end(self) -> None:
        """The jackpot is terminated."""
        async with self.house.running():
            await self.house.shard.operate("i", ChangeStatus(0, Status.TERMINATED, "over", "eve"))

    def lines(self) -> list[Line]:
        """The export, as a reader of the file has it."""
        return [as_read(line) for line in told(Journals({0: self.log.scan}).in_order())]


def rehearsed(template: Json, seed: int, count: int, schedule: Schedule | None = None) -> Rehearsal:
    """A rehearsal that is over."""
    found = Rehearsal(template, seed, schedule=schedule)
    trio.run(found.play, count)
    return found


def as_read(line: Line) -> Line:
    """A line as it comes out of a file."""
    read: Line = msgspec.json.decode(msgspec.json.encode(line))
    return read


def wins_in(lines: Sequence[Line]) -> list[tuple[Line, Line]]:
    """Every win with its line."""
    return [(line, win) for line in lines for win in line.get("wins", ())]


def _load() -> Callable[[io.StringIO], None]:
    spec = importlib.util.spec_from_file_location("check_fairness", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[io.StringIO], None] = module.check
    return found


_check = _load()


def verdict(lines: Sequence[Line]) -> tuple[str, str]:
    """What the script says of an export: what is not fair (nothing, if all is well), and what it printed."""
    file = io.StringIO("".join(msgspec.json.encode(line).decode() + "\n" for line in lines))
    printed, found = io.StringIO(), ""
    with contextlib.redirect_stdout(printed):
        try:
            _check(file)
        except SystemExit as error:
            found = str(error.code)
    return found, printed.getvalue()


__all__ = [
    "BORN_MS",
    "SCRIPT",
    "Rehearsal",
    "as_read",
    "rehearsed",
    "showcase",
    "verdict",
    "wins_in",
]
