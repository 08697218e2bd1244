"""Bodies of the gateway: contributions and opt-ins v1 and v2, and the reads.

Names and shapes are the documents' own (`gateway-operator-api`, `contributing-v2`, `connect-api`); the contract settles
the rest. Unknown fields are ignored: integrators send extras. Amounts come in as numbers or strings, exact.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct, field

from jackpotd.wire.codec import IncomingAmount, null

PLAIN_ID = r"[A-Za-z0-9_.\-]{1,64}"
END = r"(?![\s\S])"  # where `$` would let a newline pass

Id = Annotated[str, Meta(min_length=1, max_length=255)]
BrandPath = Annotated[
    str,
    Meta(
        pattern=f"^{PLAIN_ID}:{PLAIN_ID}{END}",
        description="operator:brand",
    ),
]
Currency = Annotated[str, Meta(pattern=f"^[A-Z0-9]{{3,8}}{END}", description="ISO 4217 code")]
Amount = Annotated[Raw, Meta(extra_json_schema={"type": "number"}, description="exact decimal")]
Opaque = Annotated[Raw, Meta(description="any JSON, passed through")]
Text = Annotated[str, Meta(max_length=1024)]


class Credentials(Struct, frozen=True):
    """Who asks for a token."""

    username: Text
    password: Text


class ServiceToken(Struct, frozen=True):
    """A bearer token of a service account."""

    token: str


class Callback(Struct, frozen=True):
    """The webhook of an asynchronous contribution."""

    web_hook: Text
    win_result_only: bool = False


class ContributionV1(Struct, frozen=True, gc=False, kw_only=True):
    """Fields that both v1 contributions share."""

    token: Text
    brand_id: BrandPath
    player_id: Id
    player_country: Text
    base_wager: IncomingAmount
    currency: Currency
    gameround_id: Text | None = None
    callback: Callback | None = None
    idempotency_key: str | None = None
    metadata: Opaque = field(default_factory=null)
    event_metadata: Opaque = field(default_factory=null)


class SourceContributionV1(ContributionV1, frozen=True, gc=False, kw_only=True):
    """`POST /jackpots/contribute/source`."""

    source_id: Id
    segments: list[Text] | None = None


class InstanceContributionV1(ContributionV1, frozen=True, gc=False, kw_only=True):
    """`POST /jackpots/contribute/instance`."""

    instance_id: Id


class Target(Struct, frozen=True, gc=False):
    """A source or an instance."""

    type: Literal["source", "instance"]
    id: Id


BareBrand = Annotated[str, Meta(pattern=f"^{PLAIN_ID}{END}")]


class PlayerV2(Struct, frozen=True, gc=False):
    """The contributing player; `brand_id` is the bare brand."""

    id: Id
    token: Text
    country: Text
    brand_id: BareBrand
    segments: list[Text] | None = None


class MoneyV2(Struct, frozen=True, gc=False):
    """An amount in a currency."""

    currency: Currency
    value: IncomingAmount


class SourceOfContribution(Struct, frozen=True, gc=False):
    """The user action behind a contribution, kept as a back-reference."""

    id: Text
    type: Text = "gameround"


class OptionsV2(Struct, frozen=True, gc=False):
    """Optional parameters of a v2 contribution."""

    vertical_id: Text | None = None
    allow_linked_contributions: bool | None = None
    idempotency_key: str | None = None
    callback: Callback | None = None


class ContributionV2(Struct, frozen=True, gc=False, kw_only=True):
    """`POST /v2/jackpots/contribute`; `owner_id` is an alias of `operator_id`."""

    target: Target
    player: PlayerV2
    base_wager: MoneyV2
    source: SourceOfContribution
    operator_id: BareBrand | None = None
    owner_id: BareBrand | None = None
    metadata: Opaque = field(default_factory=null)
    event_metadata: Opaque = field(default_factory=null)
    options: OptionsV2 | None = None


class ContributionAnswer(Struct, frozen=True, gc=False):
    """What one instance made of a contribution; amounts in the player's currency."""

    instance_id: str
    timestamp: int
    gameround_id: str
    win_amount: Amount
    win_pot_id: str | None
    tickets_awarded: int | None
    win_withheld: bool
    contribution_currency: str
    contribution_amount: Amount
    metadata: Opaque


class BatchAnswer(Struct, frozen=True):
    """The answer to one element of a batch: its status, and the body that it would have had alone."""

    status_code: int
    result: Any


