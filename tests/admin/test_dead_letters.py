"""Results that were given up, on the admin listener: listed, and tried again. They lie in a real store."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import lmdb
import pytest
from msgspec import Raw

from jackpotd.journal.delivery_store import DeliveryStore
from jackpotd.testing.house import BORN_MS
from jackpotd.wire.deliveries import DeadLetter, Delivery
from tests.admin.webhook_desk import LETTERS, TARGET, desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jackpotd.core.rejections import Rejection

MAP_BYTES = 1 << 24


class Stored:
    """A store in this process, and the desk over it."""

    def __init__(self, folder: Path) -> None:
        self.env = lmdb.open(str(folder), map_size=MAP_BYTES, max_dbs=0, sync=False)
        self._writing = threading.Lock()
        self.store = DeliveryStore(self.env, self._writing)

    async def dead_letters(
        self, operator: str, skip: int, limit: int
    ) -> tuple[DeadLetter, ...] | Rejection:
        return tuple(self.store.dead_letters(operator, skip, limit))

    async def replay(self, operator: str, ids: tuple[str, ...]) -> tuple[str, ...] | Rejection:
        return tuple(self.store.replay(operator, ids, BORN_MS))

    def give_up(self, name: str, number: int) -> None:
        """A result of an operator, tried in vain; the higher its number, the later."""
        delivery = Delivery(
            id=f"{name}-{number}",
            operator=name,
            url=f"{TARGET}{number}",
            body=Raw(b'{"type":"error","code":"GAME_NOT_FOUND","number":%d}' % number),
            created_ms=BORN_MS,
            next_ms=BORN_MS + number,
            attempts=4,
        )
        with self._writing, self.env.begin(write=True) as txn:
            self.store.put(txn, [delivery])
        letter = DeadLetter(
            id=delivery.id,
            operator=name,
            url=delivery.url,
            body=delivery.body,
            created_ms=BORN_MS,
            dead_ms=BORN_MS + number,
            attempts=5,
            reason="status 500",
        )
        self.store.settle([(delivery, letter)])

    def pending(self) -> list[str]:
        store = self.store
        return sorted(each.id for lane in store.lanes() for each in store.earliest(lane, 100))


@pytest.fixture
def letters(tmp_path: Path) -> Iterator[Stored]:
    """An empty store."""
    stored = Stored(tmp_path / "feed")
    yield stored
    stored.env.close()


async def test_dead_letters_are_listed_the_latest_first_in_pages(letters: Stored) -> None:
    """Each with what the webhook was to be told, and how it ended; another operator's are not among them."""
    for number in range(5):
        letters.give_up("op", number)
    letters.give_up("other", 9)
    async with desk(letters=letters) as admin:
        listed = (await admin.get("reader", LETTERS)).body
        pages = [
            [each["id"] for each in (await admin.get(path=f"{LETTERS}?page={page}&limit=2")).body]
            for page in range(4)
        ]
        others = await admin.get("stranger", "/config/operators/other/webhooks/dead-letters")

    assert ["op-4", "op-3", "op-2", "op-1", "op-0"] == [each["id"] for each in listed]
    assert {
        "id": "op-4",
        "url": f"{TARGET}4",
        "payload": {"type": "error", "code": "GAME_NOT_FOUND", "number": 4},
        "attempts": 5,
        "reason": "status 500",
        "created_timestamp": BORN_MS,
        "dead_timestamp": BORN_MS + 4,
    } == listed[0]
    assert [["op-4", "op-3"], ["op-2", "op-1"], ["op-0"], []] == pages
    assert ["other-9"] == [each["id"] for each in others.body]


@pytest.mark.parametrize("query", ["limit=201", "limit=-1", "page=-1", "page=x"])
async def test_page_out_of_bounds_is_refused(query: str) -> None:
    """A page is one message between processes, so it has a size that fits."""
    async with desk(limit_max=1000) as admin:
        refused = await admin.get(path=f"{LETTERS}?{query}")

    assert (400, "INVALID_REQUEST") == refused.refusal[:2]
    assert query.partition("=")[0] in refused.refusal[2]


async def test_named_dead_letters_are_tried_again(letters: Stored) -> None:
    """What is no dead letter of this operator fails, each by its id; a repeat finds nothing more to do."""
    for number in range(3):
        letters.give_up("op", number)
    letters.give_up("other", 9)
    ids = ["op-0", "op-2", "op-7", "other-9", "op-0"]
    async with desk(letters=letters) as admin:
        first = await admin.call("owner", "POST", f"{LETTERS}/replay", {"ids": ids})
        again = await admin.call("owner", "POST", f"{LETTERS}/replay", {"ids": ["op-0"]})
        left = await admin.get(path=LETTERS)

    assert {"success": ["op-0", "op-2"], "failed": ["op-7", "other-9"]} == first.body
    assert {"success": [], "failed": ["op-0"]} == again.body
    assert ["op-1"] == [each["id"] for each in left.body]
    assert ["op-0", "op-2"] == letters.pending()


@pytest.mark.parametrize("body", [None, {}, {"ids": []}])
async def test_all_dead_letters_are_tried_again_where_none_is_named(
    letters: Stored, body: object
) -> None:
    """The operator's own, and no other's."""
    for number in range(3):
        letters.give_up("op", number)
    letters.give_up("other", 9)
    async with desk(letters=letters) as admin:
        answer = await admin.call("owner", "POST", f"{LETTERS}/replay", body)
        left = await admin.get(path=LETTERS)

    assert [] == answer.body["failed"] == left.body
    assert ["op-0", "op-1", "op-2"] == sorted(answer.body["success"]) == letters.pending()


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"id": ["a"]}, "$.id"),
        ({"ids": "a"}, "$.ids"),
        ({"ids": ["a", ""]}, "$.ids[1]"),
        ({"ids": ["a"] * 1001}, "$.ids"),
    ],
)
async def test_replay_of_a_wrong_body_is_refused_and_replays_nothing(
    letters: Stored, body: object, path: str
) -> None:
    """A mistyped field must not pass for none, which would mean all."""
    letters.give_up("op", 1)
    async with desk(letters=letters) as admin:
        refused = await admin.call("owner", "POST", f"{LETTERS}/replay", body)

    assert (400, "INVALID_REQUEST") == refused.refusal[:2]
    assert refused.refusal[2].startswith(f"{path} ")
    assert [] == letters.pending()


async def test_with_events_switched_off_dead_letters_are_409() -> None:
    """They cannot be asked for, which is not the same as none."""
    async with desk() as admin:
        listed = await admin.get(path=LETTERS)
        replayed = await admin.call("owner", "POST", f"{LETTERS}/replay", {})

    assert [409, 409] == [listed.refusal[0], replayed.refusal[0]]


async def test_calls_are_documented() -> None:
    """With their bodies, answers and errors."""
    async with desk() as admin:
        document = (await admin.get(path="/openapi.json")).body
    base = "/config/operators/{operator_id}/webhooks"
    put = document["paths"][base]["put"]
    letters = document["paths"][f"{base}/dead-letters"]["get"]

    assert put["summary"].startswith("Set the targets")
    assert {"400", "401", "403", "404"} <= set(put["responses"])
    assert ["page", "limit"] == [
        each["name"] for each in letters["parameters"] if each["in"] == "query"
    ]
    assert "503" in document["paths"][f"{base}/dead-letters/replay"]["post"]["responses"]
    assert {"WebhooksDoc", "WebhooksAnswer", "DeadLetterAnswer", "ReplayDoc"} <= set(
        document["components"]["schemas"]
    )
