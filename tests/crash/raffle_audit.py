"""What the server shows of a raffle over HTTP: its round with the entrants, past rounds, winners and credits."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from .demo_jackpots import as_units

if TYPE_CHECKING:
    from .calls import Caller
    from .demo_jackpots import Jackpot
    from .facts import Prize, RoundResolved
    from .jackpot_oracle import JackpotAccount
    from .raffle_oracle import RaffleAccount, RoundAccount

LIST_MAX: Final = 1000
ROUNDS_READ: Final = 12


@dataclass(frozen=True, slots=True)
class RaffleShown:
    """One reading."""

    entrants: list[dict[str, Any]]
    rounds: list[dict[str, Any]]
    latest: list[dict[str, Any]]  # rounds with their winners


async def read_raffle(
    gateway: Caller, admin: Caller, raffle: RaffleAccount, jackpot: Jackpot
) -> RaffleShown:
    """The entrants of the running round, all rounds, and the latest ones with all that they came to."""
    path = f"/instances/{jackpot.id}/rounds"
    latest = [each.number for each in reversed(raffle.resolved[-ROUNDS_READ:])]
    return RaffleShown(
        await gateway.get(f"/jackpots/instances/raffle/{jackpot.id}/tickets", {"limit": LIST_MAX}),
        await admin.get(path, {"limit": LIST_MAX}),
        [await admin.get(f"{path}/{number}") for number in latest],
    )


def check_raffle(account: JackpotAccount, instance: dict[str, Any], shown: RaffleShown) -> None:
    """All of it is what the journal adds up to."""
    raffle = account.raffle
    assert raffle is not None
    running = raffle.running
    assert instance["jackpot_type"] == "Raffle"
    assert instance["raffle"]["missed_rounds"] == raffle.missed
    if running is not None:
        _check_running(running, instance["raffle"], shown.entrants)
    expected = [_round(each) for each in reversed(raffle.resolved[-LIST_MAX:])]
    assert [_round_shown(each) for each in shown.rounds] == expected
    for event, latest in zip(reversed(raffle.resolved), shown.latest, strict=False):
        assert _round_shown(latest) == _round(event)
        _check_prizes(event, latest)


def _check_running(
    running: RoundAccount, shown: dict[str, Any], entrants: list[dict[str, Any]]
) -> None:
    times = (running.starts_ms, running.ends_ms)
    assert (shown["round"], shown["starts"], shown["ends"]) == (running.number, *times)
    assert (shown["tickets"], shown["entrants"]) == (running.tickets, len(running.entrants))
    expected = [(*each.player, each.tickets, each.accumulated) for each in running.entrants]
    found = [
        (
            each["brand_id"],
            each["player_id"],
            each["ticket_count"],
            as_units(each["accumulated_cost"]),
        )
        for each in entrants
    ]
    assert found == expected[:LIST_MAX]
    assert {(each["timestamp_start"], each["timestamp_end"]) for each in entrants} <= {times}


def _round(event: RoundResolved) -> tuple[int, ...]:
    return (
        event.number,
        event.starts_ms,
        event.ends_ms,
        event.at_ms,
        event.tickets,
        event.entrants,
        event.counted,
        event.pot,
        len(event.prizes),
        sum(prize.paid for prize in event.prizes),
        event.shortfall + event.deficit,
    )


def _round_shown(shown: dict[str, Any]) -> tuple[int, ...]:
    plain = ("number", "start", "end", "resolved_at", "tickets", "entrants")
    return (
        *(shown[name] for name in plain),
        as_units(shown["counted"]),
        as_units(shown["pot_value"]),
        shown["prizes"],
        as_units(shown["paid"]),
        as_units(shown["seed_deficit"]),
    )


def _check_prizes(event: RoundResolved, shown: dict[str, Any]) -> None:
    """A winner for each prize that was paid, and one credit for each winner."""
    paid = [prize for prize in event.prizes if prize.win]
    assert [_winner_shown(each) for each in shown["winners"]] == [_winner(each) for each in paid]
    transactions = [each for batch in shown["credits"] for each in batch["transactions"]]
    assert len({each["transaction_id"] for each in transactions}) == len(transactions)
    credited = sorted(
        (each["gameround_id"], each["player_id"], each["currency"], as_units(each["amount"]))
        for each in transactions
    )
    assert credited == sorted(
        (prize.round_id, prize.winner.player_id, prize.winner.currency, prize.win) for prize in paid
    )
    told = sum(
        (Decimal(each["win_amount"]) for of in shown["events"] for each in of["data"]["winners"]),
        Decimal(0),
    )
    assert as_units(told) == sum(prize.paid for prize in paid)


def _winner(prize: Prize) -> tuple[str | int, ...]:
    who = prize.winner
    return (
        prize.round_id,
        who.player_id,
        who.brand,
        prize.tier,
        prize.paid,
        prize.win,
        who.currency,
    )


def _winner_shown(shown: dict[str, Any]) -> tuple[str | int, ...]:
    return (
        shown["gameround_id"],
        shown["player_id"],
        shown["brand_id"],
        shown["tier"],
        as_units(shown["amount"]),
        as_units(shown["win_amount"]),
        shown["win_currency"],
    )
