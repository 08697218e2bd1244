"""Parameters of a live instance: pieces, what a template becomes by them, and what is refused (R-CHG-1, R-CHG-2)."""

import json
import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from jackpotd.testing.templates import EVERYTHING, compiled, encoded, random_template
from jackpotd.wire.catalog_records import compile_document
from jackpotd.wire.errors import RequestRefused
from jackpotd.wire.parameter_changes import (
    Piece,
    merged,
    split_changes,
    take_effect,
    try_compile,
    values_before,
)

Json = dict[str, Any]
IDS = ("minor", "major pot")


def pot(pot_id: str, **changes: Any) -> Json:
    made: Json = {
        "id": pot_id,
        "contribution": {"Percentage": 0.35},
        "seed_contribution": {"Percentage": 0.50},
        "seed_strategy": {"initial_seed_value": 10, "min_reseed_value": 10.10},
        "pot_types": [{"HitRate": {"max_magic_number": 50, "cost_per_attempt": 0.1}}],
        "criteria": {"min_base_wager": 1, "segments": ["vip"]},
    }
    return made | changes


def template(**changes: Any) -> bytes:
    made: Json = {
        "name": "A jackpot",
        "owner_id": "op",
        "currency": "EUR",
        "contribution_rules": {
            "opt_in_required": False,
            "contribution_type": {"Fixed": 0.1},
            "currency_values": {"JPY": {"min": 10, "max": 500, "default": 10}},
        },
        "house_hold_contribution": {"Percentage": 0.3},
        "pots": [pot("minor"), pot("major pot")],
    }
    return json.dumps(made | changes).encode()


def split(changes: Json, document: bytes = b"", pending: list[Piece] | None = None) -> list[Piece]:
    raw = json.dumps(changes).encode()
    return split_changes(raw, document or template(), [], IDS, pending or [])


def refusal(changes: Json, document: bytes = b"", pending: list[Piece] | None = None) -> str:
    with pytest.raises(RequestRefused) as refused:
        split(changes, document, pending)
    assert (refused.value.body.status_code, refused.value.body.code) == (400, "INVALID_REQUEST")
    return refused.value.body.message


def loaded(pieces: list[Piece]) -> list[tuple[int | None, Json]]:
    return [(index, json.loads(content)) for index, content in pieces]


def hit_rate(outcomes: int, cost: float = 0.1) -> list[Json]:
    return [{"HitRate": {"max_magic_number": outcomes, "cost_per_attempt": cost}}]


def test_change_is_divided_by_whose_win_it_waits_for() -> None:
    """A pot's own rules wait for that pot; shares, contributions, selection and withholding for any."""
    pieces = split(
        {
            "house_hold_contribution": {"Percentage": 0.2},
            "contribution_rules": {"contribution_type": {"Percentage": 0.01}},
            "win_selector_strategy": "All",
            "withhold_wins_above": 1000,
            "pots": {
                "major pot": {
                    "contribution": {"Percentage": 0.45},
                    "seed_contribution": {"Percentage": 0.2},
                    "pot_types": hit_rate(500),
                    "max_pot_value": 1000,
                },
                "minor": {"supports_external_trigger": True},
            },
        }
    )

    assert loaded(pieces) == [
        (
            None,
            {
                "house_hold_contribution": {"Percentage": 0.2},
                "contribution_rules": {"contribution_type": {"Percentage": 0.01}},
                "win_selector_strategy": "All",
                "withhold_wins_above": 1000,
                "pots": {
                    "major pot": {
                        "contribution": {"Percentage": 0.45},
                        "seed_contribution": {"Percentage": 0.2},
                    }
                },
            },
        ),
        (1, {"pots": {"major pot": {"pot_types": hit_rate(500), "max_pot_value": 1000}}}),
        (0, {"pots": {"minor": {"supports_external_trigger": True}}}),
    ]


OWN = {
    "is_progressive": False,
    "pot_types": hit_rate(7),
    "criteria": None,
    "community_payout": {
        "share": 0.5,
        "strategies": [{"ActivePlayers": {"share": 0.5, "winners": 1, "within_hours": 1}}],
    },
    "max_pot_value": 5000,
    "seed_strategy": {"reseed_strategy": "WholeReserve"},
    "max_instantiation_count": 3,
    "supports_external_trigger": True,
}


@pytest.mark.parametrize("field", OWN)
def test_r_chg_1_every_rule_of_a_pot_waits_for_that_pot_alone(field: str) -> None:
    """The chance and the hidden value of a running pot never change."""
    change = {"pots": {"minor": {field: OWN[field]}}}

    assert loaded(split(change)) == [(0, change)]


