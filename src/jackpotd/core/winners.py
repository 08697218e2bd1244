"""Who wins, why, and how much of a sum they can be paid."""

from msgspec import Struct

from jackpotd.core import money
from jackpotd.core.commands import Crowd, Streams
from jackpotd.core.events import Tip
from jackpotd.core.state import Contributor


class Tipped(Struct, frozen=True):
    """A pot that tipped, and by what; `times` are the hidden times whose instants had come."""

    pot: int
    tip: Tip
    times: tuple[int, ...] = ()


class Winner(Struct, frozen=True):
    """Who wins, in which round, and what decides who wins beside them."""

    at_ms: int
    round_id: str
    who: Contributor
    streams: Streams
    crowd: Crowd | None


def payable(value: int, who: Contributor) -> tuple[int, int]:
    """What can be paid of a sum: the win in the player's currency, floored to its minor unit, and what then leaves."""
    step = money.minor_step(who.currency)
    in_player_currency = value * who.player_rate // who.jackpot_rate
    win = in_player_currency // step * step
    paid = money.convert(win, who.player_rate, who.jackpot_rate)
    return win, min(paid, value)
