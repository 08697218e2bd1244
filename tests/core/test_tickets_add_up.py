"""Tickets of the real core, exactly: what was counted is in tickets and in parts of tickets, to the last unit.

The release notes' example and its like in other currencies; then random play, with rounds that end and are missed.
"""

from collections import Counter
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jackpotd.core import ledger
from jackpotd.core.events import Contributed, Issued, RoundResolved
from jackpotd.core.money import units_from_decimal
from jackpotd.testing.cases import bet, raffle, schedule, units
from jackpotd.testing.core_driver import CoreInstance, Done, assert_replays
from jackpotd.testing.templates import MULTIPLIERS, Json, compiled, compiled_schedule

PRIZES: tuple[Json, ...] = ({"count": 1, "amount": "5"}, {"count": 3, "share": "0.1"})
START_MS = 1_704_067_200_000
PLAYERS = ("anna", "bert", "caro", "dora")
ci = settings(derandomize=True, deadline=None, max_examples=150)


def running(document: Json) -> CoreInstance:
    """A raffle of the core whose first round runs."""
    own = compiled_schedule(schedule(START_MS))
    return CoreInstance(compiled(document), schedule=own, at_ms=START_MS)


def bought(instance: CoreInstance, wager: str, currency: str, who: str = "anna") -> Issued | None:
    """What a wager buys."""
    done = instance.contribute(bet(wager, who, currency), START_MS)
    assert isinstance(done, Done)
    return done.of(Contributed)[0].issued


def spins_with_a_ticket(instance: CoreInstance, wager: str, currency: str, spins: int) -> list[int]:
    """Which of so many spins are awarded a ticket, counted from 1."""
    found = []
    for spin in range(1, spins + 1):
        issued = bought(instance, wager, currency)
        assert issued is not None
        found += [spin] * issued.awarded
    return found


@pytest.mark.parametrize("currency", ["EUR", "USD", "GBP", "SEK", "KWD"])
def test_ticket_of_two_is_awarded_on_the_twentieth_spin_of_ten_cents(currency: str) -> None:
    """The release notes' example, in the jackpot's own currency: exact decimals, however often 0.1 is added up."""
    instance = running(raffle(*PRIZES, cost="2.00", currency=currency))

    assert [20, 40, 60, 80, 100] == spins_with_a_ticket(instance, "0.10", currency, 119)
    tickets = instance.players["op:a", "anna"].tickets
    assert tickets is not None
    assert (5, units("1.9")) == (tickets.count, tickets.accumulated)


@pytest.mark.parametrize(
    ("currency", "wager"),
    [
        ("USD", "0.10762"),
        ("GBP", "0.08592"),
        ("SEK", "1.16761"),
        ("JPY", "16.235"),
        ("KWD", "0.033"),
        ("CLF", "0.002671"),
    ],
)
def test_money_of_another_currency_that_is_worth_as_much_buys_as_much(
    currency: str, wager: str
) -> None:
    """A tenth of a euro in another currency, at its multiplier."""
    instance = running(raffle(*PRIZES, cost="2.00"))

    assert [20, 40] == spins_with_a_ticket(instance, wager, currency, 59)


@pytest.mark.parametrize("currency", [*MULTIPLIERS])
def test_ten_cents_of_any_currency_buy_what_they_are_worth(currency: str) -> None:
    """Each spin counts what it is worth, to the nearest unit; the first ticket comes when these are the cost."""
    each = round(Fraction(10**7) / Fraction(Decimal(MULTIPLIERS[currency])))
    instance = running(raffle(*PRIZES, cost="0.0001"))
    issued = bought(instance, "0.10", currency)

    assert issued is not None
    assert (each, *divmod(each, 10_000)) == (issued.counted, issued.awarded, issued.accumulated)


def test_linked_currencies_fill_the_same_ticket() -> None:
    """Nineteen spins of ten cents and one of 0.10762 dollars are a ticket."""
    instance = running(raffle(*PRIZES, cost="2.00"))
    assert [] == spins_with_a_ticket(instance, "0.10", "EUR", 19)

    issued = bought(instance, "0.10762", "USD")

    assert issued == Issued(1, 0, units("0.1"), 1, 0)


