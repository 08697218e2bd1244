"""What an instance's owner decides, and all that follows from it: nothing is in place yet when it is told.

An exception before anything was staged fences this one instance (R-FLT-2): it refuses everything until a person looks
and restarts; so does an event that would put its ledger off, and a secret that is not the one committed to.
"""

from collections.abc import Callable

import structlog
from msgspec.structs import replace

from jackpotd.core import decide, ledger, operating, passing, raffle, windows
from jackpotd.core.commands import Bet, Contribute, OperatorCommand, OptIn, PassTime, Trigger
from jackpotd.core.events import Contributed, InstanceEvent, OptInChanged
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import UNKNOWN_PLAYER, LastSeen, Player
from jackpotd.engine.cells import Cell
from jackpotd.engine.consequences import Seals, following
from jackpotd.engine.crowd import Crowd, gathered
from jackpotd.engine.fold import Fold, KnownPlayer, Prepared
from jackpotd.engine.messages import ContributeMessage, LinkMessage
from jackpotd.engine.ports import Clock, Entropy, Vault
from jackpotd.engine.raffling import Raffling

FENCED = Rejection(Code.SYSTEM_ERROR, "this jackpot is out of service")
NEVER_MS = 1 << 62

_log = structlog.get_logger("jackpotd.actor")

Events = list[InstanceEvent]
Decision = tuple[Events, Prepared] | Rejection


