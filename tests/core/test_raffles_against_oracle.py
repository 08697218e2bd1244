"""Raffles and schedules against the oracle: the same template, schedule and history, everything equal after every step.

Random raffles (metrics, accumulation, currencies, amounts and shares, rounds from a second to weeks) with random
schedules, at any time of years with leap days: contributions, pauses over a round's end, downtime over many rounds,
other schedules, other parameters, withheld prizes and their release, boosts and adjustments. The ledger is checked
after every event, by the core and by the oracle. Jackpots that are no raffles have schedules, too.
"""

import random
from collections import Counter

from hypothesis import event, given, settings
from hypothesis import strategies as st

from jackpotd.core.events import Contributed, RoundOpened, RoundResolved, RoundsMissed
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Status
from jackpotd.testing.cases import pot, raffle, schedule, template
from jackpotd.testing.core_driver import CoreInstance, Done, assert_replays
from jackpotd.testing.histories import decommission
from jackpotd.testing.oracle_pair import Pair
from jackpotd.testing.scheduled_histories import raffle_history, scheduled_history

START_MS = 1_704_067_200_000
PLAIN = template(pot())
ci = settings(derandomize=True, deadline=None, max_examples=120)


@ci
@given(st.integers(0, 2**48), st.sampled_from((25, 100, 200)))
def test_core_agrees_with_the_oracle_on_raffles(seed: int, steps: int) -> None:
    """Tickets, rounds, draws, prizes, shortfalls, filling up, missed rounds, the end: all equal after every step."""
    run = raffle_history(seed)
    run.play(steps)

    assert_replays(run.pair.core)
    assert_books_of_tickets(run.pair.core)
    for what in run.pair.seen:
        event(what)


@ci
@given(st.integers(0, 2**48), st.sampled_from((25, 100)))
def test_core_agrees_with_the_oracle_on_schedules(seed: int, steps: int) -> None:
    """Jackpots of every kind that begin, close, open and end by schedules, of the instance and of brands."""
    run = scheduled_history(seed)
    run.play(steps)

    assert_replays(run.pair.core)
    for what in run.pair.seen:
        event(what)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 2**48))
def test_money_of_a_raffle_moves_to_another_raffle(seed: int) -> None:
    """A raffle is decommissioned into another one in the middle of its round; both are terminated in the end."""
    run, to = raffle_history(seed, instance_id="a"), raffle_history(seed, instance_id="b")
    to.rng = random.Random(seed + 1)
    run.play(30)
    to.play(30)
    decommission(run, to)
    to.play(30)
    for each in (run, to):
        each.status(Status.TERMINATED)
        assert_replays(each.pair.core)


def test_schedule_that_ends_now_has_passed_already() -> None:
    """One that ends a millisecond later cuts the running round, or closes the jackpot, then."""
    for document, status in ((raffle({"count": 1, "amount": "5"}), "Ended"), (PLAIN, "Terminated")):
        pair = Pair(document, schedule(START_MS), at_ms=START_MS)
        at_ms = START_MS + 50_000
        assert isinstance(pair.set_schedule("", schedule(START_MS, at_ms), at_ms), Rejection)
        assert isinstance(pair.set_schedule("", schedule(START_MS, at_ms + 1), at_ms), Done)
        assert pair.core.state.status is Status.ACTIVE

        pair.pass_time(at_ms + 1)

        assert (status, None) == (str(pair.core.state.status), pair.core.state.rare.round)


def assert_books_of_tickets(instance: CoreInstance) -> None:
    """From the facts alone: what was counted is in tickets and parts of tickets; rounds follow each other by number."""
    rules = instance.birth.rules.raffle
    assert rules is not None
    counted, awarded = Counter[int](), Counter[int]()
    over = 0
    for fact in instance.log:
        if isinstance(fact, Contributed) and fact.issued is not None:
            counted[fact.issued.round] += fact.issued.counted
            awarded[fact.issued.round] += fact.issued.awarded
        elif isinstance(fact, RoundResolved):
            assert over + 1 == fact.number
            over = fact.number
            assert (counted[over], awarded[over]) == (fact.counted, fact.tickets)
            holders = Counter(prize.entrant for prize in fact.prizes)
            assert sum(holders.values()) <= fact.tickets
            assert fact.at_ms >= fact.ends_ms > fact.starts_ms
        elif isinstance(fact, RoundsMissed):
            over += fact.count
        elif isinstance(fact, RoundOpened):
            assert over + 1 == fact.number


def test_core_and_oracle_have_met_every_branch_of_a_raffle() -> None:
    """The properties above are worth something: all that a raffle can do occurs in histories like theirs."""
    total: Counter[str] = Counter()
    for seed in range(130):
        run, plain = raffle_history(seed), scheduled_history(seed)
        run.play(100)
        plain.play(40)
        total += run.pair.seen
        total.update({f"jackpot {what}": count for what, count in plain.pair.seen.items()})

    for what in (
        "Active by schedule",
        "Active to Paused",
        "OutsideSchedule",
        "changes",
        "filled up by a boost",
        "filled up by the operator",
        "filled up by the reserve",
        "prizes",
        "prizes too small to pay",
        "prizes withheld",
        "raffles over",
        "rejection",
        "release",
        "rounds missed",
        "rounds resolved late",
        "rounds without tickets",
        "schedule",
        "schedule refused",
        "second prizes",
        "shortfalls",
        "trigger refused",
        "jackpot Active by schedule",
        "jackpot OutsideSchedule",
        "jackpot Terminated by schedule",
        "jackpot schedule",
        "jackpot won by TimeFallback",
    ):
        assert total[what] >= 3, (what, total)
