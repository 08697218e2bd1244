"""Deliveries and dead letters as rows: against a model, at their limits, and across a reopening."""

import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import structs

from jackpotd.journal import delivery_store
from jackpotd.journal.delivery_store import DeliveryLimits, DeliveryStatistics, lane_of
from jackpotd.outbound.schedule import given_up
from jackpotd.wire.deliveries import DeadLetter, Delivery
from tests.outbound.delivery_rows import Rows, delivery, ids, rows_in

A, B = "http://a.example/hooks", "http://b.example/hooks"
NOW_MS = 1_000_000
DAY_MS = 86_400_000


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[Rows]:
    with rows_in(tmp_path / "feed") as opened:
        yield opened


def bury(rows: Rows, name: str, at_ms: int, operator: str = "op") -> None:
    """Gives a delivery up."""
    pending = delivery(name, operator=operator)
    rows.add(pending)
    rows.store.settle([(pending, given_up(pending, "why", at_ms))])


# -- pending


def test_a_lane_is_read_in_the_order_of_what_is_due(rows: Rows) -> None:
    """Whatever the order in which they came."""
    rows.add(*(delivery(f"n{due}", due_ms=due) for due in (30, 10, 2**40, 20)))
    (lane,) = rows.store.lanes()
    assert ["n10", "n20"] == ids(rows.store.earliest(lane, 2))
    assert ["n20", "n30", f"n{2**40}"] == ids(rows.store.earliest(lane, 9, {"n10"}))


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (delivery("1", "http://a.example/x"), delivery("2", "HTTP://A.example.:80/y?z"), True),
        (delivery("1", "http://a.example/x"), delivery("2", "https://a.example/x"), False),
        (delivery("1", "http://a.example/x"), delivery("2", "http://a.example:81/x"), False),
        (delivery("1", "http://a.example/x"), delivery("2", "http://b.example/x"), False),
        (delivery("1"), delivery("2", operator="other"), False),
    ],
)
def test_a_lane_is_an_origin_of_an_operator(
    first: Delivery, second: Delivery, *, together: bool
) -> None:
    """Spellings of one origin are one lane; nobody shares it with another operator."""
    assert (lane_of(first) == lane_of(second)) == together


def test_a_delivery_that_is_found_again_counts_once(rows: Rows) -> None:
    """Its id and its time follow from the journal, so they are the same."""
    rows.add(delivery("a"))
    rows.add(delivery("a"), delivery("b"))
    (lane,) = rows.store.lanes()
    assert {"a", "b"} == set(ids(rows.store.earliest(lane, 9)))
    assert rows.store.statistics() == DeliveryStatistics(pending=2, lanes=1, dead_letters=0)


def test_what_is_done_leaves_no_row(rows: Rows) -> None:
    """Neither deliveries nor counts."""
    rows.add(delivery("a"), delivery("b", B))
    rows.store.settle([(delivery("a"), None), (delivery("b", B), None)])
    assert rows.count() == 0
    assert [] == rows.store.lanes()


def test_an_outcome_that_is_told_again_changes_nothing(rows: Rows) -> None:
    """The row that it is about is not there any more."""
    later = delivery("a", due_ms=5, attempts=1)
    rows.add(delivery("a"), delivery("b"))
    rows.store.settle([(delivery("a"), later)])
    rows.store.settle([(delivery("a"), None), (delivery("a"), given_up(later, "why", 0))])
    (lane,) = rows.store.lanes()
    assert [delivery("b"), later] == rows.store.earliest(lane, 9)
    assert rows.store.statistics() == DeliveryStatistics(pending=2, lanes=1, dead_letters=0)


def test_fresh_lanes_are_told_once_and_only_when_they_are_durable(rows: Rows) -> None:
    """Whoever hears of a lane finds its deliveries, though others are being written meanwhile."""
    assert [] == rows.store.fresh_lanes()
    rows.add(delivery("a"))
    with rows.env.begin(write=True) as txn:
        rows.store.put(txn, [delivery("b", B)])
        assert [lane_of(delivery("a"))] == _in_another_thread(rows.store.fresh_lanes)
        assert [] == _in_another_thread(rows.store.fresh_lanes)
    assert [lane_of(delivery("b", B))] == rows.store.fresh_lanes()
    assert [] == rows.store.fresh_lanes()
    assert {lane_of(delivery("a")), lane_of(delivery("b", B))} == set(rows.store.lanes())


def _in_another_thread(ask: Callable[[], list[bytes]]) -> list[bytes]:
    """A thread that writes cannot have a reader beside it."""
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.extend(ask()))
    thread.start()
    thread.join()
    return found


