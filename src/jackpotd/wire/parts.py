"""What records and rows hold in parts: mirrors of the core's nested structs, under the same names.

The same fields in the same order, and the same rules of evolution as the journal's records. Bytes of the core are JSON
here, as it stands; none at all is null.
"""

from typing import Any

from msgspec import Raw, Struct
from msgspec.structs import astuple

from jackpotd.core import events as core_events
from jackpotd.core import schedule as core_schedule
from jackpotd.core import state as core_state
from jackpotd.core.rules import CommunityKind
from jackpotd.wire.codec import NULL

_WHITE = b" \t\r\n"


class _Part(Struct, frozen=True, array_like=True):
    pass


class Attendance(_Part, frozen=True):
    number: int
    lifetime: int
    in_cycles: tuple[int, ...]
    lots: tuple[tuple[int, int, int], ...] = ()


class Issued(_Part, frozen=True):
    round: int
    entrant: int
    counted: int
    awarded: int
    accumulated: int


class Callback(_Part, frozen=True, tag="webhook"):
    """Where the results of a contribution are sent; its tag marks the records that the feed has to look at."""

    url: str
    win_result_only: bool


class DailyRule(_Part, frozen=True):
    hours: tuple[tuple[int, int], ...]
    interval: int = 1


class WeeklyRule(_Part, frozen=True):
    days: tuple[tuple[int, tuple[tuple[int, int], ...] | None], ...]
    interval: int = 1


class Schedule(_Part, frozen=True):
    start_ms: int | None
    end_ms: int | None
    daily: tuple[DailyRule, ...] = ()
    weekly: tuple[WeeklyRule, ...] = ()


class BoundSchedule(_Part, frozen=True):
    brand: str
    schedule: Schedule


class Round(_Part, frozen=True):
    number: int
    starts_ms: int
    ends_ms: int
    tickets: int = 0
    entrants: int = 0
    counted: int = 0


class Seal(_Part, frozen=True):
    number: int
    nonce: str
    commitment: str
    at_ms: int
    first: int
    floor: int


class Contributor(_Part, frozen=True):
    brand: str
    player_id: str
    currency: str
    player_rate: int
    jackpot_rate: int


class Payout(_Part, frozen=True):
    strategy: int
    kind: CommunityKind
    winner: Contributor
    win: int
    paid: int
    draw: int = 0
    among: int = 0


class Prize(_Part, frozen=True):
    tier: int
    winner: Contributor
    round_id: str
    entrant: int
    draw: int
    among: int
    value: int
    win: int
    paid: int
    is_withheld: bool = False


class Window(_Part, frozen=True):
    index: int
    is_done: bool = False
    total: int = 0
    candidate: Contributor | None = None


class Leader(_Part, frozen=True):
    brand: str
    player_id: str
    total: int
    number: int


class HeldWin(_Part, frozen=True):
    round_id: str
    pot: int
    at_ms: int
    winner: Contributor
    win: int
    paid: int
    raffle_round: int = 0


class RarePot(_Part, frozen=True):
    boost: int = 0
    is_due: bool = False
    windows: tuple[Window, ...] = ()
    leaders: tuple[Leader, ...] = ()
    undistributed: int = 0


class PendingChange(_Part, frozen=True):
    id: str
    pot: int | None
    changes: Raw
    at_ms: int
    by: str
    reason: str


class Transfer(_Part, frozen=True):
    id: str
    pot: int
    to_instance: str
    to_pot: str
    value: int
    reserve: int
    boost: int


class Rare(_Part, frozen=True):
    seals: tuple[Seal | None, ...]
    pots: tuple[RarePot, ...]
    lifetime: tuple[Leader, ...] = ()
    held: tuple[HeldWin, ...] = ()
    withheld: int = 0
    sent: int = 0
    received: int = 0
    net: int = 0
    transfers: tuple[Transfer, ...] = ()
    taken: tuple[str, ...] = ()
    pending: tuple[PendingChange, ...] = ()
    document: Raw = NULL
    inherits: str = ""
    schedules: tuple[BoundSchedule, ...] = ()
    round: Round | None = None
    rounds: int = 0
    missed: int = 0
    round_end_ms: int = 0


class LastSeen(_Part, frozen=True):
    number: int
    at_ms: int
    currency: str
    player_rate: int
    jackpot_rate: int


class Tickets(_Part, frozen=True):
    round: int
    entrant: int
    count: int
    accumulated: int


# Those whose fields hold no struct and no JSON are copied at once: boards have many.
_FLAT: dict[type, type] = {
    core_events.Attendance: Attendance,
    core_events.Issued: Issued,
    core_schedule.DailyRule: DailyRule,
    core_schedule.WeeklyRule: WeeklyRule,
    core_state.Round: Round,
    core_state.Tickets: Tickets,
    core_state.Seal: Seal,
    core_state.Contributor: Contributor,
    core_state.Leader: Leader,
    core_state.Transfer: Transfer,
    core_state.LastSeen: LastSeen,
}
_NESTED: dict[type, type] = {
    core_events.Payout: Payout,
    core_events.Prize: Prize,
    core_schedule.Schedule: Schedule,
    core_state.BoundSchedule: BoundSchedule,
    core_state.Window: Window,
    core_state.HeldWin: HeldWin,
    core_state.RarePot: RarePot,
    core_state.PendingChange: PendingChange,
    core_state.Rare: Rare,
}
CORE = (*_FLAT, *_NESTED)
"""The core's structs that have a mirror here."""
_FLAT_CORE: dict[type, type] = {part: kind for kind, part in _FLAT.items()}
_NESTED_CORE: dict[type, type] = {part: kind for kind, part in _NESTED.items()}


def part_of(value: Any) -> Any:
    """The mirror of a core's struct with all that it holds; other values as they are, bytes as JSON."""
    return _copied(value, _FLAT, _NESTED)


def core_of(value: Any) -> Any:
    """What `part_of` made a mirror of."""
    return _copied(value, _FLAT_CORE, _NESTED_CORE)


def _copied(value: Any, flat: dict[type, type], nested: dict[type, type]) -> Any:
    kind = type(value)
    if kind is tuple:
        return tuple([_copied(each, flat, nested) for each in value])
    if kind in flat:
        return flat[kind](*astuple(value))
    if kind in nested:
        return nested[kind](*[_copied(each, flat, nested) for each in astuple(value)])
    if kind is bytes:
        return raw_of(value)
    if kind is Raw:
        return bytes_of(value)
    return value


def raw_of(document: bytes) -> Raw:
    """JSON that the core keeps as bytes; white space around it goes, as it would go when it is read back."""
    found = document.strip(_WHITE)
    return Raw(found) if found else NULL


def bytes_of(raw: Raw) -> bytes:
    """The bytes that the core keeps of JSON; none for null."""
    return b"" if raw == NULL else bytes(raw)
