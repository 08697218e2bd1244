"""Bodies of the admin listener about instances: their state, and what operators do to them (contract §8).

Unknown fields are refused with their path. Where a person touches money or rules a reason is needed, and recorded.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct

from jackpotd.core.state import Status
from jackpotd.wire.codec import IncomingAmount
from jackpotd.wire.gateway_messages import END, PLAIN_ID, Amount, Currency, Id
from jackpotd.wire.schedule import ScheduleDoc
from jackpotd.wire.template import Key, OwnerPath, Strict

Name = Annotated[str, Meta(min_length=1, max_length=256)]
Reason = Annotated[str, Meta(max_length=1024)]
NeededReason = Annotated[
    str, Meta(min_length=1, max_length=1024, pattern=r"\S", description="why; it is recorded")
]
PotId = Annotated[str, Meta(min_length=1, max_length=64)]
AnyBrand = Annotated[
    str,
    Meta(
        pattern=f"^{PLAIN_ID}(:{PLAIN_ID})?{END}",
        description="operator:brand, or a brand of the instance's operator",
    ),
]
LINKS_MAX = 64
DESTINATIONS_MAX = 64


class InstantiateDoc(Strict, frozen=True):
    """`POST /templates/instantiate`; `linked_instance` is one link to begin with.

    With a schedule that begins later the instance is Pending until then. A raffle needs one.
    """

    template_owner_id: OwnerPath
    template_id: Key
    instance_owner_id: OwnerPath
    instance_name: Name
    linked_instance: str | None = None
    status: Literal["Pending", "Active"] = "Active"
    schedule: ScheduleDoc | None = None


class SealState(Struct, frozen=True):
    """The commitment to the secret that decides a pot's draws, from the contribution after these on."""

    number: int
    commitment: str
    sealed_at: int
    contributions_before: int


class PotState(Struct, frozen=True):
    """A pot with its reserve, its hits and what it paid, in the jackpot's currency.

    `max_pot_value` is the ceiling; `withheld`: wins that wait for a person; `pending_changes`: parameters that wait for
    the pot's next win.
    """

    id: str
    is_progressive: bool
    current_value: Amount
    seed_reserve: Amount
    boost: Amount
    max_pot_value: Amount
    instance_count: int
    max_instantiation_count: int | None
    is_open: bool
    hits: int
    wins: Amount
    withheld: Amount
    pending_changes: int
    seal: SealState | None


class RaffleState(Struct, frozen=True):
    """A raffle's round, running or ahead, with what was issued in it; null where none is set.

    `missed_rounds` were over before anybody served them.
    """

    round: int | None
    starts: int | None
    ends: int | None
    tickets: int
    entrants: int
    missed_rounds: int


class InstanceState(Struct, frozen=True):
    """An instance with its books: every account of the ledger, money in negative, adding up to zero.

    `timestamp_start` and `timestamp_end` are those of a raffle's round, else those of the schedule.
    """

    id: str
    name: str
    owner_id: str
    template_id: str
    template_owner_id: str
    jackpot_type: str
    currency: str
    status: Status
    instance_version: int
    opt_in_required: bool
    contribution_type: dict[str, Any]
    allowed_brands: list[str]
    allowed_sources: list[str]
    linked_instances: list[str]
    pots: list[PotState]
    contribution_count: int
    ledger: dict[str, Amount]
    pending_changes: int
    inherits_optins_of: str | None
    schedule: ScheduleDoc | None
    timestamp_start: int | None
    timestamp_end: int | None
    raffle: RaffleState | None
    created_timestamp: int
    last_updated: int


class StatusDoc(Strict, frozen=True):
    """`PUT /instances/{id}/status`."""

    status: Literal["Pending", "Active", "Paused", "Terminated", "Ended"]
    reason: Reason = ""


class LinksDoc(Strict, frozen=True):
    """The instances that receive when this one does, in their order."""

    linked_instances: Annotated[list[str], Meta(max_length=LINKS_MAX)]


class PotMoneyDoc(Strict, frozen=True):
    """`POST /instances/{id}/seedboosts` and `…/adjustments`; the amount is in the jackpot's currency."""

    pot_id: PotId
    amount: IncomingAmount
    reason: NeededReason


