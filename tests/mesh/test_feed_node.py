"""The feed among edge and workers: what it asks, what it is told, and that nobody waits for it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import trio
import trio.lowlevel
from msgspec import Raw
from msgspec.structs import replace

from jackpotd.cluster.answers import NOT_THERE
from jackpotd.cluster.feed_desk import NO_FEED
from jackpotd.cluster.feed_node import FeedNode
from jackpotd.core.money import SCALE
from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.messages import OptInRequest, Target
from jackpotd.engine.opt_ins import OptInResult
from jackpotd.mesh import FEED
from jackpotd.testing.house import request
from jackpotd.testing.street import Street, sockets
from jackpotd.wire.catalog_records import Origin
from jackpotd.wire.deliveries import DeadLetter
from jackpotd.wire.feed_messages import Tickers

from .streets import jackpots, linked, source

TEST_TIMEOUT_S = 30
BRAND = "op:a"


@pytest.fixture
def directory() -> Iterator[Path]:
    with sockets() as made:
        yield made


def opt_in(target: Target, *, with_links: bool = False) -> OptInRequest:
    return OptInRequest(
        target=target,
        brand=BRAND,
        player_id="p",
        country="MT",
        opt_in=True,
        preferred=None,
        preferred_currency=None,
        with_links=with_links,
    )


async def told(node: FeedNode, worker: int, since_seq: int = 0) -> Tickers:
    found = await node.tickers(worker, since_seq)
    assert not isinstance(found, Rejection), found
    return found


async def values(node: FeedNode, worker: int, since_seq: int = 0) -> dict[str, tuple[int, ...]]:
    found = await told(node, worker, since_seq)
    return {ticker.instance_id: ticker.values for ticker in found.tickers}


async def test_tickers_are_each_workers_own_and_only_those_that_changed(directory: Path) -> None:
    """All since the beginning; later only what a contribution has touched, with the value that it left."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0, 1, 1), 2)
        async with street.running() as nursery:
            node = await street.feed(nursery)
            assert set(await values(node, 0)) == {"j0"}
            before = await values(node, 1)
            assert set(before) == {"j1", "j2"}
            position = (await told(node, 1)).position
            assert await values(node, 1, position) == {}

            # A clock that was ahead for a while changes nothing about who has changed since.
            street.workers[1].clock.now_ms += 3_600_000
            await street.workers[1].router.contribute(request("j1", wager=SCALE))
            street.workers[1].clock.now_ms -= 3_600_000
            position = (await told(node, 1)).position
            while (await values(node, 1, position)).keys() != {"j2"}:
                await street.workers[0].router.contribute(request("j2", wager=SCALE))
            after = await values(node, 1, position)
            assert after["j2"] != before["j2"]
            state = await street.edge.owners.instance("j2")
            assert not isinstance(state, Rejection)
            assert after["j2"] == tuple(pot.value for pot in state.pots)
            nursery.cancel_scope.cancel()


async def test_a_source_shows_what_the_gateway_would_show(directory: Path) -> None:
    """Also where the worker that is asked does not own the instance, or the owner of the first one is away."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, [*jackpots(0, 1), source("j0", "j1")], 2)
        async with street.running() as nursery:
            node = await street.feed(nursery)
            found = await node.shown("s", BRAND, None, None, "nobody")
            assert not isinstance(found, Rejection), found
            assert found[0] == await node.owners.instance("j0")

            refused = await node.shown("none", BRAND, None, None, "")
            assert refused == Rejection(Code.GAME_NOT_FOUND, "none")

            await street.stop(0)
            answer = await node.shown("s", BRAND, None, None, "nobody")
            assert isinstance(answer, Rejection)
            assert answer.code is Code.OVERLOADED
            nursery.cancel_scope.cancel()


async def test_an_opt_in_reaches_target_and_links_wherever_they_live(directory: Path) -> None:
    """Through whichever worker; what is refused stands in the result."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, [*linked(), source("a")], 3)
        async with street.running() as nursery:
            node = await street.feed(nursery)
            for target in (Target("instance", "a"), Target("source", "s")):
                result = await node.opt_in(opt_in(target, with_links=True))
                assert result == OptInResult(tuple((name, None) for name in "abcd"))
            standing = await node.owners.standing("c", BRAND, "p")
            assert not isinstance(standing, Rejection)
            assert standing[1].opted_in

            assert await node.opt_in(opt_in(Target("instance", "x"))) == Rejection(
                Code.JACKPOT_NOT_FOUND, "x"
            )
            stranger = replace(opt_in(Target("instance", "a")), brand="op:z")
            refused = await node.opt_in(stranger)
            assert isinstance(refused, Rejection)
            assert refused.code is Code.UNSUPPORTED_BRAND
            nursery.cancel_scope.cancel()


