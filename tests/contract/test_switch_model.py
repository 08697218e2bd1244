"""Switching an instance to another template: pots by weights, opt-ins, sources and links (later-facts §1.6)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import trio

if TYPE_CHECKING:
    from tests.contract.conftest import Answer, Json, Lab, Platform, StartServer

WHY = "a test asks for it"
PUBLISHED: Json = {  # later-facts 1.6
    "minor": {"minor": 1},
    "major": {"minor": 0.05, "major": 0.95},
    "mega": {"minor": 0.2, "major": 0.1, "mega": 0.7},
}


def three_pots(platform: Platform, *seeds: int) -> list[Json]:
    shares = {"minor": 0.25, "major": 0.25, "mega": 0.2}
    return [
        platform.pot(
            pot_id,
            contribution={"Percentage": share},
            seed_strategy={"initial_seed_value": seed, "min_reseed_value": 10},
        )
        for (pot_id, share), seed in zip(shares.items(), seeds, strict=True)
    ]


async def unseeded(platform: Platform, **changes: Any) -> Json:
    """A published template whose pots start at 0."""
    template = platform.template(pots=three_pots(platform, 0, 0, 0), **changes)
    await platform.publish(template)
    return template


def request(platform: Platform, source: str, template: Json, **changes: object) -> Json:
    body = {
        "source_instance_id": source,
        "template_id": template["id"],
        "template_owner_id": template["owner_id"],
        "target_instance_owner_id": platform.operator,
        "target_instance_name": "The new model",
        "pot_rules": [
            {"source_pot": pot_id, "target_pot": weights} for pot_id, weights in PUBLISHED.items()
        ],
        "transfer_optins": True,
        "reason": WHY,
        "dry_run": False,
    }
    return body | changes


async def switch(platform: Platform, source: str, template: Json, **changes: object) -> Answer:
    body = request(platform, source, template, **changes)
    return await platform.admin.post("/instances/switchmodel", body)


def values(state: Json) -> dict[str, Decimal]:
    return {pot["id"]: Decimal(str(pot["current_value"])) for pot in state["pots"]}


def money(state: Json) -> Decimal:
    kinds = ("pot:", "seed_reserve:", "boost:", "residual")
    book = state["ledger"]
    return sum((Decimal(str(book[name])) for name in book if name.startswith(kinds)), Decimal(0))


def assert_balanced(state: Json) -> None:
    assert sum(map(Decimal, map(str, state["ledger"].values()))) == 0, state["ledger"]


async def test_o12c_the_published_pot_rules(platform: Platform) -> None:
    """From 100, 1,000 and 10,000: minor 2,150, major 1,950, mega 7,000; a dry run shows the same and moves nothing."""
    old = await platform.jackpot(pots=three_pots(platform, 100, 1000, 10000))
    template = await unseeded(platform)
    before = await platform.instance(old)

    dry = (await switch(platform, old, template, dry_run=True)).successful().body
    assert (dry["dry_run"], dry["stage"], dry["instance"]) == (True, "Validated", None)
    assert dry["pots"] == {"minor": 2150, "major": 1950, "mega": 7000}
    assert await platform.instance(old) == before

    done = (await switch(platform, old, template)).successful().body

    assert (done["stage"], done["source_instance_id"]) == ("Done", old)
    assert done["pots"] == {"minor": 2150, "major": 1950, "mega": 7000}
    new = await platform.instance(done["target_instance_id"])
    assert new == done["instance"]
    assert (new["name"], new["status"], new["template_id"]) == (
        "The new model",
        "Active",
        template["id"],
    )
    assert sum(values(new).values()) == 11_100
    assert_balanced(new)
    after = await platform.instance(old)
    assert (after["status"], money(after)) == ("Terminated", Decimal(0))
    assert_balanced(after)


async def test_sources_and_links_lead_to_the_new_instance(platform: Platform) -> None:
    """At the same places; whoever contributes through a source or a link goes on without a change."""
    linked, other = await platform.jackpot(), await platform.jackpot()
    old = await platform.jackpot(pots=three_pots(platform, 10, 10, 10))
    await platform.link(old, linked)
    await platform.link(other, linked, old)
    source = await platform.source(old, other)
    template = await unseeded(platform)
    key = platform.unique("key")
    first = (await platform.contribute_by_source(source, idempotency_key=key)).successful().body

    new = (await switch(platform, old, template)).successful().body["target_instance_id"]

    assert (await platform.contribute_by_source(source)).successful().body["instance_id"] == new
    assert (await platform.admin.get(f"/instances/{new}/links")).body["linked_instances"] == [
        linked
    ]
    assert (await platform.admin.get(f"/instances/{old}/links")).body["linked_instances"] == []
    assert (await platform.admin.get(f"/instances/{other}/links")).body["linked_instances"] == [
        linked,
        new,
    ]
    sources = (await platform.admin.get("/config/sources", {"owner_id": platform.brand})).body
    (mapped,) = [each for each in sources if each["source_id"] == source]
    assert [(each["priority"], each["instance_id"]) for each in mapped["jackpots"]] == [
        (0, new),
        (1, other),
    ]
    again = await platform.contribute_by_source(
        source, headers={"Prefer": "return=representation"}, idempotency_key=key
    )
    assert again.body == first  # a key of before is still known


async def test_opt_ins_go_with_it(platform: Platform) -> None:
    """Who was opted in may go on; who was not, may not; the copy ends, and each chooses anew."""
    rules = {
        "opt_in_required": True,
        "contribution_type": {"Variable": {"min": 0.1, "max": 5, "default": 0.1}},
    }
    pots = three_pots(platform, 10, 10, 10)
    old = await platform.jackpot(rules=rules, pots=pots)
    players = [platform.unique("player") for _ in range(4)]
    for player in players[:3]:
        assert (await platform.opt_in(old, player_id=player, contribution_value=0.5)).status == 200
    assert (await platform.opt_in(old, opt_in=False, player_id=players[2])).status == 200
    template = platform.template(rules=rules, pots=three_pots(platform, 0, 0, 0))
    await platform.publish(template)

    new = (await switch(platform, old, template)).successful().body["target_instance_id"]

    first = (await platform.contribute(new, player_id=players[0])).successful().body
    assert first["contribution_amount"] == Decimal("0.5")
    for player in players[2:]:
        refused = await platform.contribute(new, player_id=player)
        assert refused.refusal == (400, "CONTRIBUTION_REJECTED", "PlayerNotOptedIn")
    while (await platform.instance(new))["inherits_optins_of"] is not None:
        await trio.lowlevel.checkpoint()
    second = (await platform.contribute(new, player_id=players[1])).successful().body
    assert second["contribution_amount"] == Decimal("0.5")
    assert (await platform.opt_in(new, opt_in=False, player_id=players[0])).status == 200
    refused = await platform.contribute(new, player_id=players[0])
    assert refused.refusal[2] == "PlayerNotOptedIn"

    third = platform.template(rules=rules, pots=three_pots(platform, 0, 0, 0))
    await platform.publish(third)
    last = (await switch(platform, new, third, transfer_optins=False)).successful().body
    refused = await platform.contribute(last["target_instance_id"], player_id=players[1])
    assert refused.refusal[2] == "PlayerNotOptedIn"


async def test_a_paused_instance_becomes_one_that_waits(platform: Platform) -> None:
    """Nobody starts a jackpot by switching it."""
    old = await platform.jackpot(pots=three_pots(platform, 10, 10, 10))
    (await platform.set_status(old, "Paused")).successful()
    done = (await switch(platform, old, await unseeded(platform))).successful().body
    assert (done["stage"], done["instance"]["status"]) == ("Done", "Pending")


async def test_a_repeat_answers_what_has_become_of_the_switch(platform: Platform) -> None:
    """A client that lost the answer asks again and learns of the same new instance; another switch is refused."""
    old = await platform.jackpot(pots=three_pots(platform, 10, 10, 10))
    template = await unseeded(platform)
    first = (await switch(platform, old, template)).successful().body
    again = (await switch(platform, old, template)).successful().body
    assert again["target_instance_id"] == first["target_instance_id"]
    other = await switch(platform, old, template, target_instance_name="Another")
    assert other.refusal[:2] == (409, "INVALID_STATE")


async def test_what_cannot_be_switched_is_refused(platform: Platform, lab: Lab) -> None:
    """Weights add up to 1, every pot has a target, what receives starts at 0, the template is published."""
    old = await platform.jackpot(pots=three_pots(platform, 10, 10, 10))
    template = await unseeded(platform)
    draft = platform.template(pots=three_pots(platform, 0, 0, 0))
    (await platform.admin.post("/templates", draft)).successful()
    seeded = platform.template(pots=three_pots(platform, 0, 5, 0))
    await platform.publish(seeded)
    dollars = await unseeded(platform, currency="USD")

    def rules(**changes: Json) -> list[Json]:
        known = {**PUBLISHED, **changes}
        return [{"source_pot": pot_id, "target_pot": weights} for pot_id, weights in known.items()]

    cases: list[tuple[Json, dict[str, object], int, str]] = [
        (draft, {}, 409, "template"),
        (template | {"id": "none"}, {}, 404, "template none"),
        (seeded, {}, 400, "$.pot_rules[1].target_pot.major receives money"),
        (dollars, {}, 400, "$.template_id has another currency"),
        (template, {"pot_rules": rules(major={"major": 0.95})}, 400, "$.pot_rules[1].target_pot"),
        (template, {"pot_rules": rules()[:2]}, 400, "$.pot_rules leaves out pot mega"),
        (template, {"pot_rules": rules(minor={"none": 1})}, 400, "$.pot_rules[0].target_pot.none"),
        (template, {"pot_rules": rules(none={"minor": 1})}, 400, "$.pot_rules[3].source_pot"),
        (template, {"pot_rules": [*rules(), rules()[0]]}, 400, "$.pot_rules[3].source_pot"),
        (
            template,
            {"pot_rules": rules(minor={"minor": 1.5, "major": -0.5})},
            400,
            "$.pot_rules[0].target_pot.minor",
        ),
        (template, {"pot_rules": rules(minor={"minor": "x"})}, 400, "$.pot_rules[0].target_pot"),
        (template, {"reason": ""}, 400, "$.reason"),
        (template, {"colour": 1}, 400, "$.colour"),
        (template, {"target_instance_owner_id": "nobody"}, 400, "$.target_instance_owner_id"),
        (template, {"source_instance_id": "none"}, 404, "none"),
    ]
    for chosen, changes, status, where in cases:
        for dry_run in (True, False):
            answer = await switch(platform, old, chosen, dry_run=dry_run, **changes)
            refused = answer.refusal
            assert refused[0] == status, refused
            assert refused[2].startswith(where), refused
    stranger = platform.admin.with_token(lab.user)
    body = request(platform, old, template)
    assert (await stranger.post("/instances/switchmodel", body)).refusal[0] == 403
    assert (await platform.instance(old))["status"] == "Active"


async def test_nothing_is_switched_while_a_win_is_withheld(platform: Platform) -> None:
    """A person decides on the win first."""
    pots = [platform.pot(odds=1)]
    old = await platform.jackpot(pots=pots, withhold_wins_above=5)
    (await platform.contribute(old)).successful()
    template = platform.template(
        pots=[platform.pot(seed_strategy={"initial_seed_value": 0, "min_reseed_value": 1})]
    )
    await platform.publish(template)
    rules = [{"source_pot": "main", "target_pot": {"main": 1}}]
    for dry_run in (True, False):
        refused = await switch(platform, old, template, pot_rules=rules, dry_run=dry_run)
        assert refused.refusal[:2] == (409, "INVALID_STATE")


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_switch_that_a_crash_cut_off_is_finished(
    start_server: StartServer, workers: int
) -> None:
    """Killed at some moment of it: after the restart it ends by itself, or by repeating the call; no money is lost."""
    environment = {"JACKPOTD_SERVICE_WORKERS": str(workers)}
    async with start_server(environment=environment) as (server, platform):
        for wait_s in (0.004, 0.012):
            old = await platform.jackpot(pots=three_pots(platform, 100, 1000, 10000))
            source = await platform.source(old)
            (await platform.contribute(old)).successful()
            template = await unseeded(platform)
            before = money(await platform.instance(old))
            with trio.move_on_after(wait_s):
                await switch(platform, old, template)
            await server.kill()
            await server.start()
            done = await switch(platform, old, template)
            while done.status == 202:
                done = await switch(platform, old, template)
            new = done.successful().body["instance"]
            assert (done.body["stage"], new["status"]) == ("Done", "Active")
            assert money(new) == before
            assert_balanced(new)
            after = await platform.instance(old)
            assert (after["status"], money(after)) == ("Terminated", Decimal(0))
            assert_balanced(after)
            served = (await platform.contribute_by_source(source)).successful().body
            assert served["instance_id"] == new["id"]
            names = [
                each["name"]
                for each in (await platform.admin.get("/instances")).body
                if each["template_id"] == template["id"]
            ]
            assert names == ["The new model"]