class TriggerPlayerDoc(Strict, frozen=True):
    """Whom an external trigger is for; paid in this currency, by default the one that they contributed in last."""

    id: Id
    brand_id: AnyBrand
    currency: Currency | None = None


class TriggerDoc(Strict, frozen=True):
    """`POST /instances/{id}/pots/{pot_id}/trigger`; a round triggers a pot once."""

    player: TriggerPlayerDoc
    gameround_id: Id
    reason: NeededReason


class TriggerAnswer(Struct, frozen=True):
    """What an external trigger has paid, in the player's currency."""

    instance_id: str
    pot_id: str
    gameround_id: str
    player_id: str
    brand_id: str
    win_amount: Amount
    win_currency: str
    win_withheld: bool
    timestamp: int


class ReasonDoc(Strict, frozen=True):
    """Why."""

    reason: NeededReason


class HeldWinState(Struct, frozen=True):
    """A win whose money waits for a person; `win_amount` is in the player's currency, `amount` in the jackpot's.

    A raffle's has the round that it was won in.
    """

    gameround_id: str
    pot_id: str
    timestamp: int
    player_id: str
    brand_id: str
    amount: Amount
    currency: str
    win_amount: Amount
    win_currency: str
    raffle_round: int | None


class ParametersDoc(Strict, frozen=True):
    """`PUT /instances/{id}/parameters`: a template's fields as they shall be, with `pots` as an object by id."""

    changes: dict[str, Raw]
    reason: NeededReason


class PendingState(Struct, frozen=True):
    """Parameters that wait for the next win of a pot, or (null) of any; a raffle's wait for the end of its round."""

    id: str
    pot_id: str | None
    changes: Raw
    before: Raw
    asked_at: int
    by: str
    reason: str


class ParametersAnswer(Struct, frozen=True):
    """The template as it is in effect, and what waits."""

    parameters: Raw
    pending: list[PendingState]


class DestinationDoc(Strict, frozen=True):
    """Where the money of a pot goes."""

    pot_id: PotId
    instance_id: str
    target_pot_id: PotId


class DecommissionDoc(Strict, frozen=True):
    """`POST /instances/{id}/decommission`: every pot has a destination. `dry_run` validates and shows the amounts."""

    destinations: Annotated[list[DestinationDoc], Meta(max_length=DESTINATIONS_MAX)]
    reason: NeededReason
    dry_run: bool = False


class TransferState(Struct, frozen=True):
    """Money that moves from a pot to one of another instance: of its value, its seed reserve and its boost."""

    transfer_id: str
    pot_id: str
    instance_id: str
    target_pot_id: str
    amount: Amount
    seed_reserve: Amount
    boost: Amount


class DecommissionAnswer(Struct, frozen=True):
    """What moves, or would move, and the instance after it."""

    dry_run: bool
    transfers: list[TransferState]
    instance: InstanceState


class PotRuleDoc(Strict, frozen=True):
    """How a pot is shared out among pots of the new instance; the weights add up to 1."""

    source_pot: PotId
    target_pot: dict[str, Raw]


class SwitchModelDoc(Strict, frozen=True):
    """`POST /instances/switchmodel`."""

    source_instance_id: str
    template_id: Key
    template_owner_id: OwnerPath
    target_instance_owner_id: OwnerPath
    target_instance_name: Name
    pot_rules: Annotated[list[PotRuleDoc], Meta(max_length=DESTINATIONS_MAX)]
    reason: NeededReason
    transfer_optins: bool = True
    dry_run: bool = False


class SwitchModelAnswer(Struct, frozen=True):
    """What moves, or would move, and the new instance with it; null where that is still to be seen.

    `stage` is Validated, Begun (the rest is done in the background), or Done.
    """

    dry_run: bool
    stage: Literal["Validated", "Begun", "Remapped", "Done"]
    source_instance_id: str
    target_instance_id: str | None
    transfers: list[TransferState]
    pots: dict[str, Amount]
    instance: InstanceState | None


class ApprovalAnswer(Struct, frozen=True):
    """A request that waits for a second person, or has waited; `request` is its body as it was asked."""

    approval_id: str
    kind: str
    state: Literal["Waiting", "Expired", "Approved", "Executed", "Failed", "Rejected"]
    owner_id: str
    path: dict[str, str]
    request: Raw
    asked_by: str
    asked_at: int
    expires_at: int
    decided_by: str | None
    decided_at: int | None
    note: str
