"""Random histories of jackpots with schedules and of raffles: windows open and close, rounds end, also unseen."""

import copy
import random
from collections.abc import Callable, Collection, Sequence

from jackpotd.core.state import Status
from jackpotd.testing.histories import BRANDS, History
from jackpotd.testing.oracle_pair import Pair, Patch
from jackpotd.testing.raffle_templates import (
    can_be_published,
    random_raffle,
    random_rules,
    random_schedule,
)
from jackpotd.testing.templates import EVERYTHING, Feature, Json, random_template

_FIRST_MS = 1_577_836_800_000  # 2020, a leap year
_YEARS_MS = 6 * 365 * 86_400_000
_UNIT_S = {"Seconds": 1, "Minutes": 60, "Hours": 3_600, "Days": 86_400, "Weeks": 604_800}
_LONG_S = 10**9
# Rounds get no shorter than that at once: the oracle counts those that are missed one by one.
_SHORTER_MAX = 500


def scheduled_history(
    seed: int, features: Collection[Feature] = EVERYTHING, instance_id: str = "instance"
) -> "ScheduledHistory":
    """A random jackpot with a random schedule, about to be played at some time of some year."""
    rng = random.Random(seed)
    at_ms = _birth_ms(rng)
    template, schedule = random_template(rng, BRANDS, features), random_schedule(rng, at_ms)
    return ScheduledHistory(_pair(rng, template, schedule, at_ms, instance_id), rng)


def raffle_history(seed: int, instance_id: str = "instance") -> "RaffleHistory":
    """A random raffle with a random schedule, about to be played at some time of some year."""
    rng = random.Random(seed)
    at_ms = _birth_ms(rng)
    schedule = random_schedule(rng, at_ms, is_raffle=True)
    template = random_raffle(rng, BRANDS, must_last=schedule["timestamp_end"] is None)
    return RaffleHistory(_pair(rng, template, schedule, at_ms, instance_id), rng)


def _birth_ms(rng: random.Random) -> int:
    return _FIRST_MS + rng.randrange(_YEARS_MS)


def _pair(rng: random.Random, template: Json, schedule: Json, at_ms: int, instance_id: str) -> Pair:
    """What begins later is pending, mostly."""
    is_ahead = (schedule["timestamp_start"] or 0) > at_ms
    status = Status.PENDING if rng.random() < (0.8 if is_ahead else 0.1) else Status.ACTIVE
    return Pair(template, schedule, status=status, at_ms=at_ms, instance_id=instance_id)


class ScheduledHistory(History):
    """Random steps of a pair that has a schedule; schedules change meanwhile."""

    def edges_ms(self) -> list[int]:
        """The edges of a plain jackpot, and those of all schedules."""
        calendars = self.pair.oracle.jackpot.calendars.values()
        return super().edges_ms() + [
            edge for calendar in calendars for edge in calendar.edges_ms(self.at_ms)[:4]
        ]

    def contributes(self) -> float:
        """Seldom while nothing is taken in."""
        stands_still = self.pair.core.state.status in (Status.PAUSED, Status.PENDING)
        return 0.3 if stands_still else super().contributes()

    def others(self) -> Sequence[Callable[[], None]]:
        """What an operator does to a schedule, besides."""
        if self.pair.core.state.status in (Status.PAUSED, Status.PENDING):
            return (self.pause_or_resume, self.pause_or_resume, *super().others()[1:3])
        return (*super().others(), self.set_schedule, self.set_schedule, self.terminate)

    def set_schedule(self) -> None:
        """Another schedule, or none, for a brand or for the instance."""
        rng = self.rng
        brand = rng.choice(("", *BRANDS))
        schedule = None if rng.random() < 0.4 else self.schedule(brand)
        self.pair.set_schedule(brand, schedule, self.at_ms)

    def schedule(self, brand: str) -> Json:
        """A schedule that may be set, for a brand or for the instance."""
        del brand
        return random_schedule(self.rng, self.at_ms)

    def terminate(self) -> None:
        """Rarely, so that most histories go on."""
        if self.rng.random() < 0.05:
            self.status(Status.TERMINATED)


class RaffleHistory(ScheduledHistory):
    """Random steps of a raffle: time passes by rounds, and nothing else is won."""

    def steps_ms(self) -> Sequence[int]:
        """Parts of a round, and several rounds that nobody looked at."""
        rules = self.pair.oracle.jackpot.rules.raffle
        duration = 86_400_000 if rules is None else rules.duration_ms or 3_600_000
        jumps = (duration - 1, duration, duration + 1, 3 * duration + 5, 40 * duration)
        little = (0, 0, 0, 1, 40, 700, duration // 50, duration // 50, duration // 7)
        return jumps if self.rng.random() < 0.1 else little

    def edges_ms(self) -> list[int]:
        """The running round's ends, and those of all schedules; often none, so that rounds fill."""
        round_ = self.pair.oracle.jackpot.raffle.round
        if round_ is not None and round_.bounds.starts_ms <= self.at_ms and self.rng.random() < 0.7:
            return []
        found = [] if round_ is None else [round_.bounds.starts_ms, round_.bounds.ends_ms] * 4
        return found + super().edges_ms()

    def schedule(self, brand: str) -> Json:
        """A schedule for a raffle has to begin, and to end where its rounds last as long."""
        while True:
            found = random_schedule(self.rng, self.at_ms, is_raffle=not brand)
            rules = self.pair.oracle.jackpot.rules.raffle
            if brand or found["timestamp_end"] is not None:
                return found
            if rules is None or rules.duration_ms is not None or self.rng.random() < 0.2:
                return found

    def general_patch(self) -> Patch:
        """Other tickets, other prizes, rounds of another length, from the next round on."""
        if self.rng.random() < 0.4:
            return super().general_patch()
        rules = random_rules(self.rng, must_last=self.rng.random() < 0.5)

        def patch(template: Json) -> Json:
            new = copy.deepcopy(template)
            new["raffle"] = copy.deepcopy(rules)
            if _length_s(rules, _LONG_S) * _SHORTER_MAX < _length_s(template["raffle"], 1):
                new["raffle"]["duration"] = template["raffle"]["duration"]
            return new if can_be_published(new) else template

        return patch


def _length_s(rules: Json, of_schedule_s: int) -> int:
    """How long a round is, where it is not as long as the schedule."""
    if rules["duration"] is None:
        return of_schedule_s
    ((unit, length),) = rules["duration"].items()
    return int(length) * _UNIT_S[unit]
