"""Who won in an entry of the journal, as rows."""

from collections.abc import Iterator, Sequence

from jackpotd.core.events import CommunityPaid, InstanceEvent, PotWon
from jackpotd.wire.rows import WinnerRow


def winner_rows(events: Sequence[InstanceEvent]) -> Iterator[tuple[int, WinnerRow]]:
    """The winners of an entry, each with a place that nobody else has in it.

    Every event takes a place, and a pot's community one for each of its winners. A win that was withheld keeps its row
    when it is released (which wins are still withheld, the instance knows), and loses it when it is rejected.
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
