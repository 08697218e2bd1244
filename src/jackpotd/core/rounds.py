"""When the rounds of a raffle begin and end.

The first begins at the first open instant of the schedule at or after its start, each other at the first at or after
the end of the one before. A round lasts its duration, cut at the end of the schedule; without a duration it lasts until
then. Closed windows do not end a round. So rounds that begin in one open stretch follow each other without a gap, and
any number of them is one step.
"""

from jackpotd.core.schedule import Schedule, next_open_ms, open_until_ms

Bounds = tuple[int, int]
"""When a round begins, and when it is over: Unix times in ms, the first inclusive, the second exclusive."""


def following(schedule: Schedule, duration_ms: int | None, after_ms: int) -> Bounds | None:
    """The round that begins at or after a moment; None if the schedule is not open any more.

    Raises:
        ValueError: the duration is not positive, or it is None and the schedule has no end.
    """
    start_ms = next_open_ms(schedule, after_ms)
    if start_ms is None:
        return None
    limit_ms = schedule.end_ms
    if duration_ms is None:
        if limit_ms is None:
            raise ValueError("a round without a duration needs a schedule that ends")
        return start_ms, limit_ms
    if duration_ms <= 0:
        raise ValueError(f"a round of {duration_ms} ms")
    end_ms = start_ms + duration_ms
    return start_ms, end_ms if limit_ms is None else min(end_ms, limit_ms)


def advance(
    schedule: Schedule, duration_ms: int | None, after_ms: int, now_ms: int
) -> tuple[int, Bounds | None, int]:
    """The rounds that begin at or after a moment, passed over until now: three answers.

    How many of them are over (what ends now is), the first that is not, if one is left, and when the last one over
    ended: `after_ms` where none is. The cost grows with the open stretches that are passed over, not with the rounds.

    Raises:
        ValueError: the duration is not positive, or it is None and the schedule has no end.
    """
    missed, until_ms = 0, after_ms
    while True:
        bounds = following(schedule, duration_ms, until_ms)
        if bounds is None or bounds[1] > now_ms:
            return missed, bounds, until_ms
        count, until_ms = _over(schedule, bounds, now_ms)
        missed += count


def _over(schedule: Schedule, bounds: Bounds, now_ms: int) -> tuple[int, int]:
    """How many rounds like this one, which is over, are over that begin in its open stretch, and when the last ended.

    A cut round is the last of its schedule, so only whole ones are counted after the first.
    """
    start_ms, end_ms = bounds
    length_ms = end_ms - start_ms
    limit_ms = now_ms if schedule.end_ms is None else min(now_ms, schedule.end_ms)
    count = (limit_ms - start_ms) // length_ms
    if count > 1:
        closes_ms = open_until_ms(schedule, start_ms)
        if closes_ms is not None:
            # Those that begin before it closes; the last of them may end after that.
            count = min(count, -((start_ms - closes_ms) // length_ms))
    return count, start_ms + count * length_ms
