"""The crowd against a naive one: who is active, in which order, however they come and go."""

import itertools
import random
from bisect import bisect_left

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jackpotd.core import evolve
from jackpotd.core.state import Definition, LastSeen, Player, Status
from jackpotd.engine.cells import Cell
from jackpotd.engine.crowd import CHUNK_SLOTS, Crowd, gathered
from jackpotd.engine.crowd_chunks import name_of
from jackpotd.engine.fold import Fold
from jackpotd.engine.overlay import PlayerCell
from jackpotd.engine.recovery import MemoryKeys, MemoryRows
from jackpotd.testing.templates import compiled, random_template
from jackpotd.wire import rows

Who = tuple[str, str]

TEST_TIMEOUT_S = 60
NOW_MS = 1_700_000_000_000
INSTANCE = "instance"


class Players:
    """What the fold knows of them, and the naive crowd over it; every contribution goes to both."""

    def __init__(self, retention_ms: int, *, chunk_slots: int = CHUNK_SLOTS) -> None:
        self.last: dict[Who, LastSeen] = {}
        self.crowd = Crowd(retention_ms, self.seen, chunk_slots=chunk_slots)
        self.number = 0
        self.now_ms = 0

    def seen(self, brand: str, player_id: str) -> LastSeen | None:
        return self.last.get((brand, player_id))

    def contribute(self, who: Who, passed_ms: int = 0) -> None:
        self.number += 1
        self.now_ms += passed_ms
        self.crowd.note(self.number, self.now_ms, *who, self.last.get(who))
        self.last[who] = seen_at(self.number, self.now_ms)

    def active(self, since_ms: int) -> list[Who]:
        """In the order of their last contributions."""
        found = [(last.number, who) for who, last in self.last.items() if last.at_ms >= since_ms]
        return [who for _, who in sorted(found)]


def seen_at(number: int, at_ms: int) -> LastSeen:
    return LastSeen(number, at_ms, "EUR", 10**8, 10**8)


def listed(crowd: Crowd, since_ms: int) -> list[Who]:
    return [crowd.at(since_ms, place) for place in range(crowd.active(since_ms))]


COMING = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=300)


