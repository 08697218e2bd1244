"""Results of asynchronous contributions, as webhooks are told them (contract §3): which, what, under which ids."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Status
from jackpotd.engine.messages import Accepted
from jackpotd.testing.cases import pot, raffle, schedule, template
from jackpotd.testing.house import BORN_MS, links
from jackpotd.testing.templates import Json
from jackpotd.wire.catalog_records import CatalogEntity
from jackpotd.wire.parts import Callback

from .ground import delivered, open_store
from .stage import Stage, brands, jackpot, json

HOOK = "https://operator.example/results?a=1"
ALL = Callback(HOOK, win_result_only=False)
WINS = Callback(HOOK, win_result_only=True)
DATA_FIELDS = [
    *("type", "instance_id", "timestamp", "gameround_id", "win_amount", "win_pot_id"),
    *("tickets_awarded", "win_withheld", "contribution_currency", "contribution_amount"),
    "metadata",
]


def plain_template(**changes: Any) -> Json:
    return template(pot("plain", hits=[(1_000_000, "0.1")]), **changes)


def quick(**changes: Any) -> Json:
    """Every contribution wins."""
    return template(pot("mini", share="0.5", seed="10", hits=[(1, "0.1")]), **changes)


def linked() -> list[CatalogEntity]:
    """A target with three links: one that wins, one that refuses, a raffle."""
    drawn = raffle({"count": 1, "amount": "8"}, cost="1")
    return [
        *brands("a"),
        jackpot("one", plain_template()),
        jackpot("two", quick()),
        jackpot("three", plain_template(), status=Status.PAUSED),
        jackpot("four", drawn, schedule=schedule(BORN_MS)),
        links("one", "two", "three", "four"),
    ]


def accepted(outcome: Accepted | Rejection) -> Accepted:
    assert isinstance(outcome, Accepted)
    assert outcome.is_asynchronous
    return outcome


def bodies(results: Sequence[tuple[str, Any]]) -> list[Any]:
    assert {url for url, _ in results} <= {HOOK}
    return [body for _, body in results]


async def test_a_result_is_the_answer_of_the_contribution(tmp_path: Path) -> None:
    """The documented fields, with the type that tells it from an error."""
    async with Stage(tmp_path, [*brands("a"), jackpot("one", plain_template())]).open() as stage:
        accepted(await stage.contribute("one", callback=ALL, metadata=json({"m": [1]})))
        (body,) = bodies(await stage.results())
        assert await stage.told() == []
    assert list(body) == DATA_FIELDS
    assert body.pop("timestamp") > BORN_MS
    assert len(body.pop("gameround_id")) == 36
    assert body == {
        "type": "data",
        "instance_id": "one",
        "win_amount": 0,
        "win_pot_id": None,
        "tickets_awarded": None,
        "win_withheld": False,
        "contribution_currency": "EUR",
        "contribution_amount": Decimal("0.1"),
        "metadata": {"m": [1]},
    }


async def test_no_result_of_a_request_without_a_webhook(tmp_path: Path) -> None:
    """Neither of a target nor of a link of it."""
    async with Stage(tmp_path, linked()).open() as stage:
        await stage.contribute("one")
        assert await stage.results() == []
        assert [kind for kind, _ in await stage.told()] == ["JackpotWinEvent"]


async def test_there_is_a_result_for_each_instance(tmp_path: Path) -> None:
    """The target's, then those of its links as they answer: wins, tickets, and errors with what they need."""
    async with Stage(tmp_path, linked()).open() as stage:
        outcome = accepted(
            await stage.contribute("one", callback=ALL, metadata=json("m"), event_metadata=json(1))
        )
        found = bodies(await stage.results())
    by_instance = {body["instance_id"]: body for body in found}
    assert len(found) == len(by_instance) == 4
    assert found[0]["instance_id"] == "one"
    assert by_instance["three"] == {
        "type": "error",
        "status_code": 400,
        "code": "CONTRIBUTION_REJECTED",
        "message": "JackpotNotActive",
        "metadata": "m",
        "trace_id": outcome.trace_id,
        "instance_id": "three",
    }
    won, drawn = by_instance["two"], by_instance["four"]
    assert (won["win_amount"], won["win_pot_id"], won["tickets_awarded"]) == (10, "mini", None)
    assert (drawn["win_amount"], drawn["win_pot_id"], drawn["tickets_awarded"]) == (0, None, 1)
    assert {body["metadata"] for body in found} == {"m"}
    assert all(list(body) == DATA_FIELDS for body in (found[0], won, drawn))


async def test_who_wants_wins_alone_is_told_no_more(tmp_path: Path) -> None:
    """No losses, no errors of links, no refusal as a whole; a withheld win is a win."""
    entities = [*linked(), jackpot("held", quick(withhold_wins_above="5"))]
    async with Stage(tmp_path, entities).open() as stage:
        accepted(await stage.contribute("one", callback=WINS))
        accepted(await stage.contribute("three", callback=WINS))
        accepted(await stage.contribute("held", callback=WINS))
        found = bodies(await stage.results())
    assert [(body["instance_id"], body["win_withheld"]) for body in found] == [
        ("two", False),
        ("held", True),
    ]


async def test_a_refusal_as_a_whole_is_a_result(tmp_path: Path) -> None:
    """With the instance that refused it where there is one, and the metadata and trace id of the request."""
    async with Stage(tmp_path, linked()).open() as stage:
        paused = accepted(await stage.contribute("three", callback=ALL, metadata=json({"m": 1})))
        nowhere = accepted(await stage.contribute("nowhere", by_source=True, callback=ALL))
        found = bodies(await stage.results())
    assert found == [
        {
            "type": "error",
            "status_code": 400,
            "code": "CONTRIBUTION_REJECTED",
            "message": "JackpotNotActive",
            "metadata": {"m": 1},
            "trace_id": paused.trace_id,
            "instance_id": "three",
        },
        {
            "type": "error",
            "status_code": 404,
            "code": "GAME_NOT_FOUND",
            "message": "nowhere",
            "metadata": None,
            "trace_id": nowhere.trace_id,
        },
    ]


async def test_ids_of_results_are_found_again(tmp_path: Path) -> None:
    """They follow from the journal: a store that was lost makes the same ones; no two results share one."""
    async with Stage(tmp_path, linked()).open() as stage:
        for _ in range(3):
            await stage.contribute("one", callback=ALL)
        await stage.contribute("three", callback=ALL)
        await stage.results()
        with open_store(tmp_path) as store:
            first = delivered(store)
        for name in ("data.mdb", "lock.mdb"):
            (tmp_path / "feed" / name).unlink()
        await stage.results()
        with open_store(tmp_path) as store:
            assert delivered(store) == first
    assert len(first) == 3 * 4 + 1
    for name in first:
        assert name.startswith("msg_")
        assert name.isascii()
        assert not set(name) & set(" .")


async def test_a_result_is_due_at_once(tmp_path: Path) -> None:
    """It is new: no attempt was made, and nothing keeps it waiting."""
    async with Stage(tmp_path, linked()).open() as stage:
        await stage.contribute("three", callback=ALL)
        await stage.results()
        with open_store(tmp_path) as store:
            (lane,) = store.deliveries.lanes()
            (delivery,) = store.deliveries.earliest(lane, 10)
    assert (delivery.operator, delivery.url, delivery.attempts) == ("op", HOOK, 0)
    assert delivery.next_ms == delivery.created_ms > BORN_MS
