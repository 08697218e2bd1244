"""Boards: the highest contributors, kept exactly while they contribute, so that a win never has to look at all players.

Totals only grow, so whoever fell off a board can come back by contributing alone. Who reached a total first stands
above.
"""

from jackpotd.core.state import Leader

Board = tuple[Leader, ...]


def placed(board: Board, leader: Leader, kept: int) -> Board:
    """The board after a player's total has grown, with at most `kept` places."""
    total = leader.total
    if len(board) >= kept and (not kept or total <= board[-1].total):
        return board
    others = []
    for known in board:
        if known.player_id != leader.player_id or known.brand != leader.brand:
            others.append(known)
        elif known.total == total:
            return board
    at = len(others)
    while at and others[at - 1].total < total:
        at -= 1
    others.insert(at, leader)
    return tuple(others[:kept])