def test_change_may_come_as_it_was_decoded() -> None:
    """A body's fields that were left undecoded do as well as its bytes."""
    fields = {"withhold_wins_above": Raw(b"12.50")}

    assert split_changes(fields, template(), [], IDS) == [(None, b'{"withhold_wins_above":12.50}')]


def test_merged_template_holds_the_change_and_all_else_as_it_was_written() -> None:
    """Records are merged field by field; variants, shares and lists are replaced whole."""
    document = template()
    for _, piece in split(
        {
            "contribution_rules": {
                "contribution_type": {"Variable": {"min": 0.1, "max": 5, "default": 0.1}},
                "currency_values": {"SEK": {"min": 1, "max": 50, "default": 1}, "JPY": None},
            },
            "pots": {
                "minor": {
                    "seed_strategy": {"min_reseed_value": 7},
                    "criteria": {"segments": None},
                    "pot_types": hit_rate(100),
                },
                "major pot": {"criteria": None},
            },
        }
    ):
        document = merged(document, piece)
    changed = json.loads(document)

    assert changed["contribution_rules"] == {
        "opt_in_required": False,
        "contribution_type": {"Variable": {"min": 0.1, "max": 5, "default": 0.1}},
        "currency_values": {"SEK": {"min": 1, "max": 50, "default": 1}},
    }
    assert changed["pots"] == [
        pot(
            "minor",
            seed_strategy={"initial_seed_value": 10, "min_reseed_value": 7},
            criteria={"min_base_wager": 1, "segments": None},
            pot_types=hit_rate(100),
        ),
        pot("major pot", criteria=None),
    ]
    assert b'"Percentage":0.5}' in document.replace(b" ", b"")
    assert changed["name"] == "A jackpot"


def test_merging_keeps_every_digit() -> None:
    """Amounts are never read on the way: a number stays the text that it was."""
    document = b'{"pots":[{"id":"a","contribution":{"Percentage":0.10000000000000000001}}]}'
    piece = b'{"withhold_wins_above":100.21750000000000000001}'

    expected = document[:-1] + b',"withhold_wins_above":100.21750000000000000001}'
    assert merged(document, piece) == expected


REFUSED: list[tuple[Json, str]] = [
    ({}, "$.changes changes nothing"),
    ({"pots": {}}, "$.changes changes nothing"),
    ({"pots": {"minor": {}}}, "$.changes.pots.minor changes nothing"),
    ({"pots": None}, "$.changes.pots expected"),
    ({"pots": {"minor": None}}, "$.changes.pots.minor expected"),
    ({"pots": [{"id": "minor"}]}, "$.changes.pots expected"),
    ({"pots": {"mega": {"is_progressive": True}}}, "$.changes.pots.mega names no pot"),
    ({"pots": {"minor": {"id": "mini"}}}, "$.changes.pots.minor.id cannot be changed"),
    ({"pots": {"minor": {"odds": 3}}}, "$.changes.pots.minor.odds is unknown"),
    (
        {"pots": {"major pot": {"odds": 3}}},
        '$.changes.pots["major pot"].odds is unknown',
    ),
    ({"odds": 3}, "$.changes.odds is unknown"),
    ({"currency": "USD"}, "$.changes.currency cannot be changed on a live instance"),
    ({"jackpot_type": "Jackpot"}, "$.changes.jackpot_type cannot be changed"),
    ({"allowed_brands": ["op:a"]}, "$.changes.allowed_brands cannot be changed"),
    ({"allowed_countries": None}, "$.changes.allowed_countries cannot be changed"),
    ({"blocked_countries": []}, "$.changes.blocked_countries cannot be changed"),
    ({"name": "Another"}, "$.changes.name cannot be changed"),
    ({"raffle": {}}, "$.changes.raffle.ticket is missing"),
    (
        {
            "raffle": {
                "ticket": {"cost": 2, "metric": "BaseWager"},
                "prizes": [{"count": 1, "share": 1}],
            }
        },
        "$.changes.raffle is for raffles: jackpot_type is Jackpot",
    ),
    (
        {"house_hold_contribution": {"Percentage": 0.4}},
        "$.changes.house_hold_contribution house and pots must add up to exactly 1",
    ),
    (
        {"pots": {"minor": {"contribution": {"Percentage": 0.3}}}},
        "$.changes.house_hold_contribution house and pots must add up to exactly 1",
    ),
    (
        {"pots": {"minor": {"contribution": {"Percentage": "x"}}}},
        "$.changes.pots.minor.contribution.Percentage must be a number",
    ),
    (
        {"pots": {"minor": {"seed_strategy": {"foo": 1}}}},
        "$.changes.pots.minor.seed_strategy.foo is unknown",
    ),
    ({"pots": {"minor": {"seed_strategy": None}}}, "$.changes.pots.minor.seed_strategy expected"),
    ({"pots": {"minor": {"criteria": {"foo": 1}}}}, "$.changes.pots.minor.criteria.foo is unknown"),
    (
        {"pots": {"minor": {"pot_types": [{"Points": {}}]}}},
        "$.changes.pots.minor.pot_types[0].Points is none of",
    ),
    (
        {"pots": {"major pot": {"max_pot_value": 10}}},
        '$.changes.pots["major pot"].max_pot_value must not be below min_reseed_value',
    ),
    (
        {"pots": {"minor": {"pot_types": [{"Value": {"min": 5, "max": 50}}]}}},
        "$.changes.pots.minor.seed_strategy.initial_seed_value must not be above",
    ),
    ({"contribution_rules": {"foo": 1}}, "$.changes.contribution_rules.foo is unknown"),
    ({"contribution_rules": None}, "$.changes.contribution_rules expected"),
    (
        {"contribution_rules": {"contribution_type": {"Fixed": 0}}},
        "$.changes.contribution_rules.contribution_type.Fixed may be 0 only",
    ),
    ({"win_selector_strategy": "Random"}, "$.changes.win_selector_strategy"),
    ({"withhold_wins_above": -1}, "$.changes.withhold_wins_above must not be negative"),
]


