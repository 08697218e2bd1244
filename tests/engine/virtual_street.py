"""A house that lives by a virtual clock, with the demo's three raffles: the journal is in memory, so nothing waits."""

from collections.abc import Sequence

import trio
from trio.testing import MockClock

from jackpotd.core.commands import Bet
from jackpotd.core.events import Contributed, InstanceEvent, RoundResolved
from jackpotd.core.state import Instance
from jackpotd.engine.messages import Accepted, Taken
from jackpotd.engine.recovery import MemoryKeys, compare
from jackpotd.testing.cases import daily, raffle, schedule
from jackpotd.testing.house import (
    House,
    StepClock,
    currencies,
    instance,
    links,
    operator,
    request,
)
from jackpotd.testing.journal_audit import Audit
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.testing.templates import Json, rates
from jackpotd.testing.vault import SeededVault
from jackpotd.wire import records
from jackpotd.wire.catalog_records import CatalogEntity

NEW_YEAR_MS = 1_704_067_200_000  # Monday, 1 January 2024
SECOND_MS, HOUR_MS, DAY_MS = 1_000, 3_600_000, 86_400_000
WEEK_MS, MONTH_MS = 7 * DAY_MS, 30 * DAY_MS
EUR = 10**8
PRIZES: tuple[Json, ...] = tuple({"count": 1, "amount": each} for each in ("50", "25", "10"))
LENGTHS_MS = {"daily": DAY_MS, "weekly": WEEK_MS, "monthly": MONTH_MS}


class VirtualClock(StepClock):
    """Unix time that passes with Trio's alone."""

    def __init__(self, clock: MockClock, start_ms: int = NEW_YEAR_MS) -> None:
        super().__init__(start_ms)
        self._clock, self._start_ms, self._began = clock, start_ms, clock.current_time()

    def __call__(self) -> int:
        passed_s = self._clock.current_time() - self._began
        return self._start_ms + round(passed_s * 1000)


def raffles(end_ms: int | None = None) -> list[CatalogEntity]:
    """The demo's three: rounds of 22 hours from midnight, of a week, of 30 days; the first is linked to the others."""
    documents = {
        "daily": (raffle(*PRIZES, duration={"Hours": 22}), (daily(0, 22),)),
        "weekly": (raffle(*PRIZES, duration={"Days": 7}), ()),
        "monthly": (raffle(*PRIZES, duration={"Days": 30}), ()),
    }
    return [
        operator("op", ["a"]),
        currencies("default"),
        *(
            instance(name, document, schedule=schedule(NEW_YEAR_MS, end_ms, *rules))
            for name, (document, rules) in documents.items()
        ),
        links("daily", "weekly", "monthly"),
    ]


class Street:
    """A house that lives by the virtual clock, and what was asked of it."""

    def __init__(
        self,
        clock: MockClock,
        *,
        end_ms: int | None = None,
        entities: Sequence[CatalogEntity] | None = None,
    ) -> None:
        self._entities = raffles(end_ms) if entities is None else entities
        self.wall = VirtualClock(clock)
        self.bets: dict[str, Bet] = {}
        self.move_in(MemoryLog())

    def move_in(self, log: MemoryLog) -> None:
        """The house as it is recovered from a log."""
        self.house = House(log, self._entities, clock=self.wall, seed=log.last_seq)

    async def until(self, at_ms: int) -> None:
        """Waits, with nobody there."""
        await trio.sleep((at_ms - self.wall()) / 1000)

    async def spin(self, player: str, wager: int) -> list[Contributed]:
        """A spin of the daily raffle, which the links carry to the others."""
        key = f"{player} {len(self.bets)}"
        asked = request("daily", wager=wager, key=key, player_id=player)
        self.bets[asked.trace_id] = asked.bet
        answer = await self.house.router.contribute(asked)
        assert isinstance(answer, Accepted)
        found = []
        for outcome in answer.outcomes:
            assert isinstance(outcome, Taken)
            (contributed,) = outcome.events
            assert isinstance(contributed, Contributed)
            found.append(contributed)
        return found

    def state(self, name: str) -> Instance:
        return self.house.fold.cells[name].state

    def events(self, name: str) -> list[InstanceEvent]:
        """All that the journal says of an instance."""
        entries = [records.decode(data) for _, data in self.house.log.scan(1)]
        return [
            event
            for entry in entries
            if isinstance(entry, records.Entry) and entry.instance_id == name
            for event in records.to_events(entry.events)
        ]

    def resolved(self, name: str) -> list[RoundResolved]:
        return [each for each in self.events(name) if isinstance(each, RoundResolved)]

    def check(self) -> None:
        """The journal replays to its own ledger and hashes, and to what the oracle says."""
        compare(self.house.log, [], MemoryKeys(), alive_since_ms=0)
        audit = Audit(SeededVault(), lambda _brand: rates(), self.bets.__getitem__)
        for seq, data in self.house.log.scan(1):
            audit.read(seq, data)
