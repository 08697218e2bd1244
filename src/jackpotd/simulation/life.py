"""One life of a jackpot, from its initial state: the core decides and folds every contribution, the book notes.

Seals are made as the service makes them, with secrets from the seed of the life. A win that the template withholds is
released at once; a jackpot whose last limited pot is used up begins again, as the next one of the same template.
"""

import hashlib
from collections.abc import Callable, Sequence
from random import Random

from msgspec import Struct

from jackpotd.core import ledger, operating, sealing, windows
from jackpotd.core.commands import Contribute, DecideHeldWin, PassTime, Streams
from jackpotd.core.decide import contribute
from jackpotd.core.events import (
    CommunityPaid,
    InstanceEvent,
    PotClosed,
    PotWon,
    Sealed,
    TipHeld,
    WindowEnded,
)
from jackpotd.core.evolve import create, evolve, evolve_player
from jackpotd.core.fairness import SECRET_BYTES, PotStream
from jackpotd.core.rejections import Rejection
from jackpotd.core.rules import Rules
from jackpotd.core.state import Definition, Instance, Seal, Status
from jackpotd.simulation import book as books
from jackpotd.simulation.arrivals import Arrival, Arrivals
from jackpotd.simulation.book import Batch, Book, PotBook
from jackpotd.simulation.crowd import SimulatedCrowd
from jackpotd.simulation.population import Population

START_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z, so that windows of a day begin with the life
BLOCK_MAX = 256
_ROUND = "simulation"

Progress = Callable[[int], None]


class Plan(Struct, frozen=True, kw_only=True):
    """What is simulated: so many contributions in all, divided among lives that know nothing of each other."""

    rules: Rules
    population: Population
    contributions: int
    lives: int
    seed: int
    batches: int

    def share_of(self, life: int) -> int:
        """How many contributions a life takes."""
        base, extra = divmod(self.contributions, self.lives)
        return base + (life < extra)


class SimulationError(Exception):
    """The core refused something that it must not refuse: a defect, not a result."""


def live(plan: Plan, life: int, progress: Progress) -> Book:
    """One life, whole; `progress` hears of contributions as they are done."""
    return Life(plan, life).run(plan.share_of(life), progress)


def _rng(seed: int, life: int, purpose: str) -> Random:
    """A generator of its own for each life and purpose: hashed seeds, so that no two overlap."""
    digest = hashlib.sha256(f"jackpotd simulate 1\0{seed}\0{life}\0{purpose}".encode()).digest()
    return Random(digest)