class OptInV1(Struct, frozen=True, gc=False):
    """`POST /jackpots/optin`."""

    instance_id: Id
    player_id: Id
    brand_id: BrandPath
    player_country: Text
    opt_in: bool
    contribution_value: IncomingAmount | None = None
    contribution_currency: Currency | None = None


class OptInPlayerV2(Struct, frozen=True, gc=False):
    """The player of a v2 opt-in."""

    id: Id
    brand_id: BareBrand
    country: Text | None = None


class PreferenceV2(Struct, frozen=True, gc=False):
    """The contribution that a player prefers; the currency is by default the jackpot's."""

    value: IncomingAmount
    currency: Currency | None = None


class OptInV2(Struct, frozen=True, gc=False, kw_only=True):
    """`POST /v2/jackpots/optin`."""

    target: Target
    player: OptInPlayerV2
    opt_in: bool
    operator_id: BareBrand | None = None
    owner_id: BareBrand | None = None
    contribution_preference: PreferenceV2 | None = None
    opt_linked: bool | None = None


class FailedOptIn(Struct, frozen=True):
    """An instance that refused an opt-in."""

    instance_id: str
    status_code: int
    code: str
    message: str


class OptInAnswerV2(Struct, frozen=True, gc=False):
    """Which instances took the opt-in and which refused."""

    success: list[str]
    failed: list[FailedOptIn]


class SourceJackpot(Struct, frozen=True):
    """A jackpot mapped to a source."""

    priority: int
    owner_id: str
    instance_id: str


class SourceAnswer(Struct, frozen=True):
    """A source and its jackpots in ascending priority."""

    owner_id: str
    source_name: str
    source_id: str
    jackpots: list[SourceJackpot]


class PotContribution(Struct, frozen=True):
    """What a player put in since the pot's last win."""

    contribution_count: int
    contribution_value: Amount


class OptInStatus(Struct, frozen=True):
    """A player's standing with an instance."""

    doc_version: str
    instance_id: str
    player_id: str
    ext_player_id: str
    player_brand_id: str
    preferred_contribution_value: Amount
    preferred_contribution_currency: str | None
    contribution_preferences: dict[str, str]
    contribution_count: int
    contribution_value: Amount
    pot_contributions: dict[str, PotContribution]
    opted_in: bool
    last_updated: int


class PotAnswer(Struct, frozen=True):
    """A pot as front ends see it."""

    id: str
    instance_count: int
    is_progressive: bool
    current_value: Amount
    community_split: Amount


class InstanceAnswer(Struct, frozen=True):
    """`GET /jackpots/instances/source/{source_id}/brand/{brand_id}`."""

    id: str
    currency: str
    opt_in_required: bool
    contribution_type: dict[str, Any]
    optin_status: OptInStatus | None
    pots: list[PotAnswer]
    timestamp_start: int | None
    timestamp_end: int | None
    status: str


class WinnerAnswer(Struct, frozen=True):
    """One pot won, or a prize of a raffle; the amount is in the jackpot's currency."""

    instance_id: str
    pot_id: str
    player_id: str
    brand_id: str
    timestamp: int
    win_amount: Amount
    currency: str
    gameround_id: str
    win_withheld: bool
    community: bool


class TicketsAnswer(Struct, frozen=True):
    """What a player has in the running round of a raffle, which lasts from one time to before the other (Unix ms).

    `accumulated_cost` is what counts towards the next ticket already, in the jackpot's currency.
    """

    instance_id: str
    brand_id: str
    player_id: str
    ext_player_id: str
    ticket_count: int
    accumulated_cost: str
    timestamp_start: int
    timestamp_end: int


class SealedPot(Struct, frozen=True):
    """The commitment to what decides a pot, made at a time (Unix ms) before any contribution that it decides.

    `contributions_before` is how many contributions the instance had taken then: the next one is the first.
    """

    pot_id: str
    seal_number: int | None
    commitment: str | None
    sealed_at: int | None
    contributions_before: int | None


class FairnessAnswer(Struct, frozen=True):
    """The commitments of an instance as they stand after so many contributions."""

    instance_id: str
    contributions: int
    pots: list[SealedPot]


class CurrenciesAnswer(Struct, frozen=True):
    """The multipliers that apply to a brand."""

    brand_id: str
    base_currency: str
    multipliers: dict[str, Amount]


class Health(Struct, frozen=True):
    """The version; the status says whether the journal accepts writes."""

    version: str
