"""What an instance's owner decides, and all that follows from it: nothing is in place yet when it is told.

An exception before anything was staged fences this one instance (R-FLT-2): it refuses everything until a person looks
and restarts; so does an event that would put its ledger off, and a secret that is not the one committed to.
"""

from collections.abc import Callable

import structlog
from msgspec.structs import replace

from jackpotd.core import decide, ledger, operating, windows
from jackpotd.core.commands import Bet, Contribute, EndWindows, OperatorCommand, OptIn, Trigger
from jackpotd.core.events import Contributed, InstanceEvent, OptInChanged
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import UNKNOWN_PLAYER, LastSeen
from jackpotd.engine.cells import Cell
from jackpotd.engine.consequences import Seals, following
from jackpotd.engine.crowd import Crowd, gathered
from jackpotd.engine.fold import Fold, KnownPlayer, Prepared
from jackpotd.engine.messages import ContributeMessage, LinkMessage
from jackpotd.engine.ports import Clock, Entropy, Vault

FENCED = Rejection(Code.SYSTEM_ERROR, "this jackpot is out of service")
NEVER_MS = 1 << 62

_log = structlog.get_logger("jackpotd.actor")

Events = list[InstanceEvent]
Decision = tuple[Events, Prepared] | Rejection


class Decider:
    """Decides for one instance.

    `ends_ms` is when its next window ends: what comes then or later ends it first. While it `lacks_crowd`, active
    players have to be gathered before anything else is decided.
    """

    def __init__(
        self, cell: Cell, *, fold: Fold, clock: Clock, entropy: Entropy, vault: Vault
    ) -> None:
        self.is_fenced = False
        self.refusals = 0
        self.ends_ms = NEVER_MS
        self.lacks_crowd = False
        self._cell = cell
        self._fold = fold
        self._clock = clock
        self._entropy = entropy
        self._seals = Seals(vault, cell.state.definition.instance_id)
        self._crowd: Crowd | None = None
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
        return self._decide(lambda: decide.opt_in(self._cell.state, command))

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

    def ended_windows(self, now_ms: int) -> Decision:
        """What time has done by now."""

        def decision() -> Events:
            state = self._cell.state
            round_ids = tuple([self._entropy.uuid() for _ in state.pots])
            command = EndWindows(now_ms, round_ids, self._seals.streams(state), self._crowd)
            return windows.end(state, command)

        return self._decide(decision)

    def taken(self, events: Events) -> bool:
        """These events are in place: takes up what is derived from them; whether an alarm may be another one now."""
        first = events[0]
        if isinstance(first, Contributed):
            if first.attendance is None and len(events) == 1:
                return False
            if self._crowd is not None and first.attendance is not None:
                number = first.attendance.number
                self._crowd.note(number, first.at_ms, first.brand, first.player_id, self._before)
        if isinstance(first, OptInChanged):
            return False
        self.refresh()
        return self._cell.state.definition.rules.has_times

    def refresh(self) -> None:
        """The rules may be others than before, or a window has moved: takes up what depends on them."""
        state = self._cell.state
        ends_ms = windows.next_end_ms(state) if state.rules.has_times else None
        self.ends_ms = NEVER_MS if ends_ms is None else ends_ms
        rules, crowd = state.rules, self._crowd
        self.lacks_crowd = rules.has_community and (
            crowd is None or crowd.retention_ms < rules.active_ms
        )

    def rest(self) -> None:
        """The instance stands still: no window ends, and nobody is gathered, until it is refreshed."""
        self.ends_ms, self.lacks_crowd = NEVER_MS, False

    async def gather(self) -> None:
        """Gathers the active players from their rows, while the instance stands still and others go on."""
        state = self._cell.state
        self._crowd = await gathered(
            self._fold, state.definition.instance_id, retention_ms=state.rules.active_ms
        )
        self.lacks_crowd = False

    def alarm_ms(self) -> int | None:
        """When windows have to be ended though nobody comes."""
        if self.is_fenced or self.ends_ms == NEVER_MS:
            return None
        return windows.alarm_ms(self._cell.state)

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
        instance_id = self._cell.state.definition.instance_id
        _log.exception("instance fenced", instance_id=instance_id)
        return FENCED