class Life:
    """A jackpot that lives."""

    def __init__(self, plan: Plan, life: int) -> None:
        rules = plan.rules
        self._rules, self._plan, self._life = rules, plan, life
        self._book = books.book_for(rules)
        self._rates = plan.population.rates
        self._secrets = _rng(plan.seed, life, "secrets")
        self._arrivals = Arrivals(
            plan.population, rules, _rng(plan.seed, life, "players"), START_MS
        )
        self._crowd = SimulatedCrowd(min(rules.allowed_brands)) if rules.has_community else None
        self._count = 0
        self._staked = 0
        # What the jackpots that ended had taken: contributed, of the operator, into the house.
        self._before = (0, 0, 0)
        self._streams: Streams = ()
        self._next_end_ms: int | None = None
        self._state = self._born(START_MS)

    def run(self, contributions: int, progress: Progress) -> Book:
        """Takes so many contributions in, and returns what was noted."""
        batches = min(contributions, max(1, -(-self._plan.batches // self._plan.lives)))
        done, at_ms = 0, START_MS
        for batch in range(batches):
            end = contributions * (batch + 1) // batches
            mark = _Mark(self._book, self._count, self._staked, self._contributed())
            while done < end:
                size = min(BLOCK_MAX, end - done)
                times = self._arrivals.times(size)
                arrivals = self._arrivals.block(size)
                if self._rules.has_community or self._rules.has_times:
                    self._take_all(times, arrivals)
                else:
                    self._take_plain(times, arrivals)
                done += size
                at_ms = times[-1]
                self._look()
                progress(size)
            self._book.batches.append(
                mark.batch(self._book, self._count, self._staked, self._contributed())
            )
        return self._closed_book(contributions, at_ms)

    def _take_plain(self, times: Sequence[int], arrivals: Sequence[Arrival]) -> None:
        """The quick way, where neither time nor the crowd decides anything."""
        state, streams, rates = self._state, self._streams, self._rates
        for at_ms, arrival in zip(times, arrivals, strict=True):
            events = contribute(
                state, arrival.player, Contribute(at_ms, _ROUND, streams, arrival.bet, rates)
            )
            if isinstance(events, Rejection):
                self._book.refused[events.message] += 1
                continue
            self._staked += arrival.staked
            self._count += 1
            state = evolve(state, events[0])
            if len(events) > 1:
                self._state = state
                self._happened(events[1:], at_ms)
                state, streams = self._state, self._streams
        self._state = state

    def _take_all(self, times: Sequence[int], arrivals: Sequence[Arrival]) -> None:
        crowd = self._crowd
        for at_ms, arrival in zip(times, arrivals, strict=True):
            if self._next_end_ms is not None and at_ms >= self._next_end_ms:
                self._end_windows(at_ms)
            player = arrival.player
            if crowd is not None:
                player = crowd.player(arrival.number, player)
            command = Contribute(
                at_ms, _ROUND, self._streams, arrival.bet, self._rates, crowd=crowd
            )
            events = contribute(self._state, player, command)
            if isinstance(events, Rejection):
                self._book.refused[events.message] += 1
                continue
            self._staked += arrival.staked
            self._count += 1
            self._state = evolve(self._state, events[0])
            if crowd is not None:
                crowd.came(arrival.number, evolve_player(player, events[0]), at_ms)
            if len(events) > 1:
                self._happened(events[1:], at_ms)

    def _end_windows(self, now_ms: int) -> None:
        """Draws at the moment they are due, as an alarm does; a window without one ends when somebody comes."""
        while (due_ms := windows.alarm_ms(self._state)) is not None and due_ms <= now_ms:
            self._end_windows_at(due_ms)
        if self._next_end_ms is not None and self._next_end_ms <= now_ms:
            self._end_windows_at(now_ms)

    def _end_windows_at(self, at_ms: int) -> None:
        rounds = tuple(_ROUND for _ in self._rules.pots)
        command = PassTime(at_ms, rounds, self._streams, self._crowd)
        events = windows.end(self._state, command)
        if not events:
            raise SimulationError("a window was over and did not end")
        self._happened(events, at_ms)

    def _happened(self, events: Sequence[InstanceEvent], at_ms: int) -> None:
        """Everything but a contribution: noted, folded, released where it is withheld, sealed anew."""
        book = self._book
        book.liability_highest = max(book.liability_highest, books.liability(self._state))
        community = dict[int, int]()
        drawn = set[int]()
        for event in events:
            self._note(event, community, drawn)
            self._state = evolve(self._state, event)
        self._release(at_ms)
        self._seal(sealing.unsealed(self._state, events), at_ms)
        if self._state.status is Status.ENDED:
            self._end(at_ms)
        self._next_end_ms = windows.next_end_ms(self._state)

    def _note(self, event: InstanceEvent, community: dict[int, int], drawn: set[int]) -> None:
        state, pots = self._state, self._book.pots
        match event:
            case CommunityPaid():
                held = state.pots[event.pot].value
                community[event.pot] = books.note_community(pots[event.pot], event, held)
            case PotWon():
                shared = community.get(event.pot, 0)
                drawn.add(event.pot)
                books.note_win(pots[event.pot], event, state, shared, self._staked, self._count)
            case WindowEnded():
                was_drawn = event.pot in drawn
                drawn.discard(event.pot)
                books.note_window(pots[event.pot], event, state, was_drawn=was_drawn)
            case TipHeld():
                pots[event.pot].tips_held += 1
            case PotClosed():
                pots[event.pot].times_closed += 1
                pots[event.pot].seeded = 0.0
            case _:
                pass

    def _release(self, at_ms: int) -> None:
        for held in self._state.rare.held:
            pot_id = self._rules.pots[held.pot].id
            command = DecideHeldWin(at_ms, held.round_id, pot_id, True, "simulation", "simulation")
            events = operating.decide(self._state, command)
            if isinstance(events, Rejection):
                raise SimulationError(f"a withheld win was not released: {events.message}")
            for event in events:
                self._state = evolve(self._state, event)

    def _born(self, at_ms: int) -> Instance:
        definition = Definition("simulation", "", "", "", "", at_ms, self._rules)
        self._state = create(definition, Status.ACTIVE)
        for pot, rules in zip(self._book.pots, self._rules.pots, strict=True):
            books.begin(pot, rules, self._staked, self._count, at_ms)
        self._streams = tuple(None for _ in self._rules.pots)
        self._seal(range(len(self._rules.pots)), at_ms)
        self._next_end_ms = windows.next_end_ms(self._state)
        return self._state

    def _seal(self, pots: Sequence[int], at_ms: int) -> None:
        """New secrets; nobody is to be convinced of them here, so no commitment is published."""
        streams = list(self._streams)
        for at in pots:
            before, seal = self._state.rare.seals[at], None
            streams[at] = None
            if sealing.goes_on(self._state, at):
                streams[at] = PotStream(self._secrets.randbytes(SECRET_BYTES))
                number = before.number + 1 if before is not None else 1
                taken, floor = self._state.contributions, self._state.pots[at].value
                seal = Seal(number, "", "", at_ms, taken, floor)
            self._state = evolve(self._state, Sealed(at_ms, at, seal, ""))
        self._streams = tuple(streams)

    def _end(self, at_ms: int) -> None:
        """The last limited pot is used up: the books are closed, and the next jackpot of this kind begins."""
        self._book.ended += 1
        self._close()
        self._born(at_ms)

    def _close(self) -> None:
        """The accounts of a jackpot whose time is over; books that do not add up would prove nothing."""
        state = self._state
        ledger.check_whole(state)
        contributed, operator, house = self._before
        begun = sum(rules.initial_seed for rules in self._rules.pots)
        self._before = (
            contributed + state.contributed + state.operator - begun,
            operator + state.operator - begun,
            house + state.house,
        )
        for pot, kept in zip(self._book.pots, state.pots, strict=True):
            pot.held_value += kept.value
            pot.held_reserve += kept.reserve

    def _contributed(self) -> int:
        """What all contributions were worth, whoever paid them."""
        begun = sum(rules.initial_seed for rules in self._rules.pots)
        return self._before[0] + self._state.contributed + self._state.operator - begun

    def _look(self) -> None:
        """Between blocks: what the operator owes now, and a row of the picture."""
        book, state = self._book, self._state
        owed = books.liability(state)
        book.liability.add(float(owed))
        book.liability_highest = max(book.liability_highest, owed)
        if self._life or not book.track.is_due:
            book.track.skip()
            return
        values = [float(each) for pot in state.pots for each in (pot.value, pot.reserve)]
        book.track.add((float(self._count), float(owed), *values))

    def _closed_book(self, offered: int, at_ms: int) -> Book:
        book = self._book
        self._close()
        book.offered = offered
        book.contributions = self._count
        book.staked = self._staked
        book.elapsed_ms = at_ms - START_MS
        book.contributed, book.operator_part, book.house = self._before
        return book


class _Mark:
    """Where a batch began."""

    def __init__(self, book: Book, count: int, staked: int, contributed: int) -> None:
        self._sums = book.sums()
        self._pots = [pot.totals() for pot in book.pots]
        self._count, self._staked, self._contributed = count, staked, contributed
        self._liability = (book.liability.total, book.liability.count)

    def batch(self, book: Book, count: int, staked: int, contributed: int) -> Batch:
        growth, seed, community, deficit = (
            now - then for now, then in zip(book.sums(), self._sums, strict=True)
        )
        looks = book.liability.count - self._liability[1]
        return Batch(
            contributions=count - self._count,
            staked=staked - self._staked,
            contributed=contributed - self._contributed,
            growth=growth,
            seed=seed,
            community=community,
            deficit=deficit,
            liability=(book.liability.total - self._liability[0]) / looks,
            pots=tuple(_minus(pot, then) for pot, then in zip(book.pots, self._pots, strict=True)),
        )


def _minus(pot: PotBook, then: tuple[int, int, int, int, int]) -> tuple[int, int, int, int, int]:
    now = pot.totals()
    return (
        now[0] - then[0],
        now[1] - then[1],
        now[2] - then[2],
        now[3] - then[3],
        now[4] - then[4],
    )
