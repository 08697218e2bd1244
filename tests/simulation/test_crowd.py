"""The simulated crowd answers as a plain list of all players would."""

import random

from msgspec.structs import replace

from jackpotd.core.state import UNKNOWN_PLAYER, LastSeen
from jackpotd.simulation.crowd import SimulatedCrowd

BRAND = "op:b"


def player_at(number: int, at_ms: int) -> LastSeen:
    return LastSeen(number, at_ms, "EUR", 1, 1)


def test_crowd_agrees_with_a_list_of_all_players() -> None:
    """Counts and places are those of the players in the order of their last contribution, whatever was forgotten."""
    rng = random.Random(5)
    crowd, order = SimulatedCrowd(BRAND), dict[int, int]()
    for step in range(30_000):
        number = int(rng.expovariate(1 / 150))
        at_ms = step * 10
        crowd.came(number, replace(UNKNOWN_PLAYER, last=player_at(step, at_ms)), at_ms)
        order.pop(number, None)
        order[number] = at_ms
        if step % 997 == 0:
            since_ms = at_ms - rng.choice((0, 50, 3_000, 10**9))
            expected = [(BRAND, str(who)) for who, last_ms in order.items() if last_ms >= since_ms]
            assert len(expected) == crowd.active(since_ms)
            for place in rng.sample(range(len(expected)), min(20, len(expected))):
                assert expected[place] == crowd.at(since_ms, place)


def test_crowd_of_more_players_than_a_bucket_holds() -> None:
    """Places beyond the first bucket are found by its counts."""
    crowd = SimulatedCrowd(BRAND)
    for number in range(20_000):
        crowd.came(number, UNKNOWN_PLAYER, number)
    for number in range(0, 20_000, 2):
        crowd.came(number, UNKNOWN_PLAYER, 20_000 + number)

    assert crowd.active(0) == 20_000
    assert crowd.active(20_000) == 10_000
    assert crowd.at(0, 0) == (BRAND, "1")
    assert crowd.at(0, 9_999) == (BRAND, "19999")
    assert crowd.at(0, 10_000) == (BRAND, "0")
    assert crowd.at(20_000, 9_999) == (BRAND, "19998")


def test_crowd_remembers_who_it_saw_last() -> None:
    """A stranger, and a player of another brand, were never seen."""
    crowd = SimulatedCrowd(BRAND)
    seen = player_at(1, 5)
    crowd.came(7, replace(UNKNOWN_PLAYER, last=seen), 5)

    assert seen == crowd.seen(BRAND, "7")
    assert crowd.seen(BRAND, "8") is None
    assert crowd.seen("op:other", "7") is None
    assert crowd.player(8, UNKNOWN_PLAYER) is UNKNOWN_PLAYER
