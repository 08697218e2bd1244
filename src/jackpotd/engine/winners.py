"""Who won in an entry of the journal, and what a raffle's round came to, as rows."""

from collections.abc import Iterator, Sequence

from jackpotd.core.events import (
    CommunityPaid,
    HeldWinDecided,
    InstanceEvent,
    PotWon,
    Prize,
    RoundResolved,
)
from jackpotd.engine.overlay import Overlay
from jackpotd.wire import rows
from jackpotd.wire.rows import CreditRow, RoundRow, WinnerRow


def put_winners(
    overlay: Overlay, instance_id: str, order: int, events: Sequence[InstanceEvent]
) -> None:
    """Puts the rows of those who won, and of the round of a raffle in which they did."""
    for place, row in winner_rows(events):
        overlay.put(rows.winner_key(instance_id, row.pot, order, place), row)
    for event in events:
        if isinstance(event, RoundResolved):
            overlay.put(rows.round_key(instance_id, event.number), round_row(event, order))
            for credit in credit_rows(event):
                key = rows.credit_key(instance_id, event.number, credit.round_id)
                overlay.put(key, credit)


def settle_held_win(overlay: Overlay, instance_id: str, decided: HeldWinDecided) -> None:
    """A rejected win was never paid: nobody won it. A raffle's that is released is a credit now."""
    if decided.raffle_round:
        _settle_prize(overlay, instance_id, decided)
        return
    for order, row in overlay.pot_winners_down(instance_id, decided.pot):
        if row.round_id == decided.round_id and not row.community:
            if not decided.is_released:
                overlay.remove(rows.winner_prefix(instance_id, decided.pot) + order)
            return


def _settle_prize(overlay: Overlay, instance_id: str, decided: HeldWinDecided) -> None:
    """The winner is among those of the round. A replay may find that row gone, and the credit there still."""
    number = decided.raffle_round
    credit = rows.credit_key(instance_id, number, decided.round_id)
    if not decided.is_released:
        overlay.remove(credit)
    ended = overlay.round(instance_id, number)
    if ended is None:
        return
    for key, row in overlay.round_winners_by_key(instance_id, ended.order):
        if row.round_id == decided.round_id:
            if decided.is_released:
                overlay.put(credit, released_credit(row))
            else:
                overlay.remove(key)
            return


def winner_rows(events: Sequence[InstanceEvent]) -> Iterator[tuple[int, WinnerRow]]:
    """The winners of an entry, each with a place that nobody else has in it.

    Every event takes a place, and a pot's community or a raffle's draw one for each of its winners. A win that was
    withheld keeps its row when it is released (which wins are still withheld, the instance knows), and loses it when it
    is rejected.
    """
    place = 0
    for event in events:
        if isinstance(event, CommunityPaid):
            for payout in event.payouts:
                row = WinnerRow(
                    at_ms=event.at_ms,
                    pot=event.pot,
                    brand=payout.winner.brand,
                    player_id=payout.winner.player_id,
                    paid=payout.paid,
                    round_id=event.round_id,
                    community=True,
                )
                yield place, row
                place += 1
            continue
        if isinstance(event, RoundResolved):
            for prize in paid_prizes(event):
                yield place, _raffle_winner(event, prize)
                place += 1
            continue
        if isinstance(event, PotWon):
            row = WinnerRow(
                at_ms=event.at_ms,
                pot=event.pot,
                brand=event.brand,
                player_id=event.player_id,
                paid=event.paid,
                round_id=event.round_id,
                win_withheld=event.is_withheld,
            )
            yield place, row
        place += 1


def paid_prizes(event: RoundResolved) -> list[Prize]:
    """Those of which anything could be paid."""
    return [prize for prize in event.prizes if prize.win]


def _raffle_winner(event: RoundResolved, prize: Prize) -> WinnerRow:
    return WinnerRow(
        at_ms=event.at_ms,
        pot=0,
        brand=prize.winner.brand,
        player_id=prize.winner.player_id,
        paid=prize.paid,
        round_id=prize.round_id,
        win_withheld=prize.is_withheld,
        raffle_round=event.number,
        tier=prize.tier,
        currency=prize.winner.currency,
        win=prize.win,
    )


def round_row(event: RoundResolved, order: int) -> RoundRow:
    """What a round came to; its winners are found by `order`."""
    return RoundRow(
        number=event.number,
        starts_ms=event.starts_ms,
        ends_ms=event.ends_ms,
        resolved_ms=event.at_ms,
        tickets=event.tickets,
        entrants=event.entrants,
        counted=event.counted,
        pot=event.pot,
        prizes=len(event.prizes),
        paid=sum(prize.paid for prize in event.prizes),
        seed_deficit=event.shortfall + event.deficit,
        order=order,
    )


def credit_rows(event: RoundResolved) -> Iterator[CreditRow]:
    """What the wallets of the winners have to be told."""
    for prize in paid_prizes(event):
        yield CreditRow(
            at_ms=event.at_ms,
            raffle_round=event.number,
            brand=prize.winner.brand,
            player_id=prize.winner.player_id,
            currency=prize.winner.currency,
            amount=prize.win,
            round_id=prize.round_id,
            is_withheld=prize.is_withheld,
        )


def released_credit(row: WinnerRow) -> CreditRow:
    """The credit of a raffle's winner whose prize was withheld, and is not any more."""
    return CreditRow(
        at_ms=row.at_ms,
        raffle_round=row.raffle_round,
        brand=row.brand,
        player_id=row.player_id,
        currency=row.currency,
        amount=row.win,
        round_id=row.round_id,
    )
