"""What the end of a raffle's round tells the world: win events (contract §6) and batches of credits (§10).

Made from the rows of the round. Each id is derived from what it stands for, so whoever is told twice can see it, also
after a crash or a move. A prize that was withheld at first has an event, and a credit once it is released, of its own
kind: what was told of the others never changes.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from msgspec import Struct

from jackpotd.core import money
from jackpotd.core.state import Definition, Instance
from jackpotd.wire.codec import amount
from jackpotd.wire.gateway_messages import Amount, CurrenciesAnswer
from jackpotd.wire.rows import CreditRow, RoundRow, WinnerRow

_NAMES = uuid.UUID("6f0f3c52-9b57-4d0e-8a5b-1f6c1c7a9d34")

RatesOf = Callable[[str], CurrenciesAnswer | None]
"""The multipliers of a brand, `operator:brand`; None where there are none."""


class RaffleWinner(Struct, frozen=True):
    """One winner of a round; the amount is in the jackpot's currency, which is named."""

    player_id: str
    brand_id: str
    currency: str
    win_amount: Amount


class RaffleWinData(Struct, frozen=True):
    """A brand's winners of a round. `currency_multipliers` are the brand's as they are now."""

    brand_id: str
    instance_id: str
    jackpot_name: str
    jackpot_currency: str
    currency_multipliers: CurrenciesAnswer | None
    timestamp: int
    winners: list[RaffleWinner]
    win_withheld: bool
    metadata: None = None


class RaffleWinEvent(Struct, frozen=True):
    """`RaffleWinEvent`: one for each brand with winners, and one more for those whose prizes were withheld."""

    event_type: Literal["RaffleWinEvent"]
    event_id: str
    data: RaffleWinData


class CreditTransaction(Struct, frozen=True):
    """A prize for a wallet, in the player's currency."""

    transaction_id: str
    player_id: str
    brand_id: str
    currency: str
    amount: str
    gameround_id: str


class CreditBatch(Struct, frozen=True):
    """Credits that the wallet of a brand takes at once; brands are bare, beside their operator."""

    batch_id: str
    operator_id: str
    brand_id: str
    instance_id: str
    transactions: list[CreditTransaction]


def raffle_win_events(
    state: Instance, round_: RoundRow, winners: Sequence[WinnerRow], rates_of: RatesOf
) -> list[RaffleWinEvent]:
    """The events of a resolved round, brands in the order of their first winners."""
    return [
        RaffleWinEvent("RaffleWinEvent", _event_id(data, round_.number), data)
        for data in raffle_wins(state.definition, round_, winners, rates_of)
    ]


def raffle_wins(
    definition: Definition, round_: RoundRow, winners: Sequence[WinnerRow], rates_of: RatesOf
) -> list[RaffleWinData]:
    """What the events of a resolved round say, brands in the order of their first winners."""
    found: dict[tuple[str, bool], list[WinnerRow]] = {}
    for row in winners:
        found.setdefault((row.brand, row.win_withheld), []).append(row)
    return [
        _data(definition, round_, brand, rows, rates_of(brand), is_withheld=is_withheld)
        for (brand, is_withheld), rows in found.items()
    ]


def _data(
    definition: Definition,
    round_: RoundRow,
    brand: str,
    rows: Sequence[WinnerRow],
    rates: CurrenciesAnswer | None,
    *,
    is_withheld: bool,
) -> RaffleWinData:
    currency = definition.rules.currency
    return RaffleWinData(
        brand_id=brand,
        instance_id=definition.instance_id,
        jackpot_name=definition.name,
        jackpot_currency=currency,
        currency_multipliers=rates,
        timestamp=round_.resolved_ms,
        winners=[
            RaffleWinner(row.player_id, row.brand, currency, amount(row.paid)) for row in rows
        ],
        win_withheld=is_withheld,
    )


def _event_id(data: RaffleWinData, number: int) -> str:
    kind = "raffle win withheld" if data.win_withheld else "raffle win"
    return _id(kind, data.instance_id, number, data.brand_id)


def credit_batches(
    instance_id: str, number: int, rows: Sequence[CreditRow], withheld_at_first: set[str]
) -> list[CreditBatch]:
    """The batches of a round's credits that have still to be told.

    Args:
        instance_id: the raffle.
        number: the round.
        rows: its credits; those that are still withheld are left out.
        withheld_at_first: ids of the rounds of play whose prizes were withheld: each released one is a batch by itself.
    """
    told: dict[str, list[CreditRow]] = {}
    for row in rows:
        if not row.is_withheld and row.round_id not in withheld_at_first:
            told.setdefault(row.brand, []).append(row)
    batches = [
        _batch(_id("credits", instance_id, number, brand), instance_id, brand, own)
        for brand, own in told.items()
    ]
    return [*batches, *_released(instance_id, rows, withheld_at_first)]


def _released(
    instance_id: str, rows: Sequence[CreditRow], withheld_at_first: set[str]
) -> Iterator[CreditBatch]:
    for row in rows:
        if not row.is_withheld and row.round_id in withheld_at_first:
            batch_id = _id("released credit", row.round_id)
            yield _batch(batch_id, instance_id, row.brand, [row])


def _batch(batch_id: str, instance_id: str, brand: str, rows: Sequence[CreditRow]) -> CreditBatch:
    operator_id, _, brand_id = brand.partition(":")
    transactions = [
        CreditTransaction(
            transaction_id=_id("credit", row.round_id),
            player_id=row.player_id,
            brand_id=brand_id,
            currency=row.currency,
            amount=money_text(row.amount, row.currency),
            gameround_id=row.round_id,
        )
        for row in rows
    ]
    return CreditBatch(batch_id, operator_id, brand_id, instance_id, transactions)


def money_text(units: int, currency: str) -> str:
    """An amount that can be paid, with all digits of the currency's minor unit: `0.10`."""
    whole, fraction = divmod(units, money.SCALE)
    count = len(str(money.SCALE // money.minor_step(currency))) - 1
    digits = f"{fraction:08d}".rstrip("0").ljust(count, "0")
    return f"{whole}.{digits}" if digits else str(whole)


def _id(*parts: object) -> str:
    return str(uuid.uuid5(_NAMES, "\0".join(map(str, parts))))