def test_one_too_many_for_a_target_is_a_dead_letter(tmp_path: Path) -> None:
    """A target that takes nothing fills its own share and nobody else's; nothing is lost."""
    with rows_in(tmp_path, DeliveryLimits(pending_per_target_max=2)) as rows:
        rows.add(delivery("a"), delivery("b"), delivery("c"), delivery("d", B))
        assert rows.store.statistics() == DeliveryStatistics(pending=3, lanes=2, dead_letters=1)
        (letter,) = rows.store.dead_letters("op", 0, 9)
        assert (letter.id, letter.attempts, letter.body) == ("c", 0, delivery("c").body)
        assert "too many" in letter.reason
        assert [] == rows.store.replay("op", ["c"], NOW_MS)
        assert ["c"] == ids(rows.store.dead_letters("op", 0, 9))
        rows.store.settle([(delivery("a"), None)])
        assert ["c"] == rows.store.replay("op", ["c"], NOW_MS)


def test_rows_are_there_after_a_reopening(tmp_path: Path) -> None:
    """Deliveries, counts and letters."""
    with rows_in(tmp_path) as rows:
        rows.add(delivery("a"), delivery("b"))
        bury(rows, "c", NOW_MS)
        before = rows.store.statistics()
    with rows_in(tmp_path) as rows:
        (lane,) = rows.store.lanes()
        assert {"a", "b"} == set(ids(rows.store.earliest(lane, 9)))
        assert ["c"] == ids(rows.store.dead_letters("op", 0, 9))
        assert before == rows.store.statistics()
        assert [] == rows.store.fresh_lanes()


def test_a_transaction_that_fails_leaves_nothing(rows: Rows) -> None:
    """What the feed's commit could not write is not half there."""

    def commit() -> None:
        with rows.env.begin(write=True) as txn:
            rows.store.put(txn, [delivery("a")])
            txn.put(b"", b"")

    with pytest.raises(lmdb.BadValsizeError):
        commit()
    assert rows.count() == 0
    assert [] == rows.store.lanes()


# -- dead letters


def test_dead_letters_are_listed_by_operator_with_the_latest_first(rows: Rows) -> None:
    """A page at a time."""
    for number in range(5):
        bury(rows, f"n{number}", NOW_MS + number)
    bury(rows, "other", NOW_MS, operator="other")
    assert ["n4", "n3"] == ids(rows.store.dead_letters("op", 0, 2))
    assert ["n2", "n1"] == ids(rows.store.dead_letters("op", 2, 2))
    assert ["n0"] == ids(rows.store.dead_letters("op", 4, 2))
    assert [] == rows.store.dead_letters("op", 5, 2)
    assert [] == rows.store.dead_letters("op", 0, 0)
    assert ["other"] == ids(rows.store.dead_letters("other", 0, 9))
    assert [] == rows.store.dead_letters("nobody", 0, 9)


def test_a_replayed_letter_is_a_delivery_with_its_id_and_no_attempts(rows: Rows) -> None:
    """As if it were new."""
    bury(rows, "a", 5)
    bury(rows, "b", 6)
    assert ["a"] == rows.store.replay("op", ["a", "unknown"], NOW_MS)
    assert [lane_of(delivery("a"))] == rows.store.fresh_lanes()
    (again,) = rows.store.earliest(lane_of(delivery("a")), 9)
    assert again == delivery("a", due_ms=NOW_MS)
    assert ["b"] == ids(rows.store.dead_letters("op", 0, 9))
    assert [] == rows.store.replay("op", ["a"], NOW_MS)


def test_an_operator_replays_its_own_letters_only(rows: Rows) -> None:
    """Whichever ids it names."""
    bury(rows, "a", 5, operator="other")
    assert [] == rows.store.replay("op", ["a"], NOW_MS)
    assert [] == rows.store.replay("op", [], NOW_MS)
    assert ["a"] == rows.store.replay("other", [], NOW_MS)


def test_all_letters_are_replayed_up_to_the_limit(tmp_path: Path) -> None:
    """The oldest first, in as many transactions as it takes; the next call goes on."""
    count = delivery_store.STEP_LETTERS * 2 + 3
    with rows_in(tmp_path, DeliveryLimits(replay_letters_max=count - 1)) as rows:
        pending = [delivery(f"n{number}") for number in range(count)]
        rows.add(*pending)
        rows.store.settle([(each, given_up(each, "", at)) for at, each in enumerate(pending)])
        assert ids(pending[:-1]) == rows.store.replay("op", [], NOW_MS)
        assert ids(pending[-1:]) == rows.store.replay("op", [], NOW_MS)
        assert rows.store.statistics() == DeliveryStatistics(count, 1, 0)


def test_a_letter_that_dies_again_is_there_once(rows: Rows) -> None:
    """With its latest reason."""
    bury(rows, "a", 5)
    bury(rows, "a", 9)
    (letter,) = rows.store.dead_letters("op", 0, 9)
    assert letter.dead_ms == 9
    assert rows.store.statistics().dead_letters == 1


