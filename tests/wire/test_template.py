"""The template of the contract, compiled: every field means what §9 says, and what is not there is refused."""

import json
from typing import Any

import pytest

from jackpotd.core import rules as core
from jackpotd.core.rules import CommunityKind, Fallback
from jackpotd.wire import codec
from jackpotd.wire.catalog_records import compile_document
from jackpotd.wire.errors import RequestRefused
from jackpotd.wire.template import DECODER, compile_rules

Json = dict[str, Any]
EUR = core.WHOLE
HOUR_MS = 3_600_000

# Contract §9, as it stands there, without its comments; window_start, the null currency and the null raffle too.
DOCUMENTED: Json = {
    "id": "three-tier",
    "name": "…",
    "owner_id": "op:brand",
    "currency": "EUR",
    "jackpot_type": "Jackpot",
    "allowed_brands": ["op:brand1"],
    "allowed_countries": None,
    "blocked_countries": [],
    "allowed_segments": None,
    "allowed_verticals": None,
    "contribution_rules": {
        "opt_in_required": True,
        "contribution_type": {"Fixed": 0.1},
        "currency_values": {"JPY": {"min": 10, "max": 500, "default": 10}},
        "operator_contribution_percentage": 0,
    },
    "house_hold_contribution": {"Percentage": 0.75},
    "win_selector_strategy": "Highest",
    "withhold_wins_above": None,
    "pots": [
        {
            "id": "minor",
            "is_progressive": True,
            "contribution": {"Percentage": 0.25},
            "seed_contribution": {"Percentage": 0.85},
            "seed_strategy": {
                "initial_seed_value": 10,
                "min_reseed_value": 10,
                "fund_strategy": "CollectToMinReseed",
                "reseed_strategy": "Full",
                "open_when_funded": False,
            },
            "max_instantiation_count": None,
            "max_pot_value": None,
            "supports_external_trigger": False,
            "pot_types": [
                {"HitRate": {"max_magic_number": 5, "cost_per_attempt": 0.1}},
                {"Value": {"min": 900, "max": 1000}},
                {"Time": {"every": {"Hours": 24}, "window_start": 0, "fallback": "RollOver"}},
            ],
            "criteria": {"min_base_wager": None, "segments": None, "currencies": None},
            "community_payout": {
                "share": 0.5,
                "strategies": [
                    {"ActivePlayers": {"share": 0.2, "winners": 10, "within_hours": 24}},
                    {"HighestContributionPerWin": {"share": 0.2, "winners": 5}},
                    {"HighestLifetimeContributor": {"share": 0.1, "winners": 3}},
                ],
            },
        }
    ],
    "raffle": None,
}


def template(**changes: Any) -> Json:
    copy: Json = json.loads(json.dumps(DOCUMENTED))
    return copy | changes


def with_pot(**changes: Any) -> Json:
    made = template()
    made["pots"][0] |= changes
    return made


def with_points(*points: Json) -> Json:
    return with_pot(pot_types=list(points))


def with_strategies(share: Any, *strategies: Json) -> Json:
    return with_pot(community_payout={"share": share, "strategies": list(strategies)})


def compiled(made: Json) -> core.Rules:
    return compile_rules(codec.decode(DECODER, json.dumps(made).encode()), [])


def pot_of(made: Json) -> core.PotRules:
    return compiled(made).pots[0]


def refusal(made: Json) -> str:
    with pytest.raises(RequestRefused) as refused:
        compiled(made)
    assert (refused.value.body.status_code, refused.value.body.code) == (400, "INVALID_REQUEST")
    return refused.value.body.message