@given(coming=COMING, chunk_slots=st.integers(1, 9), retention_ms=st.integers(0, 40))
@settings(deadline=None, max_examples=300)
def test_crowd_is_that_of_a_naive_count(
    coming: list[tuple[int, int]], chunk_slots: int, retention_ms: int
) -> None:
    """After every contribution, for every time that may be asked for: the same players at the same places."""
    players = Players(retention_ms, chunk_slots=chunk_slots)
    for player, passed_ms in coming:
        players.contribute(("op:a", f"player {player}"), passed_ms)
        for since_ms in (players.now_ms - retention_ms, players.now_ms - retention_ms // 3):
            assert players.active(since_ms) == listed(players.crowd, since_ms)
    assert 0 == players.crowd.active(players.now_ms + 1)


@given(
    coming=COMING, loaded=st.integers(0, 300), chunk_slots=st.integers(1, 9), late=st.integers(0, 9)
)
@settings(deadline=None, max_examples=300)
def test_a_crowd_that_was_loaded_goes_on_like_one_that_was_there(
    coming: list[tuple[int, int]], loaded: int, chunk_slots: int, late: int
) -> None:
    """A start at any point, with what is old enough left out, changes nothing."""
    retention_ms = 20
    players = Players(retention_ms, chunk_slots=chunk_slots)
    for player, passed_ms in coming[:loaded]:
        players.contribute(("op:a", f"{player}"), passed_ms)
    since_ms = players.now_ms - retention_ms
    anew = Crowd(retention_ms, players.seen, chunk_slots=chunk_slots)
    entries = [(*named(players.last[who]), name_of(*who)) for who in players.active(since_ms)]
    anew.load(entries[:late])
    anew.load(entries[late:])
    assert listed(anew, since_ms) == listed(players.crowd, since_ms)
    players.crowd = anew
    for player, passed_ms in coming[loaded:]:
        players.contribute(("op:a", f"{player}"), passed_ms)
        since_ms = players.now_ms - retention_ms
        assert players.active(since_ms) == listed(anew, since_ms)


def named(last: LastSeen) -> tuple[int, int]:
    return last.number, last.at_ms


@given(st.lists(st.tuples(st.sampled_from(["op:a", "op:b"]), st.text(max_size=9)), max_size=30))
def test_players_keep_their_names(names: list[Who]) -> None:
    """Any text is a player's id, the same id at two brands is two players."""
    players = Players(10)
    for who in names:
        players.contribute(who)

    assert players.active(0) == listed(players.crowd, 0)
    assert all(players.crowd.seen(*who) == players.last[who] for who in names)


@pytest.mark.parametrize("place", [-1, 3, 100])
def test_no_place_beyond_the_crowd(place: int) -> None:
    """Places count from 0; those before a time are not among those since it."""
    players = Players(100)
    for number in range(5):
        players.contribute(("op:a", f"{number}"), passed_ms=10)

    with pytest.raises(IndexError):
        players.crowd.at(30, place)


def test_numbers_that_do_not_rise_are_refused() -> None:
    """Of a contribution and of what is loaded; nothing has changed."""
    players = Players(100)
    players.contribute(("op:a", "1"))
    with pytest.raises(ValueError, match="comes after 1"):
        players.crowd.note(1, 0, "op:a", "2", None)
    with pytest.raises(ValueError, match="comes after 1"):
        players.crowd.load([(1, 0, b"op:a\x002")])

    assert [("op:a", "1")] == listed(players.crowd, 0)


@pytest.mark.parametrize("before", [2, 4, 6])
def test_a_last_contribution_that_is_not_there_is_refused(before: int) -> None:
    """One that was followed by another of the same player, one of nobody, one to come; nothing has changed."""
    players = Players(100)
    for number, player in ((1, "a"), (2, "b"), (3, "b"), (5, "c")):
        players.number = number - 1
        players.contribute(("op:a", player))
    expected = listed(players.crowd, 0)
    with pytest.raises(ValueError, match=f"{before} is nobody's last"):
        players.crowd.note(7, 0, "op:a", "d", seen_at(before, 0))

    assert expected == listed(players.crowd, 0)


def test_a_last_contribution_from_before_the_crowd_is_nothing_new() -> None:
    """Too old when the crowd began, or forgotten since."""
    crowd = Crowd(10, lambda _brand, _player_id: None, chunk_slots=2)
    crowd.note(100, 0, "op:a", "old", seen_at(3, -1000))
    for number in range(101, 110):
        crowd.note(number, number, "op:a", f"{number}", None)
    crowd.note(110, 110, "op:a", "old", seen_at(100, 0))

    assert 10 == crowd.active(100)
    assert ("op:a", "old") == crowd.at(100, 9)


def test_those_who_stay_away_are_forgotten_bit_by_bit() -> None:
    """Each contribution lets one chunk go, so none of them pays for all."""
    players = Players(1_000, chunk_slots=10)
    for number in range(1_000):
        players.contribute(("op:a", f"{number}"))
    assert 100 == players.crowd.statistics().chunks
    players.now_ms = 2_000
    for number in range(50):
        players.contribute(("op:a", f"later {number}"))
        assert number + 1 == players.crowd.active(1_000)
    statistics = players.crowd.statistics()

    assert (50 + 1_000 - 500, 55) == (statistics.players, statistics.chunks)


@pytest.mark.parametrize("regulars", [1, 10, 300, 5_000])
def test_room_follows_the_players_not_their_contributions(regulars: int) -> None:
    """However often they come, and however unequally."""
    draw, slots = random.Random(regulars), 64
    players = Players(10**9, chunk_slots=slots)
    for _ in range(30_000):
        player = int(regulars * draw.random() ** 3)
        players.contribute(("op:a", f"{player}"), passed_ms=1)
    statistics = players.crowd.statistics()

    assert len(players.last) == statistics.players
    assert statistics.slots <= 1.7 * statistics.players + slots
    assert statistics.chunks <= 4 * statistics.players // slots + 3
    assert players.active(0) == listed(players.crowd, 0)


def test_a_million_players_have_their_places() -> None:
    """Once all have come, and after many have come again: samples of places and of times are as they should be."""
    draw, count, more = random.Random(1), 1_000_000, 200_000
    crowd = Crowd(10**9, lambda _brand, _player_id: None)
    crowd.load((number, number // 7, b"op:a\0%d" % number) for number in range(count))
    numbers = list(range(count))  # of each player's last contribution
    check_places(crowd, numbers, draw)
    for number in range(count, count + more):
        player = int(count * draw.random() ** 2)
        before = seen_at(numbers[player], numbers[player] // 7)
        crowd.note(number, number // 7, "op:a", str(player), before)
        numbers[player] = number
    check_places(crowd, numbers, draw)
    statistics = crowd.statistics()
    assert count == statistics.players
    assert statistics.chunks <= 10 * count // CHUNK_SLOTS
    assert statistics.memory_bytes <= 70 * count


def check_places(crowd: Crowd, numbers: list[int], draw: random.Random) -> None:
    """Samples, where player p's last contribution was `numbers[p]`, at a seventh of that."""
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    ordered = [numbers[player] for player in order]
    for since_ms in (0, *(draw.choice(ordered) // 7 for _ in range(50)), ordered[-1] // 7):
        skipped = bisect_left(ordered, since_ms * 7)
        among = crowd.active(since_ms)
        assert len(order) - skipped == among
        for place in (0, among - 1, *(draw.randrange(among) for _ in range(20))):
            assert ("op:a", str(order[skipped + place])) == crowd.at(since_ms, place)
    with pytest.raises(IndexError):
        crowd.at(0, len(order))


def player(last: LastSeen | None) -> Player:
    return Player(
        opted_in=True,
        preferences=(("EUR", 10**7),),
        count=3,
        value=3 * 10**8,
        pots=(),
        updated_ms=NOW_MS,
        last=last,
    )


class Stage:
    """A fold with one instance and its players, on disk, frozen and changed since."""

    def __init__(self, updated_ms: int = NOW_MS) -> None:
        self.disk = MemoryRows()
        self.fold = Fold(self.disk, MemoryKeys())
        rules = compiled(random_template(random.Random(1)))
        definition = Definition(INSTANCE, INSTANCE, "op", "t", "op", NOW_MS - 10**9, rules)
        state = replace(evolve.create(definition, Status.ACTIVE), updated_ms=updated_ms)
        self.fold.cells[INSTANCE] = Cell(state, 0, b"")

    def put(self, who: Who, last: LastSeen | None, instance_id: str = INSTANCE) -> None:
        key = rows.player_key(instance_id, *who)
        self.fold.overlay.put_player(key, PlayerCell(1, player(last)))

    def to_disk(self) -> None:
        self.fold.overlay.freeze()
        for key, data in self.fold.overlay.frozen():
            assert data is not None
            self.disk.items[key] = data
        self.fold.overlay.forget_frozen()


def filled_stage(draw: random.Random, count: int) -> tuple[Stage, list[Who]]:
    """Rows at all three places, some of them in more than one; and all players in the order of their last ones."""
    stage, last, numbers = Stage(), dict[Who, int](), itertools.count(1)
    for place in ("disk", "frozen", "live"):
        for number in draw.sample(range(count), count // 2):
            who = (draw.choice(["op:a", "op:b"]), f"player {number}")
            last[who] = next(numbers)
            stage.put(who, seen_at(last[who], NOW_MS - 10**6 + last[who]))
        stage.put(("op:a", f"{place}: only opted in"), None)
        stage.put(("op:a", f"{place}: elsewhere"), seen_at(10**6, NOW_MS), "instance 2")
        if place == "disk":
            stage.to_disk()
        elif place == "frozen":
            stage.fold.overlay.freeze()
    return stage, sorted(last, key=last.__getitem__)


async def test_crowd_of_rows_takes_the_newest_of_each_player() -> None:
    """Of the disk, of a checkpoint under way, and of what has changed since; nobody of another instance."""
    stage, order = filled_stage(random.Random(1), 3_000)
    crowd = await gathered(stage.fold, INSTANCE, retention_ms=10**9)

    assert order == listed(crowd, 0)
    assert all(
        a.number < b.number for a, b in itertools.pairwise(seen_of(crowd, who) for who in order)
    )


def seen_of(crowd: Crowd, who: Who) -> LastSeen:
    seen = crowd.seen(*who)
    assert seen is not None
    return seen


async def test_gathered_crowd_is_the_same_while_a_checkpoint_goes_on() -> None:
    """Frozen rows reach the disk and are forgotten between two steps; others of the event loop get their turns."""
    stage, order = filled_stage(random.Random(2), 3_000)
    overlay, turns = stage.fold.overlay, 0

    async def checkpoint() -> None:
        nonlocal turns
        for key, data in list(overlay.frozen()):
            assert data is not None
            stage.disk.items[key] = data
        overlay.forget_frozen()
        overlay.freeze()
        while True:
            turns += 1
            stage.put(("op:a", "somebody"), seen_at(turns, NOW_MS), "instance 2")
            await trio.lowlevel.checkpoint()

    with trio.fail_after(TEST_TIMEOUT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(checkpoint)
            crowd = await gathered(stage.fold, INSTANCE, retention_ms=10**9)
            nursery.cancel_scope.cancel()

    assert order == listed(crowd, 0)
    assert turns > 5


async def test_crowd_of_rows_leaves_out_who_is_too_old_for_anybody_to_ask() -> None:
    """Time is that of the instance's last event; one who was seen at the edge is still in."""
    stage = Stage(updated_ms=NOW_MS)
    for number, ago_ms in enumerate((5_000, 1_001, 1_000, 10), 1):
        stage.put(("op:a", f"{ago_ms}"), seen_at(number, NOW_MS - ago_ms))
    crowd = await gathered(stage.fold, INSTANCE, retention_ms=1_000)

    assert [("op:a", "1000"), ("op:a", "10")] == listed(crowd, 0)
    assert seen_at(1, NOW_MS - 5_000) == crowd.seen("op:a", "5000")
    assert crowd.seen("op:a", "nobody") is None


async def test_crowd_of_rows_with_no_active_players_to_ask_for_reads_none() -> None:
    """Boards need last contributions alone, which stay with the fold."""
    stage = Stage()
    stage.put(("op:a", "player"), seen_at(1, NOW_MS))
    crowd = await gathered(stage.fold, INSTANCE, retention_ms=0)

    assert 0 == crowd.statistics().slots
    assert seen_at(1, NOW_MS) == crowd.seen("op:a", "player")
