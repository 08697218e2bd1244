"""What operators do to the pots of a live instance: boosts, corrections, triggers, withheld wins, parameters (§8)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Answer, Lab, Platform, StartServer

WHY = "a test asks for it"


def pot_of(state: dict[str, Any], pot_id: str = "main") -> dict[str, Any]:
    return next(pot for pot in state["pots"] if pot["id"] == pot_id)


def assert_balanced(state: dict[str, Any]) -> None:
    assert sum(map(Decimal, map(str, state["ledger"].values()))) == 0, state["ledger"]


async def boost(platform: Platform, instance_id: str, **changes: object) -> Answer:
    body = {"pot_id": "main", "amount": 5, "reason": WHY} | changes
    return await platform.admin.post(f"/instances/{instance_id}/seedboosts", body)


async def adjust(platform: Platform, instance_id: str, amount: object, **changes: object) -> Answer:
    body = {"pot_id": "main", "amount": amount, "reason": WHY} | changes
    return await platform.admin.post(f"/instances/{instance_id}/adjustments", body)


async def trigger(
    platform: Platform, instance_id: str, round_id: str, pot_id: str = "main", **changes: object
) -> Answer:
    player = {"id": platform.player, "brand_id": platform.brand}
    body = {"player": player, "gameround_id": round_id, "reason": WHY} | changes
    return await platform.admin.post(f"/instances/{instance_id}/pots/{pot_id}/trigger", body)


async def withheld(platform: Platform, instance_id: str) -> list[dict[str, Any]]:
    found = await platform.admin.get(f"/instances/{instance_id}/withheld")
    return list(found.successful().body)


async def decide(platform: Platform, instance_id: str, round_id: str, what: str) -> Answer:
    path = f"/instances/{instance_id}/withheld/{round_id}/main/{what}"
    return await platform.admin.post(path, {"reason": WHY})


async def test_boost_pays_what_the_reserve_lacks_at_the_next_seed(platform: Platform) -> None:
    """The operator's buffer is taken before the operator's deficit, after the reserve (release notes, seed boosts)."""
    jackpot = await platform.jackpot(pots=[platform.pot(odds=1)])
    state = (await boost(platform, jackpot, amount=4.5)).successful().body
    assert pot_of(state)["boost"] == Decimal("4.5")
    assert state["ledger"]["boost:main"] == Decimal("4.5")
    assert_balanced(state)

    won = (await platform.contribute(jackpot)).successful().body
    after = await platform.instance(jackpot)

    assert won["win_pot_id"] == "main"
    assert pot_of(after)["boost"] == 0
    assert pot_of(after)["seed_reserve"] == 0
    # The reserve had half of the pot's part, 0.035; the rest of the seed of 10 is the operator's.
    assert Decimal(str(after["ledger"]["deficit"])) == -(10 - Decimal("4.5") - Decimal("0.035"))
    assert_balanced(after)


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        ({"amount": 0}, 400, "$.amount"),
        ({"amount": -1}, 400, "$.amount"),
        ({"amount": "much"}, 400, "$.amount"),
        ({"reason": ""}, 400, "$.reason"),
        ({"reason": " "}, 400, "$.reason"),
        ({"reason": None}, 400, "$.reason"),
        ({"by": "me"}, 400, "$.by"),
        ({"pot_id": "none"}, 404, "none"),
    ],
)
async def test_boost_that_makes_no_sense_is_refused(
    platform: Platform, body: dict[str, object], status: int, where: str
) -> None:
    """A boost names a pot, an amount above 0 and a reason, and nothing else; nothing happens without."""
    jackpot = await platform.jackpot()
    refused = (await boost(platform, jackpot, **body)).refusal
    assert refused[0] == status
    assert where in refused[2]
    assert pot_of(await platform.instance(jackpot))["boost"] == 0


async def test_adjustment_corrects_a_pot_up_and_down(platform: Platform) -> None:
    """The operator pays in, or takes back; the books balance."""
    jackpot = await platform.jackpot()
    up = (await adjust(platform, jackpot, "12.34")).successful().body
    assert pot_of(up)["current_value"] == Decimal("22.34")
    assert up["ledger"]["operator"] == Decimal("-22.34")
    assert_balanced(up)

    down = (await adjust(platform, jackpot, -12.3)).successful().body
    assert pot_of(down)["current_value"] == Decimal("10.04")
    assert_balanced(down)


async def test_r_chg_2_an_adjustment_stays_between_reset_value_and_ceiling(
    platform: Platform,
) -> None:
    """Nobody sets a pot below its reset value, nor above its ceiling."""
    jackpot = await platform.jackpot(pots=[platform.pot(max_pot_value=20)])
    assert pot_of(await platform.instance(jackpot))["max_pot_value"] == 20
    assert (await adjust(platform, jackpot, -0.01)).refusal[:2] == (409, "INVALID_STATE")
    assert (await adjust(platform, jackpot, 10.01)).refusal[:2] == (409, "INVALID_STATE")
    assert (await adjust(platform, jackpot, 0)).refusal[0] == 400
    assert (await adjust(platform, jackpot, 1, reason="")).refusal[0] == 400
    assert (await adjust(platform, jackpot, 1, pot_id="none")).refusal[0] == 404
    assert await platform.main_pot(jackpot) == 10
    assert (await adjust(platform, jackpot, 10)).successful()


async def test_trigger_pays_the_player_once_for_a_round(platform: Platform) -> None:
    """A pot that is triggered from outside pays whom it is told, in their currency; a repeat pays nothing."""
    pots = [
        platform.pot(supports_external_trigger=True),
        platform.pot("other", contribution={"Percentage": 0}),
    ]
    jackpot = await platform.jackpot(pots=pots)
    round_id = platform.unique("round")

    player = {"id": platform.player, "brand_id": "brand1", "currency": "USD"}
    won = (await trigger(platform, jackpot, round_id, player=player)).successful().body
    again = await trigger(platform, jackpot, round_id, player=player)

    assert won["win_amount"] == Decimal("10.76")  # 10 EUR at 1.0762, floored to cents
    assert won["win_currency"] == "USD"
    assert (won["player_id"], won["brand_id"]) == (platform.player, platform.brand)
    assert again.refusal == (409, "INVALID_STATE", "AlreadyTriggered")
    state = await platform.instance(jackpot)
    assert pot_of(state)["hits"] == 1
    assert_balanced(state)
    winners = await platform.winners(jackpot)
    assert [(row["player_id"], row["gameround_id"]) for row in winners] == [
        (platform.player, won["gameround_id"])
    ]
    refused = await trigger(platform, jackpot, platform.unique("round"), "other")
    assert refused.refusal[:2] == (409, "INVALID_STATE")


async def test_trigger_needs_a_known_brand_and_an_active_jackpot(
    platform: Platform, lab: Lab
) -> None:
    """What a contribution could not win, a trigger does not pay either."""
    pots = [platform.pot(supports_external_trigger=True)]
    jackpot = await platform.jackpot(pots=pots)

    stranger = {"id": platform.player, "brand_id": lab.one}
    assert (await trigger(platform, jackpot, "r", player=stranger)).refusal[:2] == (
        403,
        "UNSUPPORTED_BRAND",
    )
    nobody = {"id": platform.player, "brand_id": "thrilltech:nobody"}
    assert (await trigger(platform, jackpot, "r", player=nobody)).refusal[0] == 403
    coin = {"id": platform.player, "brand_id": platform.brand, "currency": "XYZ"}
    assert (await trigger(platform, jackpot, "r", player=coin)).refusal == (
        404,
        "CURRENCY_MULTIPLIERS_NOT_FOUND",
        "XYZ",
    )
    assert (await trigger(platform, jackpot, "r", "none")).refusal[0] == 404
    (await platform.set_status(jackpot, "Paused")).successful()
    assert (await trigger(platform, jackpot, "r")).refusal[0] == 400
    assert await platform.main_pot(jackpot) == 10


async def test_withheld_win_is_released_to_its_winner(platform: Platform) -> None:
    """The money leaves the pot at the win, waits, and is paid once."""
    jackpot = await platform.jackpot(pots=[platform.pot(odds=1)], withhold_wins_above=5)
    won = (await platform.contribute(jackpot)).successful().body
    assert won["win_withheld"] is True
    (held,) = await withheld(platform, jackpot)
    assert held["gameround_id"] == won["gameround_id"]
    assert (held["amount"], held["currency"]) == (won["win_amount"], "EUR")
    assert (held["player_id"], held["brand_id"]) == (platform.player, platform.brand)
    state = await platform.instance(jackpot)
    assert (state["ledger"]["withheld"], state["ledger"]["payouts"]) == (won["win_amount"], 0)
    assert pot_of(state)["withheld"] == won["win_amount"]
    assert (await platform.winners(jackpot))[0]["win_withheld"] is True

    after = (await decide(platform, jackpot, held["gameround_id"], "release")).successful().body

    assert (after["ledger"]["withheld"], after["ledger"]["payouts"]) == (0, won["win_amount"])
    assert_balanced(after)
    assert await withheld(platform, jackpot) == []
    assert (await platform.winners(jackpot))[0]["win_withheld"] is False
    for what in ("release", "reject"):
        refused = await decide(platform, jackpot, held["gameround_id"], what)
        assert refused.refusal[:2] == (404, "JACKPOT_NOT_FOUND")


async def test_rejected_win_returns_to_its_pot(platform: Platform) -> None:
    """A rejected win's money returns to that pot, on top of what it has grown to."""
    jackpot = await platform.jackpot(pots=[platform.pot(odds=1)], withhold_wins_above=5)
    won = (await platform.contribute(jackpot)).successful().body
    before = await platform.main_pot(jackpot)
    winners = f"/jackpots/instances/jackpot/{jackpot}/latest_winners"
    (shown,) = (await platform.gateway.get(winners)).successful().body
    assert shown["win_withheld"] is True

    reject = f"/instances/{jackpot}/withheld/{won['gameround_id']}/main/reject"
    assert (await platform.admin.post(reject, {"reason": ""})).refusal[0] == 400
    assert (await platform.admin.post(reject, {})).refusal[0] == 400
    after = (await platform.admin.post(reject, {"reason": WHY})).successful().body

    assert pot_of(after)["current_value"] == before + won["win_amount"]
    assert after["ledger"]["withheld"] == 0
    assert_balanced(after)
    assert (await platform.gateway.get(winners)).successful().body == []  # nobody was paid


