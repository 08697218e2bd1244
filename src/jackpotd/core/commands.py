"""What the core may be asked, stamped with time and secrets by the caller; it reads neither itself."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from jackpotd.core.fairness import PotStream
from jackpotd.core.rules import Rules
from jackpotd.core.schedule import Schedule
from jackpotd.core.state import Contributor, LastSeen, PendingChange, Status, Transfer

Streams = tuple[PotStream | None, ...]
"""For each pot what its secret decides; None for a closed pot."""


class Crowd(Protocol):
    """The players of an instance by when they contributed last, as they stood before the command.

    Ordered by the number of their last contribution: that order is the same for everybody who counts again.
    """

    def active(self, since_ms: int) -> int:
        """How many contributed at or after this time."""
        ...

    def at(self, since_ms: int, place: int) -> tuple[str, str]:
        """Brand and id of one of those, by place from 0."""
        ...

    def seen(self, brand: str, player_id: str) -> LastSeen | None:
        """A player's last contribution, if there was one."""
        ...


class Bet(Struct, frozen=True, gc=False, array_like=True):
    """What a player did, as every instance that receives from it sees it; `wager` is in units of `currency`.

    `source_id` is the source that was named, if any; the reference leads back to the player's own action.
    """

    brand: str
    player_id: str
    country: str | None
    segments: tuple[str, ...] | None
    vertical: str | None
    currency: str
    wager: int
    source_id: str | None
    reference_type: str
    reference_id: str | None


class Contribute(Struct, frozen=True, gc=False):
    """One contribution to one instance.

    `rates` are the brand's multipliers to its base currency, as units. `can_debit` says whether the brand has a wallet
    that the player's part can be taken from. `crowd` is needed where a community is paid.
    """

    at_ms: int
    round_id: str
    streams: Streams
    bet: Bet
    rates: Mapping[str, int]
    can_debit: bool = True
    crowd: Crowd | None = None


class PassTime(Struct, frozen=True):
    """Time has passed: the schedule may begin or be over, and windows that are over end with their fallbacks drawn.

    `round_ids`, one for each pot.
    """

    at_ms: int
    round_ids: tuple[str, ...]
    streams: Streams
    crowd: Crowd | None = None


class Trigger(Struct, frozen=True):
    """A person says that a pot's external trigger has come, for this player."""

    at_ms: int
    round_id: str
    pot_id: str
    winner: Contributor
    reference_id: str
    by: str
    reason: str
    streams: Streams
    crowd: Crowd | None = None


class DecideHeldWin(Struct, frozen=True):
    """A person releases or rejects a withheld win; with an id it is done once, however often it is asked for."""

    at_ms: int
    round_id: str
    pot_id: str
    release: bool
    by: str
    reason: str
    id: str = ""


class Boost(Struct, frozen=True):
    """The operator adds to a pot's buffer for reseeds."""

    at_ms: int
    pot_id: str
    amount_units: int
    by: str
    reason: str


class Adjust(Struct, frozen=True):
    """A person corrects a pot's value, up or down; with an id it is done once, however often it is asked for."""

    at_ms: int
    pot_id: str
    amount_units: int
    by: str
    reason: str
    id: str = ""


class AskChange(Struct, frozen=True):
    """New parameters, checked by the caller: each part waits for its pot's next win, or (pot None) for any."""

    at_ms: int
    parts: tuple[PendingChange, ...]
    before: bytes


class ApplyChanges(Struct, frozen=True):
    """Pending parameters whose win has come: (id, new document, rules); an empty document drops the change."""

    at_ms: int
    changed: tuple[tuple[str, bytes, Rules | None], ...]


class SendTransfers(Struct, frozen=True):
    """Moves the money of pots to other instances and terminates this one: all pots must go somewhere.

    The transfers' amounts are 0 here: each pot's whole content is shared out by `weights`, one for each transfer.
    """

    at_ms: int
    transfers: tuple[Transfer, ...]
    weights: tuple[int, ...]
    by: str
    reason: str


class TakeTransfer(Struct, frozen=True):
    """Money of another instance arrives; taken once."""

    at_ms: int
    from_instance: str
    transfer: Transfer


class FinishTransfer(Struct, frozen=True):
    """The other instance has taken what was sent."""

    at_ms: int
    id: str


class Inherit(Struct, frozen=True):
    """Opt-ins of another instance count here from now on, or (empty) no longer."""

    at_ms: int
    from_instance: str


class SetSchedule(Struct, frozen=True):
    """A person gives a brand a schedule of its own, or (empty) the instance; None takes it away."""

    at_ms: int
    brand: str
    schedule: Schedule | None
    by: str
    reason: str


class OptIn(Struct, frozen=True, gc=False):
    """A player's wish to take part or not, with the contribution that they prefer, if any."""

    at_ms: int
    brand: str
    player_id: str
    country: str | None
    opt_in: bool
    preferred: int | None
    preferred_currency: str | None
    rates: Mapping[str, int]


class ChangeStatus(Struct, frozen=True, gc=False):
    """A person's wish to start, pause, resume or terminate an instance."""

    at_ms: int
    status: Status
    reason: str
    by: str


OperatorCommand = (
    Trigger
    | DecideHeldWin
    | Boost
    | Adjust
    | AskChange
    | SendTransfers
    | TakeTransfer
    | FinishTransfer
    | Inherit
    | SetSchedule
    | ChangeStatus
)
"""What is asked of an instance beside play; `decide` takes each of them."""
