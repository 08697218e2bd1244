"""One instance of the real core by itself: seals, windows, crowd and tickets kept as its owner keeps them.

It decides nothing: it asks `core.decide`, `core.operating`, `core.passing` and `core.raffle`, folds what they answer,
and seals pots anew with secrets of its own. The ledger is checked after every single event.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from jackpotd.core import decide, ledger, operating, passing, raffle, sealing, tipping
from jackpotd.core import evolve as transitions
from jackpotd.core.commands import Bet, Contribute, OperatorCommand, OptIn, PassTime
from jackpotd.core.events import (
    Adjusted,
    CommunityPaid,
    Contributed,
    HeldWinDecided,
    InstanceEvent,
    OptInChanged,
    PotClosed,
    PotWon,
    RoundOpened,
    RoundResolved,
    Sealed,
    StatusChanged,
    TransferTaken,
)
from jackpotd.core.fairness import PotStream, commitment_to
from jackpotd.core.rejections import Rejection
from jackpotd.core.rules import Rules
from jackpotd.core.schedule import Schedule
from jackpotd.core.state import (
    UNKNOWN_PLAYER,
    Contributor,
    Definition,
    Instance,
    LastSeen,
    Player,
    Seal,
    Status,
)
from jackpotd.core.urn import Urn
from jackpotd.testing.templates import rates

Who = tuple[str, str]
Snapshot = tuple[tuple[int, int], ...]
"""Value and reserve of each pot."""

Event = TypeVar("Event", bound=InstanceEvent)
RATES = rates()
INSTANCE = "instance"
OTHER_MONEY = (Adjusted, HeldWinDecided, PotClosed, TransferTaken)


class PlainCrowd:
    """The players by their last contribution, counted again for every question."""

    def __init__(self) -> None:
        self.last: dict[Who, LastSeen] = {}

    def active(self, since_ms: int) -> int:
        return len(self._since(since_ms))

    def at(self, since_ms: int, place: int) -> Who:
        return self._since(since_ms)[place]

    def seen(self, brand: str, player_id: str) -> LastSeen | None:
        return self.last.get((brand, player_id))

    def _since(self, since_ms: int) -> list[Who]:
        found = [(last.number, who) for who, last in self.last.items() if last.at_ms >= since_ms]
        return [who for _, who in sorted(found)]


@dataclass
class Done:
    """What one command did. `snapshots` shows the pots after the contribution, if there was one, and before each
    payment and each change of the status: the first of both is one and the same.
    """

    events: list[InstanceEvent] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def meet(self, event: InstanceEvent, before: Instance, after: Instance) -> None:
        """One more event, which led from one state to the other."""
        last = self.events[-1] if self.events else None
        pays = isinstance(event, CommunityPaid | PotWon | RoundResolved)
        pays |= isinstance(event, StatusChanged)  # what a termination empties
        begins = pays and not isinstance(last, CommunityPaid)
        is_known = bool(self.of(Contributed)) and not self.of(PotWon)
        if begins and not is_known:
            self.snapshots.append(snapshot_of(before))
        self.events.append(event)
        if isinstance(event, Contributed):
            self.snapshots.append(snapshot_of(after))


def snapshot_of(state: Instance) -> Snapshot:
    """Value and reserve of each pot."""
    return tuple((pot.value, pot.reserve) for pot in state.pots)


class CoreInstance:
    """An instance that is asked, folded and sealed.

    Args:
        rules: what it is born with.
        schedule: its own one, which a raffle needs.
        secret_of: the secret for a pot's seal, by the pot's index and the seal's number; by default from a seed.
        follow: what an owner adds after events, such as pending parameters that take effect.
    """

    def __init__(
        self,
        rules: Rules,
        *,
        status: Status = Status.ACTIVE,
        schedule: Schedule | None = None,
        at_ms: int = 0,
        instance_id: str = INSTANCE,
        secret_of: Callable[[int, int], bytes] | None = None,
        follow: Callable[[Sequence[InstanceEvent]], list[InstanceEvent]] | None = None,
    ) -> None:
        definition = Definition(instance_id, "", "op", "t", "op", at_ms, rules)
        self.state: Instance = transitions.create(definition, status, schedule)
        self.players: dict[Who, Player] = {}
        self.crowd = PlainCrowd()
        self.entrants: list[Who] = []
        self.secrets: dict[tuple[int, int], bytes] = {}
        self.streams: list[PotStream | None] = [None] * len(rules.pots)
        self.log: list[InstanceEvent] = []
        self.birth = self.state
        rng = random.Random(f"{instance_id} {at_ms}")
        self._secret_of = secret_of or (lambda _pot, _number: rng.randbytes(32))
        self._follow = follow or (lambda _events: [])
        for pot in range(len(rules.pots)):
            self._fold(self._sealed(pot, at_ms), Done())
        for event in raffle.next_round(self.state, at_ms):
            self._fold(event, Done())
        for pot in sealing.unsealed(self.state, self.log):
            self._fold(self._sealed(pot, at_ms), Done())

    @property
    def rules(self) -> Rules:
        return self.state.rules

    def player(self, who: Who) -> Player:
        return self.players.get(who, UNKNOWN_PLAYER)

    def due_ms(self) -> int | None:
        """When time does something: whatever comes then or later, `pass_time` comes first."""
        found = (passing.due_ms(self.state), raffle.due_ms(self.state))
        return min((each for each in found if each is not None), default=None)

    def contribute(
        self, bet: Bet, at_ms: int, *, round_id: str = "round", multipliers: dict[str, int] = RATES
    ) -> Done | Rejection:
        command = Contribute(
            at_ms, round_id, tuple(self.streams), bet, multipliers, True, self.crowd
        )
        who = (bet.brand, bet.player_id)
        return self._settle(decide.contribute(self.state, self.player(who), command), at_ms, who)

    def opt_in(self, command: OptIn) -> Done | Rejection:
        who = (command.brand, command.player_id)
        return self._settle(
            decide.opt_in(self.state, self.player(who), command), command.at_ms, who
        )

    def pass_time(self, at_ms: int) -> Iterator[Done]:
        """All that is due by now, step by step; a round that is over is a step of its own."""
        while True:
            due_ms = passing.due_ms(self.state)
            if due_ms is not None and at_ms >= due_ms:
                names = (f"window {at_ms}",) * len(self.rules.pots)
                command = PassTime(at_ms, names, tuple(self.streams), self.crowd)
                yield self._settled(passing.passed(self.state, command), at_ms)
            ends_ms = raffle.due_ms(self.state)
            if ends_ms is None or at_ms < ends_ms:
                return
            yield self._settled([self._resolved(at_ms)], at_ms)

    def _resolved(self, at_ms: int) -> RoundResolved:
        """The round that is over, with a draw for each prize; the prizes' names count up."""
        holdings = [self.players[who].tickets for who in self.entrants]
        urn, stream = Urn([0 if each is None else each.count for each in holdings]), self.streams[0]
        if stream is None:
            raise ValueError("the raffle is not sealed")
        prizes = []
        for number, drawn in enumerate(raffle.draws(self.state, urn, stream)):
            who = self.entrants[drawn.entrant]
            last = self.players[who].last
            if last is None:
                raise ValueError("somebody has tickets, and has never contributed")
            winner = Contributor(*who, last.currency, last.player_rate, last.jackpot_rate)
            prizes.append(raffle.prize(self.state, drawn, winner, f"prize {at_ms} {number}"))
        return raffle.resolved(self.state, at_ms, prizes)

    def operate(self, command: OperatorCommand) -> Done | Rejection:
        return self._settle(operating.decide(self.state, command), command.at_ms, None)

    def _settle(
        self, outcome: Sequence[InstanceEvent] | Rejection, at_ms: int, who: Who | None
    ) -> Done | Rejection:
        return outcome if isinstance(outcome, Rejection) else self._settled(outcome, at_ms, who)

    def _settled(
        self, outcome: Sequence[InstanceEvent], at_ms: int, who: Who | None = None
    ) -> Done:
        """These events, and all that follows from them."""
        done, before_others = Done(), None
        for event in outcome:
            if isinstance(event, OTHER_MONEY) and before_others is None:
                before_others = self.state
            self._fold(event, done, who)
        for event in self._follow(list(done.events)):
            self._fold(event, done)
        for event in raffle.next_round(self.state, at_ms) if done.events else ():
            self._fold(event, done)
        won = {event.pot for event in done.of(PotWon)}
        for pot in sealing.unsealed(self.state, done.events):
            if before_others is None or pot in won or not self._stays_due(pot, before_others):
                self._fold(self._sealed(pot, at_ms), done)
        return done

    def _stays_due(self, pot: int, before: Instance) -> bool:
        """Whether contributions had reached the pot's hidden value before other money came."""
        stream, seal = self.streams[pot], self.state.rare.seals[pot]
        if stream is None or seal is None or not sealing.goes_on(self.state, pot):
            return False
        return tipping.is_reached(self.rules.pots[pot], before.pots[pot].value, stream, seal)

    def _fold(self, event: InstanceEvent, done: Done, who: Who | None = None) -> None:
        before, self.state = self.state, transitions.evolve(self.state, event)
        done.meet(event, before, self.state)
        self.log.append(event)
        ledger.check_whole(self.state)
        if who is not None and isinstance(event, Contributed | OptInChanged):
            self.players[who] = transitions.evolve_player(self.player(who), event)
        if isinstance(event, Contributed):
            self._note(event)
        elif isinstance(event, RoundOpened):
            self.entrants.clear()

    def _note(self, event: Contributed) -> None:
        who = (event.brand, event.player_id)
        last = self.player(who).last
        if last is not None:
            self.crowd.last[who] = last
        if event.issued is not None and event.issued.entrant == len(self.entrants):
            self.entrants.append(who)

    def snapshot(self) -> Snapshot:
        return snapshot_of(self.state)

    def _sealed(self, pot: int, at_ms: int) -> Sealed:
        before = self.state.rare.seals[pot]
        revealed = "" if before is None else self.secrets[pot, before.number].hex()
        if not sealing.goes_on(self.state, pot):
            self.streams[pot] = None
            return Sealed(at_ms, pot, None, revealed)
        number = 1 if before is None else before.number + 1
        secret = self.secrets[pot, number] = self._secret_of(pot, number)
        self.streams[pot] = PotStream(secret)
        instance_id, pot_id = self.state.definition.instance_id, self.rules.pots[pot].id
        floor = self.state.pots[pot].value
        commitment = commitment_to(secret, instance_id, pot_id, number)
        seal = Seal(number, "", commitment, at_ms, self.state.contributions, floor)
        return Sealed(at_ms, pot, seal, revealed)


def assert_replays(instance: CoreInstance) -> None:
    """The log folded again from the birth is the state, whatever stood between."""
    state = instance.birth
    for event in instance.log:
        state = transitions.evolve(state, event)
    if state != instance.state:
        raise AssertionError("the log does not give the state")