async def test_parameters_wait_for_the_next_win(platform: Platform) -> None:
    """What is asked for stands there with who, why and the present values, until the pot is won."""
    pots = [platform.pot(supports_external_trigger=True)]
    jackpot = await platform.jackpot(pots=pots)
    path = f"/instances/{jackpot}/parameters"
    born = (await platform.admin.get(path)).successful().body
    assert born["pending"] == []
    assert [pot["id"] for pot in born["parameters"]["pots"]] == ["main"]

    changes = {"pots": {"main": {"max_pot_value": 500}}}
    asked = (await platform.admin.put(path, {"changes": changes, "reason": WHY})).successful().body
    (pending,) = asked["pending"]
    assert (pending["pot_id"], pending["by"], pending["reason"]) == ("main", "admin", WHY)
    assert pending["changes"] == changes
    assert pending["before"] == {"pots": {"main": {"max_pot_value": None}}}
    state = await platform.instance(jackpot)
    assert (pot_of(state)["max_pot_value"], pot_of(state)["pending_changes"]) == (None, 1)

    (await trigger(platform, jackpot, platform.unique("round"))).successful()

    after = (await platform.admin.get(path)).successful().body
    assert after["pending"] == []
    assert after["parameters"]["pots"][0]["max_pot_value"] == 500
    state = await platform.instance(jackpot)
    assert (pot_of(state)["max_pot_value"], pot_of(state)["pending_changes"]) == (500, 0)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"changes": {}, "reason": WHY}, "$.changes"),
        ({"changes": {"currency": "USD"}, "reason": WHY}, "$.changes.currency"),
        ({"changes": {"pots": {"none": {}}}, "reason": WHY}, "$.changes.pots.none"),
        ({"changes": {"colour": 1}, "reason": WHY}, "$.changes.colour"),
        ({"changes": {"win_selector_strategy": "All"}, "reason": ""}, "$.reason"),
        ({"changes": {"win_selector_strategy": "All"}}, "$.reason"),
        ({"changes": [], "reason": WHY}, "$.changes"),
        (
            {"changes": {"house_hold_contribution": {"Percentage": 0.5}}, "reason": WHY},
            "$.changes.house_hold_contribution",
        ),
    ],
)
async def test_parameters_that_cannot_be_are_refused_with_the_path(
    platform: Platform, body: dict[str, object], where: str
) -> None:
    """A change is checked when it is asked for, not when it takes effect."""
    jackpot = await platform.jackpot()
    status, code, message = (
        await platform.admin.put(f"/instances/{jackpot}/parameters", body)
    ).refusal
    assert (status, code) == (400, "INVALID_REQUEST")
    assert message.startswith(where)
    assert (await platform.instance(jackpot))["pending_changes"] == 0


