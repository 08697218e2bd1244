"""Raffles of templates, compiled; and what the end of a round tells the world, from its rows."""

import json
from typing import Any

import msgspec
import pytest

from jackpotd.core import rules as core
from jackpotd.core.evolve import create
from jackpotd.core.rules import PrizeTier, RaffleRules, TicketMetric
from jackpotd.core.state import Definition, Instance, Status
from jackpotd.wire import codec
from jackpotd.wire.catalog_records import compile_document
from jackpotd.wire.errors import RequestRefused
from jackpotd.wire.parameter_changes import merged, raffles_in, split_changes, take_effect
from jackpotd.wire.raffle_events import credit_batches, money_text, raffle_win_events
from jackpotd.wire.rows import CreditRow, RoundRow, WinnerRow
from jackpotd.wire.template import DECODER, compile_rules

Json = dict[str, Any]
EUR = core.WHOLE
HOUR_MS = 3_600_000

# Contract §9, as it stands there.
DOCUMENTED: Json = {
    "duration": {"Hours": 22},
    "ticket": {"cost": 2.0, "metric": "BaseWager", "accumulate": True},
    "prizes": [{"count": 1, "amount": 500}, {"count": 10, "share": 0.05}],
    "one_prize_per_player": True,
}


def template(**changes: Any) -> Json:
    """A raffle's template; an argument `raffle` is the whole of it."""
    made: Json = {
        "name": "A raffle",
        "owner_id": "op",
        "currency": "EUR",
        "jackpot_type": "Raffle",
        "allowed_brands": ["op:a", "op:b"],
        "contribution_rules": {"opt_in_required": False, "contribution_type": {"Fixed": 0.1}},
        "house_hold_contribution": {"Percentage": 0.3},
        "pots": [
            {
                "id": "main",
                "contribution": {"Percentage": 0.7},
                "seed_contribution": {"Percentage": 0.5},
                "seed_strategy": {"initial_seed_value": 10, "min_reseed_value": 10},
                "pot_types": [],
            }
        ],
        "raffle": DOCUMENTED,
    }
    return made | changes


def compiled(**changes: Any) -> core.Rules:
    made = json.dumps(template(**changes)).encode()
    return compile_rules(codec.decode(DECODER, made), [])


def refusal(**changes: Any) -> str:
    with pytest.raises(RequestRefused) as refused:
        compiled(**changes)
    assert (refused.value.body.status_code, refused.value.body.code) == (400, "INVALID_REQUEST")
    return refused.value.body.message


