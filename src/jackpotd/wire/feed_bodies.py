"""What the events of the gateway's stream say (contract §6): their `data`, field for field as documented.

Brands are `operator:brand`, times Unix milliseconds, amounts in the jackpot's currency.
"""

from collections.abc import Mapping

from msgspec import Struct

from jackpotd.wire import codec
from jackpotd.wire.gateway_messages import Amount, CurrenciesAnswer, Opaque


class PotTicker(Struct, frozen=True):
    """A pot as a ticker shows it."""

    id: str
    is_progressive: bool
    current_value: Amount


class JackpotUpdateData(Struct, frozen=True):
    """`JackpotUpdateEvent`: an instance as it stands; the times are those of its schedule, or of a raffle's round."""

    id: str
    status: str
    jackpot_type: str
    currency: str
    allowed_brands: list[str]
    allowed_sources: list[str]
    pots: list[PotTicker]
    timestamp_start: int | None
    timestamp_end: int | None
    last_updated: int


class Payout(Struct, frozen=True):
    """What one of several winners gets; `currency` is that of the amount."""

    player_id: str
    brand_id: str
    currency: str
    win_amount: Amount


class JackpotWinData(Struct, frozen=True):
    """`JackpotWinEvent`: a pot was won. `win_amount` is the winner's own part, `seed` what the pot starts again with.

    `source_id` and `metadata` are those of the contribution that won; null where none did. `currency_multipliers` are
    the winner's brand's, with those that the win was converted by. `games_in_jackpot` are the ids of its sources.
    """

    brand_id: str
    player_id: str
    source_id: str | None
    instance_id: str
    jackpot_name: str
    jackpot_currency: str
    timestamp: int
    win_pot_id: str
    win_amount: Amount
    currency_multipliers: CurrenciesAnswer | None
    games_in_jackpot: list[str]
    seed: Amount
    win_withheld: bool
    seed_deficit: Amount
    community_winners: list[Payout] | None
    metadata: Opaque


class OptInData(Struct, frozen=True):
    """`OptInEvent`: a player has opted in or out; the counts are of all that they had contributed by then.

    The preferred contribution is in the currency that the player chose; null where none was chosen with this change.
    """

    instance_id: str
    player_id: str
    ext_player_id: str
    player_brand_id: str
    preferred_contribution_value: Amount
    contribution_count: int
    contribution_value: Amount
    opted_in: bool
    last_updated: int


class CommunityPayoutErrorData(Struct, frozen=True):
    """`CommunityPayoutErrorEvent`: credits of a pot's community that a wallet did not take."""

    instance_id: str
    gameround_id: str
    tx_credit_id: str
    failed_payouts: list[Payout]


class RafflePayoutErrorData(Struct, frozen=True):
    """`RafflePayoutErrorEvent`: credits of a raffle's round that a wallet did not take."""

    instance_id: str
    failed_payouts: list[Payout]


def currencies_answer(brand: str, base_currency: str, rates: Mapping[str, int]) -> CurrenciesAnswer:
    """The multipliers of a brand; rates in units."""
    return CurrenciesAnswer(
        brand, base_currency, {code: codec.amount(rate) for code, rate in rates.items()}
    )
