"""A key contributes once, whatever is sent again and however (contract §3, Idempotency)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.contract.conftest import Answer, Lab, Platform

GROWN_ONCE = "10.035"
REPRESENTATION = {"Prefer": "return=representation"}


async def clock_moved(platform: Platform) -> None:
    """Return once the second in the server's `Date` header is another one."""
    before = (await platform.gateway.get("/health")).headers["Date"]
    while before == (await platform.gateway.get("/health")).headers["Date"]:
        pass


def assert_replayed(original: Answer, repeat: Answer) -> None:
    """The repeat is an empty 204 with the original's trace and date."""
    assert repeat.status == 204, repeat.text
    assert repeat.text == ""
    assert repeat.headers["X-Trace-Id"] == original.headers["X-Trace-Id"]
    assert repeat.headers["Date"] == original.headers["Date"]
    assert repeat.headers["Idempotency-Replayed"] == "true"


async def test_repeat_is_204_with_the_headers_of_the_original(platform: Platform) -> None:
    """A repeat in a later second is empty and carries the original's trace and date."""
    jackpot = await platform.jackpot()
    key = platform.unique("key")
    original = await platform.contribute(jackpot, idempotency_key=key)
    await clock_moved(platform)
    repeat = await platform.contribute(jackpot, idempotency_key=key)

    assert original.status == 200
    assert "Idempotency-Replayed" not in original.headers
    assert_replayed(original, repeat)
    assert str(await platform.main_pot(jackpot)) == GROWN_ONCE


async def test_v1_by_source_is_replayed(platform: Platform) -> None:
    """v1 by source keeps its key too."""
    jackpot = await platform.jackpot()
    source = await platform.source(jackpot)
    key = platform.unique("key")
    original = await platform.contribute_by_source(source, idempotency_key=key)
    repeat = await platform.contribute_by_source(source, idempotency_key=key)

    assert original.status == 200
    assert_replayed(original, repeat)
    assert str(await platform.main_pot(jackpot)) == GROWN_ONCE


async def test_v2_with_links_is_replayed_as_a_whole(platform: Platform) -> None:
    """A repeated request contributes neither to the target nor to its links."""
    linked = await platform.jackpot()
    jackpot = await platform.jackpot(linked=linked)
    options = {"idempotency_key": platform.unique("key")}
    original = await platform.contribute_v2("instance", jackpot, options=options)
    repeat = await platform.contribute_v2("instance", jackpot, options=options)

    assert len(original.successful().body) == 2
    assert_replayed(original, repeat)
    assert str(await platform.main_pot(jackpot)) == GROWN_ONCE
    assert str(await platform.main_pot(linked)) == GROWN_ONCE


async def test_repeat_with_prefer_answers_the_original_body(platform: Platform) -> None:
    """`Prefer: return=representation` repeats status and body, so a lost win can be learnt."""
    jackpot = await platform.jackpot(pots=[platform.pot(odds=1)])
    key = platform.unique("key")
    original = await platform.contribute(jackpot, idempotency_key=key)
    repeat = await platform.contribute(jackpot, idempotency_key=key, headers=REPRESENTATION)

    assert original.body["win_pot_id"] == "main"
    assert repeat.status == 200
    assert repeat.body == original.body
    assert repeat.text == original.text
    assert repeat.headers["X-Trace-Id"] == original.headers["X-Trace-Id"]
    assert repeat.headers["Date"] == original.headers["Date"]
    assert repeat.headers["Idempotency-Replayed"] == "true"
    assert len(await platform.winners(jackpot)) == 1


async def test_linked_repeat_with_prefer_answers_the_whole_array(platform: Platform) -> None:
    """The array of the original, with the linked error in its place, comes back."""
    linked = await platform.jackpot(rules={"opt_in_required": True})
    jackpot = await platform.jackpot(linked=linked)
    options = {"idempotency_key": platform.unique("key")}
    original = await platform.contribute_v2("instance", jackpot, options=options)
    (await platform.opt_in(linked)).successful()
    repeat = await platform.contribute_v2(
        "instance", jackpot, options=options, headers=REPRESENTATION
    )

    assert original.body[1]["message"] == "PlayerNotOptedIn"
    assert repeat.status == 200
    assert repeat.text == original.text
    assert await platform.main_pot(linked) == 10


async def test_prefer_on_the_first_request_changes_nothing(platform: Platform) -> None:
    """The preference is only about repeats."""
    jackpot = await platform.jackpot()
    key = platform.unique("key")
    answer = await platform.contribute(jackpot, idempotency_key=key, headers=REPRESENTATION)

    assert answer.status == 200
    assert "Idempotency-Replayed" not in answer.headers