async def test_what_is_over_is_not_operated(platform: Platform) -> None:
    """A jackpot that is terminated keeps its money where it was set aside, and takes none."""
    jackpot = await platform.jackpot(pots=[platform.pot(supports_external_trigger=True)])
    (await boost(platform, jackpot)).successful()
    ended = (await platform.set_status(jackpot, "Terminated")).successful().body
    assert ended["ledger"]["undistributed:main"] == 15
    assert_balanced(ended)
    assert (await boost(platform, jackpot)).refusal[:2] == (409, "INVALID_STATE")
    assert (await adjust(platform, jackpot, 1)).refusal[:2] == (409, "INVALID_STATE")
    assert (await trigger(platform, jackpot, "r")).refusal[:2] == (409, "INVALID_STATE")
    changes = {"changes": {"win_selector_strategy": "All"}, "reason": WHY}
    refused = await platform.admin.put(f"/instances/{jackpot}/parameters", changes)
    assert refused.refusal[:2] == (409, "INVALID_STATE")


async def test_only_the_owner_operates(platform: Platform, lab: Lab) -> None:
    """Another operator's account is refused on every call, and so is one that may only read."""
    jackpot = await platform.jackpot(pots=[platform.pot(supports_external_trigger=True)])
    username = platform.unique("reader")
    account = {
        "username": username,
        "password": "Correct-Horse-7-Battery",
        "org_id": platform.operator,
        "permissions": [{"resource_id": "*", "permission": "Read"}],
    }
    (await platform.admin.post("/admin/accounts", account)).successful()
    login = {"username": username, "password": account["password"]}
    reader = (await platform.admin.post("/accounts/auth", login)).successful().body["token"]
    money = {"pot_id": "main", "amount": 1, "reason": WHY}
    player = {"id": "p", "brand_id": platform.brand}
    calls: list[tuple[str, str, Any]] = [
        ("POST", "seedboosts", money),
        ("POST", "adjustments", money),
        ("POST", "pots/main/trigger", {"player": player, "gameround_id": "r", "reason": WHY}),
        ("POST", "withheld/r/main/release", {"reason": WHY}),
        ("POST", "withheld/r/main/reject", {"reason": WHY}),
        ("PUT", "parameters", {"changes": {"win_selector_strategy": "All"}, "reason": WHY}),
        ("POST", "decommission", {"destinations": [], "reason": WHY}),
    ]
    for token in (lab.user, reader):
        caller = platform.admin.with_token(token)
        for method, path, body in calls:
            answer = await caller.send(method, f"/instances/{jackpot}/{path}", body)
            assert answer.refusal[:2] == (403, "FORBIDDEN"), path
    for path in ("withheld", "parameters"):
        stranger = platform.admin.with_token(lab.user)
        assert (await stranger.get(f"/instances/{jackpot}/{path}")).refusal[0] == 403
        allowed = platform.admin.with_token(reader)
        assert (await allowed.get(f"/instances/{jackpot}/{path}")).status == 200
    assert await platform.main_pot(jackpot) == 10


