"""What a demo run has seen so far: counts, wins, latencies, and the first thing that went wrong.

Owns the figures and nothing else: it never sends, never reads a clock, never prints. Memory stays bounded however long
a run lasts.
"""

import math
from collections import deque
from decimal import Decimal

from msgspec import Struct

RECENT_WINS_MAX = 100
RECENT_LATENCIES_MAX = 2_000


class Win(Struct, frozen=True):
    """A pot won, as the answer told it; `worth` is the amount in the base currency."""

    player_id: str
    instance_id: str
    pot_id: str
    amount: Decimal
    currency: str
    worth: Decimal


class Latencies:
    """Quantiles of seconds: all of them to half a percent, the latest ones exactly."""

    _STEP = math.log(1.01)

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._recent: deque[float] = deque(maxlen=RECENT_LATENCIES_MAX)
        self.count = 0
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        bucket = math.floor(math.log(max(seconds, 1e-6)) / self._STEP)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self._recent.append(seconds)
        self.count += 1
        self.sum_s += seconds

    @property
    def mean_s(self) -> float:
        return self.sum_s / self.count if self.count else 0.0

    def quantile_s(self, share: float) -> float:
        """Over the whole run."""
        rank = math.ceil(share * self.count)
        for bucket in sorted(self._counts):
            rank -= self._counts[bucket]
            if rank <= 0:
                return math.exp((bucket + 0.5) * self._STEP)
        return 0.0

    def recent_quantiles_s(self, *shares: float) -> list[float]:
        """Over the latest answers."""
        ordered = sorted(self._recent)
        last = len(ordered) - 1
        return [ordered[round(share * last)] if ordered else 0.0 for share in shares]


class Tally:
    """The counts of a run. What was sent, and neither answered nor refused, was left without an answer."""

    def __init__(self, base_currency: str) -> None:
        self.base_currency = base_currency
        self.opt_ins = 0
        self.sent = 0
        self.answered = 0
        self.refused = 0
        self.repeats_sent = 0
        self.repeats_answered = 0
        self.links_refused = 0
        self.tickets = 0
        self.wins = 0
        self.paid = Decimal(0)
        self.latencies = Latencies()
        self.recent_wins: deque[Win] = deque(maxlen=RECENT_WINS_MAX)
        self.problems = 0
        self.first_problem: str | None = None
        self.active_s = 0.0

    @property
    def unanswered(self) -> int:
        return self.sent - self.answered - self.refused

    @property
    def rate(self) -> float:
        """Contributions answered per second."""
        return self.answered / self.active_s if self.active_s else 0.0

    def won(self, win: Win) -> None:
        self.wins += 1
        self.paid += win.worth
        self.recent_wins.append(win)

    def went_wrong(self, problem: str) -> None:
        """Something that should not happen; only the first is kept in words."""
        self.problems += 1
        self.first_problem = self.first_problem or problem