def test_raffle_of_the_contract_compiles_to_what_it_says() -> None:
    """All of its fields; the stored template gives the same."""
    rules = compiled()

    assert rules.raffle == RaffleRules(
        duration_ms=22 * HOUR_MS,
        cost=2 * EUR,
        metric=TicketMetric.BASE_WAGER,
        accumulates=True,
        prizes=(PrizeTier(1, amount=500 * EUR), PrizeTier(10, share=EUR // 20)),
        one_prize_per_player=True,
    )
    assert compile_document(json.dumps(template()).encode(), []) == rules


def test_what_a_raffle_leaves_out_has_its_default() -> None:
    """No duration, parts add up, and one prize for each player."""
    ticket = {"cost": "0.0001", "metric": "Contribution"}
    rules = compiled(raffle={"ticket": ticket, "prizes": [{"count": 1, "share": 1}]}).raffle

    assert rules is not None
    assert (rules.duration_ms, rules.cost) == (None, EUR // 10_000)
    assert (rules.accumulates, rules.one_prize_per_player) == (True, True)
    assert rules.prizes == (PrizeTier(1, share=EUR),)


@pytest.mark.parametrize(
    ("unit", "unit_ms"),
    [
        ("Seconds", 1_000),
        ("Minutes", 60_000),
        ("Hours", HOUR_MS),
        ("Days", 24 * HOUR_MS),
        ("Weeks", 168 * HOUR_MS),
    ],
)
def test_duration_has_every_unit(unit: str, unit_ms: int) -> None:
    """From a second to a thousand weeks."""
    rules = compiled(raffle=DOCUMENTED | {"duration": {unit: 3}}).raffle
    assert rules is not None
    assert rules.duration_ms == 3 * unit_ms


def test_ticket_that_costs_more_than_a_contribution_needs_accumulation() -> None:
    """Else nobody ever gets one; where a currency has its own values, that is not for the template to say."""
    ticket = {"cost": 2, "metric": "Contribution", "accumulate": False}
    values = {"USD": {"min": 2, "max": 3, "default": 2}}
    rules = {"opt_in_required": False, "contribution_type": {"Fixed": 0.1}}

    assert refusal(raffle=DOCUMENTED | {"ticket": ticket}).startswith("$.raffle.ticket.cost ")
    for reachable in (
        ticket | {"accumulate": True},
        ticket | {"metric": "BaseWager"},
        ticket | {"cost": "0.1"},
    ):
        assert compiled(raffle=DOCUMENTED | {"ticket": reachable}).raffle is not None
    raffle = DOCUMENTED | {"ticket": ticket}
    assert compiled(raffle=raffle, contribution_rules=rules | {"currency_values": values}).raffle
    percentage = rules | {"contribution_type": {"Percentage": 0.01}}
    assert compiled(raffle=raffle, contribution_rules=percentage).raffle


def test_raffle_is_changed_as_a_whole() -> None:
    """One piece, which waits for any win: the end of the round; nothing of the old raffle is left in it."""
    document = json.dumps(template()).encode()
    asked = {"ticket": {"cost": 3, "metric": "BaseWager"}, "prizes": [{"count": 1, "share": 1}]}
    changes = {"raffle": asked, "withhold_wins_above": 5}
    pieces = split_changes(json.dumps(changes).encode(), document, [], ["main"])
    ((after, rules),) = take_effect(document, [pieces[0][1]], [])

    assert [pot for pot, _ in pieces] == [None]
    assert json.loads(after)["raffle"] == asked
    assert rules is not None
    assert rules.raffle is not None
    assert (rules.raffle.duration_ms, rules.raffle.cost) == (None, 3 * EUR)
    assert list(raffles_in([content for _, content in pieces])) == [rules.raffle]
    assert list(raffles_in([b'{"withhold_wins_above":5}', b'{"raffle":null}'])) == []
    assert merged(document, pieces[0][1]) == after


# What is told of a round


def instance() -> Instance:
    definition = Definition(
        instance_id="r",
        name="The raffle",
        owner_id="op",
        template_id="t",
        template_owner_id="op",
        created_ms=1,
        rules=compiled(),
    )
    return create(definition, Status.ACTIVE)


ROUND = RoundRow(7, 10, 20, 21, 30, 3, 60 * EUR, 90 * EUR, 3, 60 * EUR, 0, 5)


def winner(round_id: str, brand: str = "op:a", *, held: bool = False) -> WinnerRow:
    return WinnerRow(
        21, 0, brand, f"p{round_id}", 20 * EUR, round_id, False, held, 7, 0, "SEK", 210 * EUR
    )


def credit(round_id: str, brand: str = "op:a", *, held: bool = False) -> CreditRow:
    return CreditRow(21, 7, brand, f"p{round_id}", "SEK", 210 * EUR, round_id, held)


def batches(*rows: CreditRow, first: set[str] | None = None) -> Json:
    """The ids of the rounds of play of each batch."""
    made = credit_batches("r", 7, rows, first or set())
    return {each.batch_id: [told.gameround_id for told in each.transactions] for each in made}


def test_there_is_an_event_for_each_brand_and_state_of_withholding() -> None:
    """In the order in which they won first; no event where nobody won; ids differ, and stay."""
    rows = [winner("1", "op:b"), winner("2"), winner("3", held=True), winner("4", "op:b")]
    events = raffle_win_events(instance(), ROUND, rows, lambda _: None)

    assert [
        (
            event.data.brand_id,
            event.data.win_withheld,
            [each.player_id for each in event.data.winners],
        )
        for event in events
    ] == [("op:b", False, ["p1", "p4"]), ("op:a", False, ["p2"]), ("op:a", True, ["p3"])]
    assert {event.data.timestamp for event in events} == {21}
    assert len({event.event_id for event in events}) == 3
    again = raffle_win_events(instance(), ROUND, rows, lambda _: None)
    assert [event.event_id for event in again] == [event.event_id for event in events]
    other = raffle_win_events(
        instance(), msgspec.structs.replace(ROUND, number=8), rows, lambda _: None
    )
    assert not {event.event_id for event in other} & {event.event_id for event in events}
    assert raffle_win_events(instance(), ROUND, [], lambda _: None) == []


def test_batch_never_changes_once_it_may_have_been_sent() -> None:
    """What is released later is a batch by itself, so that a wallet that knows an id knows what is in it."""
    before = batches(credit("1"), credit("2", held=True), credit("3", "op:b"), first={"2"})
    after = batches(credit("1"), credit("2"), credit("3", "op:b"), first={"2"})

    assert sorted(before.values()) == [["1"], ["3"]]
    assert before.items() <= after.items()
    (released,) = set(after) - set(before)
    assert after[released] == ["2"]
    assert batches() == {}


def test_transactions_are_named_by_the_round_of_play() -> None:
    """Whoever is told twice can see it: the id is in no way of the batch."""
    alone = credit_batches("r", 7, [credit("1")], set())[0].transactions[0]
    released = credit_batches("r", 7, [credit("1")], {"1"})[0].transactions[0]

    assert alone == released
    assert (alone.brand_id, alone.currency, alone.amount) == ("a", "SEK", "210.00")


@pytest.mark.parametrize(
    ("units", "currency", "expected"),
    [
        (EUR // 10, "EUR", "0.10"),
        (50 * EUR, "EUR", "50.00"),
        (5 * EUR, "JPY", "5"),
        (EUR // 8, "KWD", "0.125"),
        (EUR + EUR // 100, "CLF", "1.0100"),
        (EUR // 1000, "EUR", "0.001"),
    ],
)
def test_money_is_written_with_the_digits_of_its_currency(
    units: int, currency: str, expected: str
) -> None:
    """As a wallet expects it; nothing is ever cut off."""
    assert money_text(units, currency) == expected
