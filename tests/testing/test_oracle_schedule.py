"""The oracle's calendar against days that are cut into minutes, each marked open or closed."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from jackpotd.testing.cases import daily, raffle, schedule
from jackpotd.testing.raffle_templates import random_schedule
from jackpotd.testing.reference_model import Places, ReferenceInstance
from jackpotd.testing.reference_model.schedules import Calendar
from jackpotd.testing.schedule_oracle import Marked, moment_of

from .oracle_cases import contribute, refusal

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
LEAP_DAY_MS = 1_709_164_800_000  # 29 February 2024
DAYS = 40


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.integers(0, 2**48))
def test_calendar_is_open_where_a_brute_force_says_so(seed: int) -> None:
    """Random rules around a leap day, asked at random minutes: open or not, and when next."""
    rng = random.Random(seed)
    at_ms = LEAP_DAY_MS + rng.randint(-20, 20) * DAY_MS + rng.randrange(24) * HOUR_MS
    document = random_schedule(rng, at_ms)
    for name in ("timestamp_start", "timestamp_end"):
        if document[name] is not None:
            document[name] -= document[name] % MINUTE_MS
    calendar = Calendar(document)
    marked = Marked(document, moment_of(at_ms).date(), DAYS, 60)

    for _ in range(60):
        asked_ms = marked.from_ms + rng.randrange((DAYS - 1) * DAY_MS)
        assert marked.is_open(asked_ms) == calendar.is_open(asked_ms)
        expected = marked.next_open_ms(asked_ms - asked_ms % MINUTE_MS)
        found = calendar.next_open_ms(asked_ms)
        if expected is None:
            assert found is None or found >= marked.to_ms
        elif expected <= asked_ms:
            assert asked_ms == found
        else:
            assert expected == found


def test_edges_of_a_calendar_are_those_that_come() -> None:
    """Windows of these days, the schedule's own beginning and its end."""
    calendar = Calendar(schedule(HOUR_MS, 3 * DAY_MS, daily(20, 4)))

    assert [4, 20, 28, 44, 52, 72] == [edge // HOUR_MS for edge in calendar.edges_ms(2 * HOUR_MS)]


def test_jackpot_ends_with_its_schedule_and_windows_that_it_cuts_draw_for_nobody() -> None:
    """However late somebody notices; windows that ended before it are drawn."""
    document = raffle({"count": 1, "amount": "1"})
    document |= {"raffle": None, "jackpot_type": "Jackpot"}
    every_hour = {"every": {"Hours": 1}, "window_start": 0, "fallback": "DrawAmongContributors"}
    document["pots"][0]["pot_types"] = [{"Time": every_hour}]
    for played_ms, wins in ((HOUR_MS // 2, 1), (HOUR_MS + 1, 0)):
        oracle = ReferenceInstance(document, "Active", schedule(0, 3 * HOUR_MS // 2))
        secret = next(each for each in map(_secret, range(10_000)) if _is_late(each))
        oracle.seal("main", secret, first=0, at_ms=0, floor_units=10 * 10**8)
        if played_ms > HOUR_MS:
            oracle.pass_time(played_ms, {"main": "drawn"})
        contribute(oracle, at_ms=played_ms)

        settled = oracle.pass_time(10 * HOUR_MS, {"main": "drawn"})

        assert (wins, ("Terminated",)) == (len(settled.wins), settled.statuses)
        assert refusal(oracle, at_ms=10 * HOUR_MS) == "JackpotNotActive"
        assert oracle.imbalance() == 0


def _secret(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _is_late(secret: bytes) -> bool:
    """Whether the instants of the first two windows come in their last ten minutes."""
    places = Places(secret)
    spans = ((0, 0, HOUR_MS), (1, HOUR_MS, 2 * HOUR_MS))
    return all(
        places.instant(0, at, begins, ends) > ends - HOUR_MS // 6 for at, begins, ends in spans
    )