async def test_workers_that_are_away_are_said_to_be(directory: Path) -> None:
    """And the others go on answering."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0, 1), 2)
        async with street.running() as nursery:
            node = await street.feed(nursery)
            await street.stop(1)
            while node.is_up(1):
                await trio.lowlevel.checkpoint()
            assert await node.tickers(1, 0) == NOT_THERE
            assert set(await values(node, 0)) == {"j0"}

            await street.start(nursery, 1)
            await node.meet(TEST_TIMEOUT_S)
            assert set(await values(node, 1)) == {"j1"}
            nursery.cancel_scope.cancel()


async def test_origins_are_known_everywhere_when_the_change_is_answered(directory: Path) -> None:
    """Removals are counted, additions replace, and an unchanged list is no change."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0, 1), 2)
        async with street.running() as nursery:
            node = await street.feed(nursery)
            exact = ("https://a.example", "Exact")
            wide = (".b.example", "Suffix")
            answer = await node.change_origins("ann", [exact, wide], [])
            assert not isinstance(answer, Rejection)
            assert (answer.origins, answer.removed) == ((exact, wide), 0)
            expected = (
                Origin(pattern=exact[0], match_mode="Exact"),
                Origin(pattern=wide[0], match_mode="Suffix"),
            )
            catalogs = [node.catalog, street.owner.catalog]
            catalogs += [worker.catalog for worker in street.workers.values()]
            assert {expected} == {catalog.origins for catalog in catalogs}

            version = node.catalog.version
            again = await node.change_origins("ann", [exact], ["https://unknown.example"])
            assert again == answer
            assert version == node.catalog.version

            wrong = await node.change_origins("ann", [("https://c.example", "Sometimes")], [])
            assert isinstance(wrong, Rejection)
            assert wrong.code is Code.INVALID_REQUEST
            assert expected == street.owner.catalog.origins

            left = await node.change_origins("ann", [], [wide[0]])
            assert not isinstance(left, Rejection)
            assert (left.origins, left.removed) == ((exact,), 1)
            nursery.cancel_scope.cancel()


async def test_each_operator_has_a_list_of_origins_of_its_own(directory: Path) -> None:
    """One pattern may stand in several; a change and its answer are about one of them."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0), 1)
        async with street.running() as nursery:
            node = await street.feed(nursery)
            page, other = ("https://a.example", "Exact"), ("https://b.example", "Exact")
            for operator, added in (("", page), ("op", page), ("op", other), ("x", other)):
                answer = await node.change_origins("ann", [added], [], operator)
                assert not isinstance(answer, Rejection)
            left = await node.change_origins("ann", [], [page[0], other[0]], "op")
            assert not isinstance(left, Rejection)
            assert (left.origins, left.removed) == ((), 2)
            found = [(each.operator_id, each.pattern) for each in node.catalog.origins]
            assert found == [("", page[0]), ("x", other[0])]
            nursery.cancel_scope.cancel()


class Drawer:
    """Letters of one operator."""

    def __init__(self, letters: Sequence[DeadLetter]) -> None:
        self.letters = list(letters)

    async def dead_letters(self, operator: str, skip: int, limit: int) -> Sequence[DeadLetter]:
        await trio.lowlevel.checkpoint()
        found = [letter for letter in self.letters if letter.operator == operator]
        return found[skip : skip + limit]

    async def replay(self, operator: str, ids: Sequence[str]) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        return [
            letter.id
            for letter in self.letters
            if letter.operator == operator and (not ids or letter.id in ids)
        ]


async def test_the_edge_asks_the_feed_for_dead_letters(directory: Path) -> None:
    """As they are kept, a page at a time; without a feed it says so."""
    letters = [
        DeadLetter(f"l{number}", "op", "https://a.example/", Raw(b'{"a":1}'), 1, 2, 10, "410")
        for number in range(5)
    ]
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, jackpots(0), 1)
        async with street.running() as nursery:
            desk = street.edge.dead_letters
            assert await desk.dead_letters("op", 0, 10) == NO_FEED
            assert await desk.replay("op", ()) == NO_FEED

            node = await street.feed(nursery)
            assert isinstance(
                await desk.dead_letters("op", 0, 10), Rejection
            )  # nobody keeps any yet
            node.answer_for(Drawer(letters))
            assert await desk.dead_letters("op", 1, 2) == tuple(letters[1:3])
            assert await desk.dead_letters("other", 0, 10) == ()
            assert await desk.replay("op", ("l3", "x")) == ("l3",)
            assert await desk.replay("op", ()) == tuple(letter.id for letter in letters)
            nursery.cancel_scope.cancel()


async def test_defect_fails_one_question_and_not_the_worker(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may have it asked: the answer is an error, and contributions go on."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, [*jackpots(0), source("j0")], 1)
        async with street.running() as nursery:
            node = await street.feed(nursery)
            worker = street.workers[0]

            def defect(*_: object) -> None:
                raise ZeroDivisionError

            with monkeypatch.context() as broken:
                broken.setattr(worker.router, "visible_instance", defect)
                failed = await node.shown("s", BRAND, None, None, "p")
            assert isinstance(failed, Rejection)
            assert failed.code is Code.SYSTEM_ERROR
            assert not isinstance(await node.shown("s", BRAND, None, None, "p"), Rejection)
            answered = await worker.router.contribute(request("j0", wager=SCALE))
            assert not isinstance(answered, Rejection)
            nursery.cancel_scope.cancel()


async def test_nobody_takes_the_feed_for_a_worker(directory: Path) -> None:
    """Links, births and settled links go on while it is connected, and no question of theirs reaches it."""
    with trio.fail_after(TEST_TIMEOUT_S):
        street = Street(directory, linked(), 3)
        async with street.running() as nursery:
            node = await street.feed(nursery)
            for number in range(20):
                answered = await street.workers[number % 3].router.contribute(
                    request("a", wager=SCALE, key=f"k{number}")
                )
                assert not isinstance(answered, Rejection)
            await street.settled()
            assert all(FEED in worker.mesh.up() for worker in street.workers.values())
            assert set(await values(node, 1)) == {"b"}
            nursery.cancel_scope.cancel()