async def test_without_a_key_every_request_contributes(platform: Platform) -> None:
    """Equal requests without a key are two contributions."""
    jackpot = await platform.jackpot()
    for _ in range(2):
        assert (await platform.contribute(jackpot)).status == 200

    assert await platform.main_pot(jackpot) == Decimal("10.07")


async def test_other_keys_contribute_anew(platform: Platform) -> None:
    """Equal requests with two keys are two contributions."""
    jackpot = await platform.jackpot()
    for _ in range(2):
        key = platform.unique("key")
        assert (await platform.contribute(jackpot, idempotency_key=key)).status == 200

    assert await platform.main_pot(jackpot) == Decimal("10.07")


async def test_v1_and_v2_share_the_namespace(platform: Platform) -> None:
    """A key used in v1 is used in v2 as well: another request under it is refused."""
    jackpot, other = await platform.jackpot(), await platform.jackpot()
    key = platform.unique("key")
    (await platform.contribute(jackpot, idempotency_key=key)).successful()
    other_body = await platform.contribute_v2("instance", other, options={"idempotency_key": key})
    same_target = await platform.contribute_v2(
        "instance", jackpot, options={"idempotency_key": key}
    )

    assert other_body.refusal[:2] == (422, "IDEMPOTENCY_KEY_REUSED")
    assert same_target.status in {204, 422}
    assert await platform.main_pot(other) == 10
    assert str(await platform.main_pot(jackpot)) == GROWN_ONCE


async def test_v2_key_is_used_in_v1(platform: Platform) -> None:
    """The other way round: a key used in v2 contributes nothing in v1."""
    jackpot = await platform.jackpot()
    key = platform.unique("key")
    options = {"idempotency_key": key, "allow_linked_contributions": False}
    (await platform.contribute_v2("instance", jackpot, options=options)).successful()
    answer = await platform.contribute(jackpot, idempotency_key=key, player_id="somebody-else")

    assert answer.refusal[:2] == (422, "IDEMPOTENCY_KEY_REUSED")
    assert str(await platform.main_pot(jackpot)) == GROWN_ONCE


async def test_key_belongs_to_the_operator(platform: Platform, lab: Lab) -> None:
    """Two operators may use the same key; two brands of one operator may not."""
    key = platform.unique("key")
    mine = await platform.jackpot()
    theirs = await platform.jackpot(owner_id=lab.operator, allowed_brands=[lab.one, lab.two])
    caller = platform.gateway.with_token(lab.service)
    path = "/jackpots/contribute/instance"
    first = await platform.contribute(mine, idempotency_key=key)
    body = platform.v1(instance_id=theirs, idempotency_key=key, brand_id=lab.one)
    second = await caller.post(path, body)
    third = await caller.post(path, body | {"brand_id": lab.two})

    assert first.status == 200
    assert second.status == 200
    assert third.refusal[:2] == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_refused_request_consumes_no_key(platform: Platform) -> None:
    """A request refused as a whole leaves its key free, even for another request."""
    jackpot = await platform.jackpot(rules={"opt_in_required": True})
    key = platform.unique("key")
    refused = await platform.contribute(jackpot, idempotency_key=key)
    assert refused.refusal[2] == "PlayerNotOptedIn"
    (await platform.opt_in(jackpot)).successful()
    accepted = await platform.contribute(jackpot, idempotency_key=key, base_wager=7)

    assert accepted.status == 200
    assert "Idempotency-Replayed" not in accepted.headers


async def test_refused_target_with_links_consumes_no_key(platform: Platform) -> None:
    """A v2 request whose target refuses is refused as a whole."""
    linked = await platform.jackpot()
    jackpot = await platform.jackpot(linked=linked)
    (await platform.set_status(jackpot, "Paused")).successful()
    options = {"idempotency_key": platform.unique("key")}
    refused = await platform.contribute_v2("instance", jackpot, options=options)
    assert refused.status == 400
    (await platform.set_status(jackpot, "Active")).successful()
    accepted = await platform.contribute_v2("instance", jackpot, options=options)

    assert len(accepted.successful().body) == 2


async def test_request_that_contributed_anywhere_consumes_its_key(platform: Platform) -> None:
    """A linked refusal does not free the key: the repeat contributes nothing, opted in or not."""
    linked = await platform.jackpot(rules={"opt_in_required": True})
    jackpot = await platform.jackpot(linked=linked)
    options = {"idempotency_key": platform.unique("key")}
    original = await platform.contribute_v2("instance", jackpot, options=options)
    (await platform.opt_in(linked)).successful()
    repeat = await platform.contribute_v2("instance", jackpot, options=options)

    assert_replayed(original, repeat)
    assert str(await platform.main_pot(jackpot)) == GROWN_ONCE
    assert await platform.main_pot(linked) == 10