async def test_commitments_can_be_noted_before_playing(platform: Platform) -> None:
    """The gateway shows what each pot is sealed with; it stands until the pot is won, then it is another."""
    pots = [platform.pot(supports_external_trigger=True)]
    jackpot = await platform.jackpot(pots=pots)
    path = f"/jackpots/instances/jackpot/{jackpot}/fairness"

    async def sealed() -> dict[str, Any]:
        body = (await platform.gateway.get(path)).successful().body
        assert body["instance_id"] == jackpot
        (found,) = body["pots"]
        return dict(found)

    first = await sealed()
    assert (first["pot_id"], first["seal_number"], first["contributions_before"]) == ("main", 1, 0)
    assert len(bytes.fromhex(first["commitment"])) == 32
    shown = pot_of(await platform.instance(jackpot))["seal"]
    assert shown["commitment"] == first["commitment"]
    (await platform.contribute(jackpot)).successful()
    assert await sealed() == first

    (await trigger(platform, jackpot, platform.unique("round"))).successful()

    second = await sealed()
    assert (second["seal_number"], second["contributions_before"]) == (2, 1)
    assert second["commitment"] != first["commitment"]
    (await platform.set_status(jackpot, "Terminated")).successful()
    assert (await sealed())["commitment"] is None
    unknown = "/jackpots/instances/jackpot/none/fairness"
    assert (await platform.gateway.get(unknown)).refusal[:2] == (404, "JACKPOT_NOT_FOUND")


@pytest.mark.parametrize("workers", [1, 2])
async def test_what_operators_did_survives_a_crash(start_server: StartServer, workers: int) -> None:
    """Boosts, corrections, pending parameters and withheld wins are there after `kill -9`, with one worker and two."""
    environment = {"JACKPOTD_SERVICE_WORKERS": str(workers)}
    async with start_server(environment=environment) as (server, platform):
        jackpots = [
            await platform.jackpot(pots=[platform.pot(odds=1)], withhold_wins_above=5)
            for _ in range(2 * workers)
        ]
        for jackpot in jackpots:
            (await boost(platform, jackpot)).successful()
            (await adjust(platform, jackpot, 7)).successful()
            changes = {"changes": {"win_selector_strategy": "All"}, "reason": WHY}
            (await platform.admin.put(f"/instances/{jackpot}/parameters", changes)).successful()
            (await platform.contribute(jackpot)).successful()
        before = [await platform.instance(jackpot) for jackpot in jackpots]
        held = [await withheld(platform, jackpot) for jackpot in jackpots]

        await server.kill()
        await server.start()

        assert [await platform.instance(jackpot) for jackpot in jackpots] == before
        assert [await withheld(platform, jackpot) for jackpot in jackpots] == held
        for jackpot, (win,) in zip(jackpots, held, strict=True):
            state = (
                (await decide(platform, jackpot, win["gameround_id"], "reject")).successful().body
            )
            assert_balanced(state)