class Decider:
    """Decides for one instance.

    What time does to it is due at `due_ms`, and a round of a raffle is over at `round_ends_ms`: what comes then or
    later lets that happen first. While it `lacks_crowd`, active players have to be gathered before anything else is
    decided.
    """

    def __init__(
        self, cell: Cell, *, fold: Fold, clock: Clock, entropy: Entropy, vault: Vault
    ) -> None:
        self.is_fenced = False
        self.refusals = 0
        self.due_ms = NEVER_MS
        self.round_ends_ms = NEVER_MS
        self.lacks_crowd = False
        self._cell = cell
        self._fold = fold
        self._clock = clock
        self._entropy = entropy
        self._seals = Seals(vault, cell.state.definition.instance_id)
        self._crowd: Crowd | None = None
        self.raffling = Raffling(cell, fold=fold, entropy=entropy, seals=self._seals)
        self._before: LastSeen | None = None

    def now_ms(self) -> int:
        """The clock, never before the instance's last event."""
        return max(self._clock(), self._cell.state.updated_ms)

    def begin(self) -> Decision:
        """The seals that an instance lacks because it has just been born, or was before there were seals."""
        now_ms = self.now_ms()
        return self._decide(lambda: self._seals.missing(self._cell.state, now_ms))

    def contribution(
        self, bet: Bet, message: LinkMessage | ContributeMessage, now_ms: int
    ) -> Decision:
        """A contribution at this time, whose windows have been ended."""
        if self.is_fenced:
            return FENCED
        try:
            state = self._cell.state
            known = self._fold.known_player(state.definition.instance_id, bet.brand, bet.player_id)
            self._before = known[1].last
            command = Contribute(
                now_ms,
                self._entropy.uuid(),
                self._seals.streams(state),
                bet,
                message.rates,
                message.can_debit,
                self._crowd,
            )
            return self._prepared(decide.contribute(state, known[1], command), known)
        except Exception:  # noqa: BLE001 - contained: nothing has changed yet
            return self._fence()

    def opt_in(self, command: OptIn, now_ms: int) -> Decision:
        command = replace(command, at_ms=now_ms)
        state = self._cell.state
        name = state.definition.instance_id
        return self._decide(
            lambda: decide.opt_in(
                state, self._fold.player(name, command.brand, command.player_id), command
            )
        )

    def operation(self, command: OperatorCommand, now_ms: int) -> Decision:
        """What a person asks at this time; no event where it was done before."""
        return self._decide(
            lambda: operating.decide(self._cell.state, self._stamped(command, now_ms))
        )

    def _stamped(self, command: OperatorCommand, now_ms: int) -> OperatorCommand:
        """The command with what its sender cannot know: the time, and what decides a win."""
        if not isinstance(command, Trigger):
            return replace(command, at_ms=now_ms)
        return replace(
            command,
            at_ms=now_ms,
            round_id=self._entropy.uuid(),
            streams=self._seals.streams(self._cell.state),
            crowd=self._crowd,
        )

    def is_due(self, now_ms: int) -> bool:
        """Whether something has to happen before anything else is decided at this time."""
        return now_ms >= self.due_ms or now_ms >= self.round_ends_ms or self.lacks_crowd

    def passed_time(self, now_ms: int) -> Decision:
        """What time has done by now."""

        def decision() -> Events:
            state = self._cell.state
            round_ids = tuple([self._entropy.uuid() for _ in state.pots])
            command = PassTime(now_ms, round_ids, self._seals.streams(state), self._crowd)
            return passing.passed(state, command)

        return self._decide(decision)

    async def resolved_round(self, now_ms: int) -> Decision:
        """The end of the round that is over: drawn in steps, while the instance stands still and others go on."""
        if self.is_fenced:
            return FENCED
        try:
            return self._prepared(await self.raffling.resolved(now_ms), None)
        except Exception:  # noqa: BLE001 - contained: nothing has changed yet
            return self._fence()

    def taken(self, events: Events, player: Player) -> bool:
        """These events are in place: takes up what is derived from them; whether an alarm may be another one now.

        `player` is the events' player after them.
        """
        first = events[0]
        if isinstance(first, Contributed):
            if first.issued is not None:
                self.raffling.note(first, player)
            if first.attendance is None and len(events) == 1:
                return False
            if self._crowd is not None and first.attendance is not None:
                number = first.attendance.number
                self._crowd.note(number, first.at_ms, first.brand, first.player_id, self._before)
        if isinstance(first, OptInChanged):
            return False
        self.refresh()
        return True

    def refresh(self) -> None:
        """The rules may be others than before, a window has moved, or a round: takes up what depends on them."""
        state = self._cell.state
        due_ms, round_ends_ms = passing.due_ms(state), raffle.due_ms(state)
        self.due_ms = NEVER_MS if due_ms is None else due_ms
        self.round_ends_ms = NEVER_MS if round_ends_ms is None or self.is_fenced else round_ends_ms
        self.raffling.refresh()
        rules, crowd = state.rules, self._crowd
        self.lacks_crowd = rules.has_community and (
            crowd is None or crowd.retention_ms < rules.active_ms
        )

    def rest(self) -> None:
        """The instance stands still: time does nothing, and nobody is gathered, until it is refreshed."""
        self.due_ms = self.round_ends_ms = NEVER_MS
        self.lacks_crowd = False

    async def gather(self) -> None:
        """Gathers the active players from their rows, while the instance stands still and others go on."""
        state = self._cell.state
        self._crowd = await gathered(
            self._fold, state.definition.instance_id, retention_ms=state.rules.active_ms
        )
        self.lacks_crowd = False

    def alarm_ms(self) -> int | None:
        """When something has to happen though nobody comes."""
        if self.is_fenced or self.due_ms == self.round_ends_ms == NEVER_MS:
            return None
        state = self._cell.state
        found = (windows.alarm_ms(state), passing.next_ms(state), raffle.due_ms(state))
        return min((each for each in found if each is not None), default=None)

    def _decide(self, decision: Callable[[], Events | Rejection]) -> Decision:
        """Events with the states that follow, or a refusal. Nothing has changed yet, so any failure is contained."""
        if self.is_fenced:
            return FENCED
        try:
            return self._prepared(decision(), None)
        except Exception:  # noqa: BLE001 - contained: nothing has changed yet
            return self._fence()

    def _prepared(self, events: Events | Rejection, known: KnownPlayer | None) -> Decision:
        if isinstance(events, Rejection):
            self.refusals += 1
            return events
        if not events:
            return events, Prepared(self._cell.state, None, UNKNOWN_PLAYER)
        prepared = self._fold.prepare(self._cell, events, known)
        if len(events) == 1 and type(events[0]) is Contributed:
            ledger.check(prepared.state)
            return events, prepared
        more = following(self._cell, self._seals, prepared.state, events)
        if more:
            events = [*events, *more]
            prepared = self._fold.prepare(self._cell, events, known)
        ledger.check_whole(prepared.state)
        return events, prepared

    def _fence(self) -> Rejection:
        self.is_fenced = True
        self.round_ends_ms = NEVER_MS
        instance_id = self._cell.state.definition.instance_id
        _log.exception("instance fenced", instance_id=instance_id)
        return FENCED