@pytest.mark.parametrize(
    ("changes", "expected"), REFUSED, ids=[f"{at}-{each[1]}" for at, each in enumerate(REFUSED)]
)
def test_r_chg_2_change_without_a_valid_result_is_refused_inside_its_own_path(
    changes: Json, expected: str
) -> None:
    """Unknown and fixed fields, pots that are not there, and templates that could not be published."""
    assert refusal(changes).startswith(expected)


def test_changes_that_are_no_object_are_refused() -> None:
    """The path is that of the request's field."""
    for changes in (b"[]", b"1", b"null", b'"x"'):
        with pytest.raises(RequestRefused, match=r"\$\.changes expected"):
            split_changes(changes, template(), [], IDS)


def test_change_is_checked_with_all_that_waits_already() -> None:
    """Two changes that are valid apart may not be so together, and the other way round."""
    shares: Json = {
        "house_hold_contribution": {"Percentage": 0.2},
        "pots": {"minor": {"contribution": {"Percentage": 0.45}}},
    }
    pending = split(shares)
    again = {"house_hold_contribution": {"Percentage": 0.3}}

    assert refusal(again, pending=pending).startswith("$.changes.house_hold_contribution")
    assert split(again | {"pots": {"minor": {"contribution": {"Percentage": 0.35}}}}) != []
    ceiling = split({"pots": {"minor": {"max_pot_value": 20}}})
    higher = {"pots": {"minor": {"seed_strategy": {"min_reseed_value": 30}}}}
    assert split(higher) != []
    assert refusal(higher, pending=ceiling).startswith("$.changes.pots.minor.max_pot_value")


def test_r_chg_1_change_that_would_be_invalid_between_two_wins_is_refused() -> None:
    """Each pot's piece waits for its own win, so any of them may come first."""
    free = template(
        contribution_rules={
            "opt_in_required": False,
            "contribution_type": {"Fixed": 0.1},
            "operator_contribution_percentage": 1,
        },
        pots=[pot("minor", pot_types=hit_rate(50, 0)), pot("major pot")],
    )
    by_value = [{"Value": {"min": 20, "max": 50}}]
    both = {"pots": {"minor": {"pot_types": hit_rate(50)}, "major pot": {"pot_types": by_value}}}

    message = refusal(both, free)
    assert message.startswith("$.changes.pots.minor.pot_types[0].HitRate.cost_per_attempt may be 0")
    assert message.endswith("if pot major pot is won first")
    first = split({"pots": {"minor": {"pot_types": hit_rate(50)}}}, free)
    for _, piece in first:
        free = merged(free, piece)
    assert split({"pots": {"major pot": {"pot_types": by_value}}}, free) != []


def test_what_takes_effect_together_is_compiled_together() -> None:
    """With the win of a pot its own piece and the general one come in one step, though neither fits alone."""
    paid = {"contribution_rules": {"operator_contribution_percentage": 0}}
    document = template(
        contribution_rules={
            "opt_in_required": False,
            "contribution_type": {"Fixed": 0.1},
            "operator_contribution_percentage": 1,
        },
        pots=[pot("minor", pot_types=hit_rate(50, 0), contribution={"Percentage": 0.7})],
    )
    change = paid | {"pots": {"minor": {"pot_types": hit_rate(50)}}}
    pieces = split_changes(json.dumps(change).encode(), document, [], ["minor"])
    contents = [content for _, content in pieces]
    results = take_effect(document, contents, [])

    assert [None, 0] == [index for index, _ in pieces]
    assert try_compile(merged(document, contents[0]), []) is None
    assert len(results) == 2
    assert results[0] == results[1]
    assert results[0][1] is not None
    assert results[0][1].operator_share == 0
    assert results[0][1].pots[0].hit_rates[0].cost_units == 10**7