def test_the_oldest_letters_make_room(tmp_path: Path) -> None:
    """Each operator has its own room."""
    with rows_in(tmp_path, DeliveryLimits(letters_per_operator_max=2)) as rows:
        bury(rows, "other", 1, operator="other")
        for number in range(4):
            bury(rows, f"n{number}", NOW_MS + number)
        assert ["n3", "n2"] == ids(rows.store.dead_letters("op", 0, 9))
        assert ["other"] == ids(rows.store.dead_letters("other", 0, 9))
        assert [] == rows.store.replay("op", ["n0"], NOW_MS)


def test_letters_that_are_too_old_are_forgotten(tmp_path: Path) -> None:
    """In as many transactions as it takes; those of the limit's own age stay."""
    count = delivery_store.STEP_LETTERS + 2
    with rows_in(tmp_path, DeliveryLimits(letter_age_max_ms=DAY_MS)) as rows:
        for name in (*(f"old{number}" for number in range(count)), "young"):
            bury(rows, name, NOW_MS if name == "young" else NOW_MS - 1)
        bury(rows, "other", 1, operator="other")
        rows.store.trim(NOW_MS + DAY_MS - 1)
        assert rows.store.statistics().dead_letters == count + 1
        rows.store.trim(NOW_MS + DAY_MS)
        assert ["young"] == ids(rows.store.dead_letters("op", 0, 9))
        rows.store.trim(NOW_MS + DAY_MS + 1)
        assert rows.count() == 0


# -- against a model

NAMES = st.sampled_from("abcdef")
URLS = st.sampled_from([A, B])
TIMES = st.integers(0, 5)
LIMITS = DeliveryLimits(pending_per_target_max=4, letters_per_operator_max=3, letter_age_max_ms=3)


class Model(RuleBasedStateMachine):
    """The store beside two dicts: what is pending, and what is dead, by id. Ids are unique, as the feed's are."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._opened = rows_in(Path(self._folder.name), LIMITS)
        self.rows = self._opened.__enter__()
        self.pending: dict[str, Delivery] = {}
        self.dead: dict[str, DeadLetter] = {}

    def teardown(self) -> None:
        self._opened.__exit__(None, None, None)
        self._folder.cleanup()

    def _room(self, url: str) -> bool:
        return sum(each.url == url for each in self.pending.values()) < 4

    def _die(self, letter: DeadLetter) -> None:
        self.dead[letter.id] = letter
        if len(self.dead) > 3:
            del self.dead[self._in_order()[0].id]

    def _in_order(self) -> list[DeadLetter]:
        """Letters of one moment lie in the order of their ids' digests."""
        return sorted(
            self.dead.values(), key=lambda each: (each.dead_ms, delivery_store._id(each.id))
        )

    @rule(name=NAMES, url=URLS, due_ms=TIMES)
    def put(self, name: str, url: str, due_ms: int) -> None:
        if name in self.pending or name in self.dead:
            return
        new = delivery(name, url, due_ms=due_ms)
        self.rows.add(new)
        if self._room(url):
            self.pending[name] = new
        else:
            self._die(given_up(new, "too many results are waiting for this target", due_ms))

    @precondition(lambda self: self.pending)
    @rule(data=st.data(), what=st.sampled_from(["taken", "again", "dead"]), at_ms=TIMES)
    def settle(self, data: st.DataObject, what: str, at_ms: int) -> None:
        current = self.pending.pop(data.draw(st.sampled_from(sorted(self.pending))))
        match what:
            case "taken":
                self.rows.store.settle([(current, None)])
            case "again":
                later = structs.replace(current, next_ms=at_ms, attempts=current.attempts + 1)
                self.rows.store.settle([(current, later)])
                self.pending[current.id] = later
            case _:
                letter = given_up(current, "why", at_ms)
                self.rows.store.settle([(current, letter)])
                self._die(letter)

    @rule(names=st.lists(NAMES, max_size=3, unique=True), now_ms=TIMES)
    def replay(self, names: list[str], now_ms: int) -> None:
        wanted = names or [each.id for each in self._in_order()]
        expected = []
        for name in wanted:
            if name in self.dead and self._room(self.dead[name].url):
                letter = self.dead.pop(name)
                self.pending[name] = delivery(name, letter.url, due_ms=now_ms)
                expected.append(name)
        assert expected == self.rows.store.replay("op", names, now_ms)

    @rule(now_ms=st.integers(0, 10))
    def trim(self, now_ms: int) -> None:
        self.rows.store.trim(now_ms)
        self.dead = {name: each for name, each in self.dead.items() if each.dead_ms >= now_ms - 3}

    @invariant()
    def everything_is_there(self) -> None:
        store = self.rows.store
        lanes = store.lanes()
        found = [each for lane in lanes for each in store.earliest(lane, 99)]
        assert self.pending == {each.id: each for each in found}
        assert len(found) == len(self.pending)
        assert list(reversed(self._in_order())) == store.dead_letters("op", 0, 99)
        assert store.statistics() == DeliveryStatistics(len(found), len(lanes), len(self.dead))
        for lane in lanes:
            due = [each.next_ms for each in store.earliest(lane, 99)]
            assert due == sorted(due)


Model.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestAgainstAModel = Model.TestCase