wagers = st.one_of(
    st.integers(0, 10**6),
    st.integers(1, 5 * 10**9),
    st.sampled_from((10**7, 2 * 10**8, 199_999_999, 200_000_001)),
)
spins = st.tuples(st.sampled_from(PLAYERS), wagers, st.sampled_from((*MULTIPLIERS, "EUR")))
# What is waited after a spin: mostly nothing, else until a round is over, or several are.
plays = st.lists(
    st.tuples(spins, st.sampled_from((0, 0, 0, 1, 99_999, 100_000, 350_000))), max_size=60
)


@ci
@given(
    plays,
    st.sampled_from(("2", "0.0001", "0.33333333", "1.00000007", "40")),
    st.booleans(),
    st.sampled_from(("BaseWager", "Contribution")),
    st.booleans(),
)
def test_tickets_and_parts_are_all_that_was_counted(
    played: list[tuple[tuple[str, int, str], int]],
    cost: str,
    accumulates: bool,
    metric: str,
    one_each: bool,
) -> None:
    """For each player and round, and in all: tickets times their cost, and the parts. The ledger adds up all the time.

    Nobody has more prizes than tickets, nor more than one where that is the rule.
    """
    document = raffle(
        *PRIZES,
        cost=cost,
        accumulate=accumulates,
        metric=metric,
        one_prize_per_player=one_each,
        kind={"Percentage": "0.33333333"},
    )
    instance, at_ms = running(document), START_MS
    for (who, wager, currency), waits_ms in played:
        assert all(done.events for done in instance.pass_time(at_ms))
        done = instance.contribute(replace(bet(0, who, currency), wager=wager), at_ms)
        assert isinstance(done, Done)
        assert_tickets_follow(done, units_from_decimal(Decimal(cost)), accumulates=accumulates)
        at_ms += waits_ms
    assert [*instance.pass_time(at_ms + 100_000)]

    assert_replays(instance)
    assert_rounds_add_up(instance, units_from_decimal(Decimal(cost)), accumulates=accumulates)
    assert 0 == ledger.imbalance(instance.state) == sum(ledger.accounts(instance.state).values())
    assert_prizes_have_tickets(instance, one_each=one_each)


def assert_tickets_follow(done: Done, cost: int, *, accumulates: bool) -> None:
    """One contribution: a part is less than a ticket, and there is none where nothing accumulates."""
    for contributed in done.of(Contributed):
        issued = contributed.issued
        if issued is None:
            continue
        assert issued.counted > 0
        if accumulates:
            assert 0 <= issued.accumulated < cost
        else:
            assert (issued.counted // cost, 0) == (issued.awarded, issued.accumulated)


def assert_rounds_add_up(instance: CoreInstance, cost: int, *, accumulates: bool) -> None:
    """What each player has had in each round, and all of them together."""
    counted, awarded = Counter[tuple[int, int]](), Counter[tuple[int, int]]()
    parts: dict[tuple[int, int], int] = {}
    for event in instance.log:
        if isinstance(event, Contributed) and event.issued is not None:
            key = (event.issued.round, event.issued.entrant)
            counted[key] += event.issued.counted
            awarded[key] += event.issued.awarded
            parts[key] = event.issued.accumulated
    if accumulates:
        assert all(awarded[key] * cost + parts[key] == counted[key] for key in counted)
        assert awarded.total() * cost + sum(parts.values()) == counted.total()
    resolved = [event for event in instance.log if isinstance(event, RoundResolved)]
    assert awarded.total() == sum(event.tickets for event in resolved)
    assert counted.total() == sum(event.counted for event in resolved)
    assert [event.entrants for event in resolved] == [
        len({entrant for number, entrant in counted if number == event.number})
        for event in resolved
    ]


def assert_prizes_have_tickets(instance: CoreInstance, *, one_each: bool) -> None:
    """Each prize has a ticket, which its winner has bought in that round."""
    awarded: dict[int, Counter[int]] = {}
    for event in instance.log:
        if isinstance(event, Contributed) and event.issued is not None:
            held = awarded.setdefault(event.issued.round, Counter())
            held[event.issued.entrant] += event.issued.awarded
        elif isinstance(event, RoundResolved):
            held = awarded.get(event.number, Counter())
            prizes = Counter(prize.entrant for prize in event.prizes)
            assert all(
                count <= (1 if one_each else held[entrant]) and held[entrant]
                for entrant, count in prizes.items()
            )
            wanted = min(sum(1 for count in held.values() if count), 4)
            assert sum(prizes.values()) == (wanted if one_each else min(held.total(), 4))
