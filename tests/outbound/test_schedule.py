"""When a result is tried again, and what ends it."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from jackpotd.outbound.schedule import DELAYS_S, given_up, outcome
from jackpotd.outbound.sending import RETRY_AFTER_MS_MAX, Answer
from jackpotd.wire.deliveries import DeadLetter, Delivery
from tests.outbound.delivery_rows import delivery

TAKEN, BROKEN = Answer(200, "status 200"), Answer(500, "status 500")
NOW_MS = 1_700_000_000_000


def test_the_schedule_is_that_of_standard_webhooks() -> None:
    """The moments of the ten attempts, in seconds since the first."""
    hours = [0, 5, 305, 2105, 9305, 27305, 63305, 113705, 185705, 272105]
    assert hours == list(accumulate(DELAYS_S))


@given(st.floats(0, 1, exclude_max=True), st.integers(0, RETRY_AFTER_MS_MAX))
def test_a_result_that_always_fails_is_tried_ten_times(chance: float, retry_after_ms: int) -> None:
    """Never before the schedule's delay or what the receiver wants; then it is given up."""
    now_ms, current, attempts = NOW_MS, delivery("a", due_ms=NOW_MS), 1
    answer = Answer(503, "status 503", retry_after_ms)
    while isinstance(after := outcome(current, answer, now_ms, chance), Delivery):
        assert structs.replace(after, attempts=0, next_ms=NOW_MS, last="") == delivery(
            "a", due_ms=NOW_MS
        )
        waits_ms = after.next_ms - now_ms
        assert waits_ms >= max(DELAYS_S[attempts] * 1000, retry_after_ms)
        assert waits_ms <= max(DELAYS_S[attempts] * 1100, retry_after_ms)
        assert after.last == "status 503"
        attempts += 1
        assert after.attempts == attempts - 1
        now_ms, current = after.next_ms, after
    assert attempts == len(DELAYS_S)
    assert after == structs.replace(given_up(current, "status 503", now_ms), attempts=len(DELAYS_S))


@pytest.mark.parametrize("attempts", range(len(DELAYS_S)))
def test_a_taken_result_is_done(attempts: int) -> None:
    """At whichever attempt."""
    assert outcome(delivery("a", attempts=attempts), TAKEN, NOW_MS, 0.5) is None


def test_a_receiver_that_is_gone_ends_it_at_once() -> None:
    """410 means that nobody will ever take it."""
    after = outcome(delivery("a"), Answer(410, "status 410"), NOW_MS, 0.5)
    assert isinstance(after, DeadLetter)
    assert (after.attempts, after.reason, after.dead_ms) == (1, "status 410", NOW_MS)


@pytest.mark.parametrize(
    ("status", "is_taken", "is_away"),
    [
        (200, True, False),
        (204, True, False),
        (299, True, False),
        (301, False, False),
        (307, False, False),
        (400, False, False),
        (404, False, False),
        (410, False, False),
        (429, False, True),
        (500, False, True),
        (503, False, True),
        (None, False, True),
    ],
)
def test_what_a_status_says(status: int | None, *, is_taken: bool, is_away: bool) -> None:
    """2xx alone is success; a redirect is none."""
    answer = Answer(status, "")
    assert (answer.is_taken, answer.is_away) == (is_taken, is_away)
