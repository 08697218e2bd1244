"""Who shares a win with the winner, and how much each gets (contract §9, "Community payouts").

Strategies are served in their order. The winner takes no part, and nobody is picked twice for one win. Each place has
an equal part of its strategy's share; a place that finds nobody, and a part below one minor unit, stay in the pot.
"""

from collections.abc import Iterator

from jackpotd.core.commands import Crowd
from jackpotd.core.events import Payout
from jackpotd.core.rules import WHOLE, CommunityKind, CommunityStrategy
from jackpotd.core.state import Contributor, Instance, Leader
from jackpotd.core.winners import Winner, payable

Who = tuple[str, str]
Pick = tuple[Who, int, int]
"""Somebody, the number that picked them, and among how many."""


def payouts(state: Instance, pot: int, value: int, winner: Winner) -> tuple[Payout, ...]:
    """What each community winner gets of a pot that held so much when it tipped."""
    rules = state.rules.pots[pot]
    crowd = winner.crowd
    if not rules.community:
        return ()
    if crowd is None:
        raise ValueError("a community is paid, but nobody is known")
    taken: set[Who] = {(winner.who.brand, winner.who.player_id)}
    found: list[Payout] = []
    for at, strategy in enumerate(rules.community):
        part = value * strategy.share // WHOLE // strategy.winners
        for who, draw, among in _picks(state, pot, at, strategy, winner, crowd, taken):
            payout = _payout(at, strategy.kind, crowd, who, part, draw, among)
            if payout is not None:
                found.append(payout)
    return tuple(found)


def _payout(
    strategy: int, kind: CommunityKind, crowd: Crowd, who: Who, part: int, draw: int, among: int
) -> Payout | None:
    """A part as it can be paid, in the currency of the player's last contribution."""
    seen = crowd.seen(*who)
    if seen is None:
        return None
    contributor = Contributor(*who, seen.currency, seen.player_rate, seen.jackpot_rate)
    win, paid = payable(part, contributor)
    return Payout(strategy, kind, contributor, win, paid, draw, among) if win else None


def _picks(
    state: Instance,
    pot: int,
    at: int,
    strategy: CommunityStrategy,
    winner: Winner,
    crowd: Crowd,
    taken: set[Who],
) -> Iterator[Pick]:
    match strategy.kind:
        case CommunityKind.ACTIVE_PLAYERS:
            yield from _active(at, strategy, pot, winner, crowd, taken)
        case CommunityKind.HIGHEST_CONTRIBUTION_PER_WIN:
            yield from _leading(state.rare.pots[pot].leaders, strategy.winners, taken)
        case CommunityKind.HIGHEST_LIFETIME_CONTRIBUTOR:
            yield from _leading(state.rare.lifetime, strategy.winners, taken)


def _leading(board: tuple[Leader, ...], winners: int, taken: set[Who]) -> Iterator[Pick]:
    left = winners
    for leader in board:
        who = (leader.brand, leader.player_id)
        if left and who not in taken:
            taken.add(who)
            left -= 1
            yield who, 0, 0


def _active(
    at: int, strategy: CommunityStrategy, pot: int, winner: Winner, crowd: Crowd, taken: set[Who]
) -> Iterator[Pick]:
    """Active players, each equally likely: places are drawn until as many are found as there are, or are wanted."""
    since_ms = winner.at_ms - strategy.within_ms
    among = crowd.active(since_ms)
    stream = winner.streams[pot]
    if stream is None:
        raise ValueError("a pot that is closed cannot be won")
    away = sum(1 for who in taken if _is_active(crowd, who, since_ms))
    left, attempt = min(strategy.winners, among - away), 0
    while left > 0:
        draw = stream.uniform(f"active {at}", attempt, among)
        attempt += 1
        who = crowd.at(since_ms, draw)
        if who not in taken:
            taken.add(who)
            left -= 1
            yield who, draw, among


def _is_active(crowd: Crowd, who: Who, since_ms: int) -> bool:
    seen = crowd.seen(*who)
    return seen is not None and seen.at_ms >= since_ms