def test_template_of_the_contract_compiles_to_what_it_says() -> None:
    """All of its fields in one pot, several tipping points and strategies included."""
    rules = compiled(template())
    pot = rules.pots[0]

    assert pot.hit_rates == (core.HitRate(outcomes=5, cost_units=EUR // 10),)
    assert pot.hidden_values == (core.HiddenValue(low=900 * EUR, high=1000 * EUR),)
    assert pot.hidden_times == (core.HiddenTime(24 * HOUR_MS, 0, Fallback.ROLL_OVER),)
    assert pot.community == (
        core.CommunityStrategy(CommunityKind.ACTIVE_PLAYERS, EUR // 5, 10, 24 * HOUR_MS),
        core.CommunityStrategy(CommunityKind.HIGHEST_CONTRIBUTION_PER_WIN, EUR // 5, 5),
        core.CommunityStrategy(CommunityKind.HIGHEST_LIFETIME_CONTRIBUTOR, EUR // 10, 3),
    )
    assert (pot.criteria, pot.value_max, rules.withhold_above) == (None, None, None)
    assert not pot.opens_when_funded
    assert not pot.has_trigger
    assert (rules.has_community, rules.has_times, rules.is_plain) == (True, True, False)
    values = {"JPY": core.ValueRange(10 * EUR, 500 * EUR, 10 * EUR)}
    assert rules.currency_values == values
    assert rules.allowed_brands == frozenset({"op:brand1"})


def test_optional_parts_compile_to_what_they_say() -> None:
    """Ceiling, trigger, funding, criteria and withholding, each with a value."""
    seeds = DOCUMENTED["pots"][0]["seed_strategy"] | {"open_when_funded": True}
    criteria = {"min_base_wager": "0.5", "segments": ["vip"], "currencies": ["EUR", "SEK"]}
    made = with_pot(
        seed_strategy=seeds,
        criteria=criteria,
        max_pot_value="1000.5",
        supports_external_trigger=True,
    )
    rules = compiled(made | {"withhold_wins_above": 750})
    pot = rules.pots[0]

    assert (pot.value_max, rules.withhold_above) == (1000 * EUR + EUR // 2, 750 * EUR)
    assert pot.opens_when_funded
    assert pot.has_trigger
    assert pot.criteria == core.Criteria(EUR // 2, frozenset({"vip"}), frozenset({"EUR", "SEK"}))


@pytest.mark.parametrize(
    ("every", "expected_ms"),
    [
        ({"Seconds": 60}, 60_000),
        ({"Minutes": 90}, 5_400_000),
        ({"Hours": 22}, 79_200_000),
        ({"Days": 366}, 31_622_400_000),
        ({"Weeks": 2}, 1_209_600_000),
    ],
)
def test_windows_are_given_in_any_unit(every: Json, expected_ms: int) -> None:
    """The same units as a raffle's duration; a window begins at 0 unless it says otherwise."""
    time = {"every": every, "fallback": "DrawAmongContributors"}
    pot = pot_of(with_points({"Time": time}))

    expected = core.HiddenTime(expected_ms, 0, Fallback.DRAW_AMONG_CONTRIBUTORS)
    assert pot.hidden_times == (expected,)


def test_several_strategies_of_one_kind_stay_apart() -> None:
    """Each has its own share and winners."""
    strategies = [
        {"ActivePlayers": {"share": "0.1", "winners": winners, "within_hours": hours}}
        for winners, hours in ((1, 1), (20, 24), (3, 8760))
    ]
    pot = pot_of(with_strategies(0.3, *strategies))

    found = [(each.winners, each.within_ms // HOUR_MS) for each in pot.community]
    assert found == [(1, 1), (20, 24), (3, 8760)]


def test_pots_of_different_kinds_stand_beside_each_other() -> None:
    """One by draw, one by value, one by time, one by hand."""
    made = template(house_hold_contribution={"Percentage": 0})
    kinds = [[point] for point in made["pots"][0]["pot_types"]] + [[]]
    made["pots"] = [
        made["pots"][0] | {"id": f"pot{at}", "pot_types": kind, "supports_external_trigger": True}
        for at, kind in enumerate(kinds)
    ]
    pots = compiled(made).pots

    found = [
        (len(pot.hit_rates), len(pot.hidden_values), len(pot.hidden_times), pot.has_trigger)
        for pot in pots
    ]
    assert found == [(1, 0, 0, True), (0, 1, 0, True), (0, 0, 1, True), (0, 0, 0, True)]


HIT_RATE = {"HitRate": {"max_magic_number": 5, "cost_per_attempt": 0.1}}
VALUE = {"Value": {"min": 900, "max": 1000}}
POINT = "$.pots[0].pot_types[1]"
PAYOUT = "$.pots[0].community_payout"


def time(**changes: Any) -> Json:
    return {"Time": {"every": {"Hours": 1}, "fallback": "RollOver"} | changes}


def active(**changes: Any) -> Json:
    return {"ActivePlayers": {"share": 0.5, "winners": 1, "within_hours": 1} | changes}


REFUSED: list[tuple[Json, str]] = [
    (with_points(HIT_RATE, {"Points": {}}), f"{POINT}.Points is none of HitRate, Value, Time"),
    (with_points(HIT_RATE, {}), f"{POINT} must hold exactly one variant"),
    (with_points(HIT_RATE, HIT_RATE | VALUE), f"{POINT} must hold exactly one variant"),
    (with_points(HIT_RATE, {"Value": {"min": 900}}), f"{POINT}.Value.max is missing"),
    (with_points(HIT_RATE, {"Value": {"min": 1, "max": 2, "foo": 1}}), f"{POINT}.Value.foo"),
    (with_points(HIT_RATE, {"Value": {"min": "x", "max": 2}}), f"{POINT}.Value.min must be"),
    (with_points(HIT_RATE, {"Value": None}), f"{POINT}.Value expected"),
    (with_points(HIT_RATE, {"Value": {"min": 9, "max": 9}}), f"{POINT}.Value.min must be below"),
    (with_points(HIT_RATE, {"Time": {}}), f"{POINT}.Time."),
    (with_points(HIT_RATE, time(foo=1)), f"{POINT}.Time.foo is unknown"),
    (with_points(HIT_RATE, time(fallback="Never")), f"{POINT}.Time.fallback"),
    (with_points(HIT_RATE, time(every={})), f"{POINT}.Time.every must hold exactly one"),
    (
        with_points(HIT_RATE, time(every={"Hours": 1, "Days": 1})),
        f"{POINT}.Time.every must hold exactly one",
    ),
    (with_points(HIT_RATE, time(every={"Months": 1})), f"{POINT}.Time.every.Months is none of"),
    (with_points(HIT_RATE, time(every={"Hours": 1.5})), f"{POINT}.Time.every.Hours expected"),
    (with_points(HIT_RATE, time(every={"Hours": "1"})), f"{POINT}.Time.every.Hours expected"),
    (with_points(HIT_RATE, time(every={"Seconds": 59})), f"{POINT}.Time.every must be between"),
    (with_points(HIT_RATE, time(every={"Weeks": 53})), f"{POINT}.Time.every must be between"),
    (with_points(HIT_RATE, time(every=86400)), f"{POINT}.Time.every expected"),
    (with_points(HIT_RATE, time(window_start=-1)), f"{POINT}.Time.window_start must"),
    (with_points(HIT_RATE, time(window_start="now")), f"{POINT}.Time.window_start expected"),
    (with_points(), "$.pots[0].pot_types needs"),
    (with_points(*[HIT_RATE] * 9), "$.pots[0].pot_types needs"),
    (with_pot(pot_types={"HitRate": {}}), "$.pots[0].pot_types"),
    (with_pot(criteria={"segments": []}), "$.pots[0].criteria.segments is empty"),
    (with_pot(criteria={"segments": "vip"}), "$.pots[0].criteria.segments expected"),
    (with_pot(criteria={"currencies": []}), "$.pots[0].criteria.currencies is empty"),
    (with_pot(criteria={"currencies": ["euro"]}), "$.pots[0].criteria.currencies[0]"),
    (with_pot(criteria={"min_base_wager": -1}), "$.pots[0].criteria.min_base_wager must"),
    (with_pot(criteria={"wager": 1}), "$.pots[0].criteria.wager is unknown"),
    (with_pot(criteria={"wager": None}), "$.pots[0].criteria.wager is unknown"),
    (with_pot(max_pot_value=999), "$.pots[0].max_pot_value must not be below the max"),
    (with_pot(max_pot_value=[]), "$.pots[0].max_pot_value must be a number"),
    (with_pot(supports_external_trigger="yes"), "$.pots[0].supports_external_trigger"),
    (with_pot(community_payout={}), f"{PAYOUT}."),
    (with_pot(community_payout={"share": 0.5, "strategies": [], "x": 1}), f"{PAYOUT}.x"),
    (with_strategies(0.5), f"{PAYOUT}.strategies needs at least one"),
    (with_strategies(0.4, active()), f"{PAYOUT}.share is not what its strategies add up to: 0.5"),
    (with_strategies(0, active(share=0)), f"{PAYOUT}.strategies[0].ActivePlayers.share must"),
    (with_strategies(1.1, active(share=1.1)), f"{PAYOUT}.share must be below 1"),
    (with_strategies(1, active(share=1)), f"{PAYOUT}.share must be below 1"),
    (with_strategies(0.5, {"Everybody": {}}), f"{PAYOUT}.strategies[0].Everybody is none of"),
    (with_strategies(0.5, {}), f"{PAYOUT}.strategies[0] must hold exactly one variant"),
    (with_strategies(0.5, active(winners=0)), f"{PAYOUT}.strategies[0].ActivePlayers.winners"),
    (with_strategies(0.5, active(winners=1.5)), f"{PAYOUT}.strategies[0].ActivePlayers.winners"),
    (
        with_strategies(0.5, active(within_hours=8761)),
        f"{PAYOUT}.strategies[0].ActivePlayers.within_hours must be between 1 and 8760",
    ),
    (
        with_strategies(0.5, {"HighestLifetimeContributor": {"share": 0.5, "winners": 101}}),
        f"{PAYOUT}.strategies[0].HighestLifetimeContributor.winners must be between 1 and 100",
    ),
    (
        with_strategies(
            0.5, {"HighestContributionPerWin": {"share": 0.5, "winners": 1, "within_hours": 1}}
        ),
        f"{PAYOUT}.strategies[0].HighestContributionPerWin.within_hours is unknown",
    ),
    (template(withhold_wins_above=-1), "$.withhold_wins_above must not be negative"),
    (template(withhold_wins_above="much"), "$.withhold_wins_above must be a number"),
    (template(allowed_countries=[]), "$.allowed_countries is empty"),
    (template(jackpot_type="Raffle"), "$.raffle is needed: this is a raffle"),
    (template(jackpot_type="Lottery"), "$.jackpot_type is none of Jackpot, Raffle"),
    (template(raffle={"duration": None}), "$.raffle.ticket is missing"),
    (template(schedule=None), "$.schedule is unknown"),
]


@pytest.mark.parametrize(
    ("made", "expected"), REFUSED, ids=[f"{at}-{each[1]}" for at, each in enumerate(REFUSED)]
)
def test_bad_template_is_refused_with_its_path_and_the_reason(made: Json, expected: str) -> None:
    """What is unknown, missing, ill-typed or impossible is named where it stands."""
    assert refusal(made).startswith(expected)


def test_everything_that_does_not_fit_is_named_at_once() -> None:
    """A person mends a template in one go."""
    made = with_strategies(0.4, active(winners=0)) | {"withhold_wins_above": -1}
    made["pots"][0] |= {"max_pot_value": 5, "criteria": {"segments": []}}
    message = refusal(made)

    for path in (
        f"{PAYOUT}.share",
        f"{PAYOUT}.strategies[0].ActivePlayers.winners",
        "$.withhold_wins_above",
        "$.pots[0].max_pot_value",
        "$.pots[0].criteria.segments",
    ):
        assert path in message


@pytest.mark.parametrize(
    ("changes", "pot_changes"),
    [
        ({}, {"criteria": {"anything": None}}),
        ({"allowed_countries": []}, {}),
        (
            {
                "contribution_rules": {
                    "opt_in_required": True,
                    "contribution_type": {"Variable": {"min": 0, "max": 1, "default": 0}},
                }
            },
            {},
        ),
        (
            {"contribution_rules": {"opt_in_required": True, "contribution_type": {"Fixed": 0}}},
            {},
        ),
        (
            {"contribution_rules": {"opt_in_required": True, "contribution_type": {"Fixed": 0.1}}},
            {"pot_types": [{"HitRate": {"max_magic_number": 10**15, "cost_per_attempt": 10**9}}]},
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_documents_of_older_versions_still_compile(changes: Json, pot_changes: Json) -> None:
    """What was accepted once stays what it was in a data directory, though no new template may say it."""
    hit_rates = [{"HitRate": {"max_magic_number": 5, "cost_per_attempt": "0.1"}}]
    made = with_pot(**{"pot_types": hit_rates, "community_payout": None} | pot_changes) | changes
    refusal(made)
    rules = compile_document(json.dumps(made).encode(), [])

    assert rules.is_plain
    assert rules.pots[0].criteria is None
    assert len(rules.pots[0].hit_rates) == 1