async def test_422_is_final_and_leaves_the_key_with_its_owner(platform: Platform) -> None:
    """After a 422 the original request is still replayed."""
    jackpot = await platform.jackpot()
    key = platform.unique("key")
    original = await platform.contribute(jackpot, idempotency_key=key)
    assert (await platform.contribute(jackpot, idempotency_key=key, base_wager=9)).status == 422
    repeat = await platform.contribute(jackpot, idempotency_key=key)

    assert_replayed(original, repeat)


async def remap(platform: Platform, source: str, jackpot: str) -> None:
    await platform.unassign(source, jackpot)
    await platform.assign(source, await platform.jackpot())


async def terminate(platform: Platform, _source: str, jackpot: str) -> None:
    (await platform.set_status(jackpot, "Terminated")).successful()


async def pause(platform: Platform, _source: str, jackpot: str) -> None:
    (await platform.set_status(jackpot, "Paused")).successful()


async def unmap(platform: Platform, source: str, jackpot: str) -> None:
    await platform.unassign(source, jackpot)


@pytest.mark.parametrize("happens", [remap, terminate, pause, unmap])
async def test_repeat_is_replayed_whatever_happened_in_between(
    platform: Platform, happens: Callable[[Platform, str, str], Awaitable[None]]
) -> None:
    """A source mapped elsewhere or to nothing, a jackpot paused or ended: still the same 204."""
    jackpot = await platform.jackpot()
    source = await platform.source(jackpot)
    key = platform.unique("key")
    original = await platform.contribute_by_source(source, idempotency_key=key)
    await happens(platform, source, jackpot)
    repeat = await platform.contribute_by_source(source, idempotency_key=key)

    assert_replayed(original, repeat)
    assert (await platform.instance(jackpot))["contribution_count"] == 1


async def test_repeat_after_a_remap_leaves_the_new_jackpot_alone(platform: Platform) -> None:
    """The jackpot that the source stands for now gets nothing from a repeat."""
    before, after = await platform.jackpot(), await platform.jackpot()
    source = await platform.source(before)
    key = platform.unique("key")
    (await platform.contribute_by_source(source, idempotency_key=key)).successful()
    await platform.unassign(source, before)
    await platform.assign(source, after)
    repeat = await platform.contribute_by_source(source, idempotency_key=key)

    assert repeat.status == 204
    assert await platform.main_pot(after) == 10


async def test_concurrent_duplicates_contribute_once(platform: Platform) -> None:
    """Of many equal requests in flight one contributes; the others wait for it and are repeats."""
    linked = await platform.jackpot()
    jackpot = await platform.jackpot(linked=linked)
    options = {"idempotency_key": platform.unique("key")}
    answers: list[Answer] = []

    async def contribute() -> None:
        answers.append(await platform.contribute_v2("instance", jackpot, options=options))

    async with trio.open_nursery() as nursery:
        for _ in range(24):
            nursery.start_soon(contribute)

    (original,) = [answer for answer in answers if answer.status == 200]
    for repeat in answers:
        if repeat is not original:
            assert_replayed(original, repeat)
    assert str(await platform.main_pot(jackpot)) == GROWN_ONCE
    assert str(await platform.main_pot(linked)) == GROWN_ONCE


async def test_concurrent_duplicates_with_prefer_agree(platform: Platform) -> None:
    """All of many equal requests in flight learn the one result."""
    jackpot = await platform.jackpot()
    source = await platform.source(jackpot)
    key = platform.unique("key")
    answers: list[Answer] = []

    async def contribute() -> None:
        answer = await platform.contribute_by_source(
            source, idempotency_key=key, headers=REPRESENTATION
        )
        answers.append(answer)

    async with trio.open_nursery() as nursery:
        for _ in range(24):
            nursery.start_soon(contribute)

    assert {answer.status for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert len({answer.headers["X-Trace-Id"] for answer in answers}) == 1
    assert str(await platform.main_pot(jackpot)) == GROWN_ONCE


async def test_concurrent_rivals_for_a_key_contribute_once(platform: Platform) -> None:
    """Different requests with one key, in flight together: one contributes, the others are 422."""
    jackpot = await platform.jackpot()
    key = platform.unique("key")
    answers: list[Answer] = []

    async def contribute(wager: int) -> None:
        answers.append(await platform.contribute(jackpot, idempotency_key=key, base_wager=wager))

    async with trio.open_nursery() as nursery:
        for wager in range(12):
            nursery.start_soon(contribute, wager)

    assert sorted(answer.status for answer in answers) == [200] + [422] * 11
    assert str(await platform.main_pot(jackpot)) == GROWN_ONCE