def test_piece_that_does_not_fit_any_more_is_dropped_alone() -> None:
    """The others of the same win take effect."""
    pieces = [
        b'{"withhold_wins_above":5}',
        b'{"house_hold_contribution":{"Percentage":0.9}}',
        b'{"win_selector_strategy":"All"}',
    ]
    first, second, third = take_effect(template(), pieces, [])

    assert second == (b"", None)
    assert first == (merged(template(), pieces[0]), try_compile(first[0], []))
    assert third == (merged(first[0], pieces[2]), try_compile(third[0], []))
    assert third[1] is not None
    assert (third[1].withhold_above, third[1].win_selector) == (5 * 10**8, "All")


def test_instance_of_an_older_version_can_be_changed_once_what_is_wrong_is_mended() -> None:
    """What was wrong from its birth is named with the first change, and does not stop the pieces of other wins."""
    old = template(
        contribution_rules={"opt_in_required": False, "contribution_type": {"Fixed": 0.1}},
        pots=[
            pot("minor", pot_types=hit_rate(10**15, 10**9)),
            pot("major pot"),
        ],
    )
    change = {"pots": {"major pot": {"pot_types": hit_rate(9)}}}
    mended = {"pots": change["pots"] | {"minor": {"pot_types": hit_rate(8)}}}

    path = "$.changes.pots.minor.pot_types[0].HitRate.max_magic_number"
    assert refusal(change, old).startswith(path)
    pieces = split(mended, old)
    assert [1, 0] == [index for index, _ in pieces]
    ((document, rules),) = take_effect(old, [pieces[0][1]], [])
    assert rules is not None
    assert rules == compile_document(document, [])
    assert [pot.hit_rates[0].outcomes for pot in rules.pots] == [10**15, 9]


def test_values_before_a_change_have_its_shape() -> None:
    """The record says what was: the same fields as the change, null for what was not there."""
    piece = json.dumps(
        {
            "withhold_wins_above": 5,
            "house_hold_contribution": {"Percentage": 0.1},
            "contribution_rules": {"currency_values": {"JPY": None, "SEK": {}}},
            "pots": {
                "minor": {"seed_strategy": {"min_reseed_value": 1}, "max_pot_value": 7},
                "major pot": {"criteria": None},
            },
        }
    ).encode()

    assert json.loads(values_before(template(), piece)) == {
        "withhold_wins_above": None,
        "house_hold_contribution": {"Percentage": 0.3},
        "contribution_rules": {
            "currency_values": {"JPY": {"min": 10, "max": 500, "default": 10}, "SEK": None}
        },
        "pots": {
            "minor": {"seed_strategy": {"min_reseed_value": 10.10}, "max_pot_value": None},
            "major pot": {"criteria": {"min_base_wager": 1, "segments": ["vip"]}},
        },
    }


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.integers(0, 2**48))
def test_change_to_another_template_is_that_template(seed: int) -> None:
    """All that may change of one template is put into another with the same pots: the rules are then the same."""
    rng = random.Random(seed)
    before, after = (random_template(rng, features=EVERYTHING) for _ in range(2))
    while len(before["pots"]) != len(after["pots"]):
        after = random_template(rng, features=EVERYTHING)
    after["currency"] = before["currency"]
    rules = after["contribution_rules"]
    rules["currency_values"].pop(after["currency"], None)
    gone = dict.fromkeys(before["contribution_rules"]["currency_values"])
    optional = dict.fromkeys(("criteria", "community_payout", "max_pot_value"))
    change = {
        "contribution_rules": rules | {"currency_values": gone | rules["currency_values"]},
        "house_hold_contribution": after["house_hold_contribution"],
        "win_selector_strategy": after["win_selector_strategy"],
        "withhold_wins_above": after.get("withhold_wins_above"),
        "pots": {
            pot["id"]: optional
            | {"supports_external_trigger": False}
            | {name: value for name, value in pot.items() if name != "id"}
            for pot in after["pots"]
        },
    }
    for pot_ in after["pots"]:
        pot_["seed_strategy"].setdefault("open_when_funded", False)
    document, piece = encoded(before), encoded(change)
    changed = merged(document, piece)

    assert try_compile(changed, []) == compiled(after)
    back = values_before(document, piece)
    assert try_compile(merged(changed, back), []) == compiled(before)
    assert Decimal(json.loads(changed)["house_hold_contribution"]["Percentage"]) >= 0
