"""The urn of a raffle: against a list of all tickets, against exact chances, and by the statistics of real draws.

The draws come from fixed secrets, so the statistics are the same each time. The limits are those of 99 % confidence.
"""

import hashlib
import itertools
import random
from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

import pytest

from jackpotd.core.fairness import PotStream
from jackpotd.core.ledger import InvariantViolation
from jackpotd.core.urn import CHUNK, Urn, chunk_sums

CHI_SQUARE_99 = {5: 15.08627, 9: 21.66599, 15: 30.57791, 63: 92.01002, 255: 310.45739}

T = TypeVar("T")
Outcome = tuple[int, ...]
"""The winners of one round, in the order of the draws."""


def stream_of(name: str) -> PotStream:
    return PotStream(hashlib.sha256(f"a fixed secret: {name}".encode()).digest())


def random_weights(rng: random.Random, count: int) -> list[int]:
    """Many entrants without tickets, many with a few, some with very many."""
    choices = (
        lambda: 0,
        lambda: rng.randint(1, 3),
        lambda: rng.randint(1, 10 ** rng.randint(1, 17)),
    )
    return [rng.choice(choices)() for _ in range(count)]


def assert_holds(urn: Urn, weights: Sequence[int]) -> None:
    """The first and the last ticket of each entrant, and those beside them, are theirs."""
    ends = list(itertools.accumulate(weights))
    assert (ends[-1] if ends else 0) == urn.left
    for entrant, (end, weight) in enumerate(zip(ends, weights, strict=True)):
        assert weight == urn.weight(entrant)
        for place in {end - weight, end - 1} if weight else ():
            assert entrant == urn.find(place)


# What it holds.


def test_urn_finds_every_ticket_of_a_few_entrants() -> None:
    """The row of tickets, written out: entrants in order, those without tickets nowhere."""
    urn = Urn([0, 3, 0, 0, 1, 2, 0])
    assert 6 == urn.left
    assert [1, 1, 1, 4, 5, 5] == [urn.find(place) for place in range(6)]
    urn.take(1, 1)
    urn.take(5, 2)
    assert [1, 1, 4] == [urn.find(place) for place in range(urn.left)]
    urn.take(1, 2)
    urn.take(4, 1)
    assert 0 == urn.left


@pytest.mark.parametrize("count", [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7])
def test_urn_holds_what_it_was_given_whatever_the_last_chunk(count: int) -> None:
    """Each entrant's tickets are where they should be, with sums that were given and without."""
    weights = random_weights(random.Random(count), count)
    assert_holds(Urn(weights), weights)
    assert_holds(Urn(array("q", weights), chunk_sums(weights)), weights)


@pytest.mark.parametrize("seed", range(8))
def test_urn_behaves_like_a_list_of_weights(seed: int) -> None:
    """Thousands of random takes from a few chunks, until nothing is left; every find against the naive sums."""
    rng = random.Random(seed)
    weights = random_weights(rng, rng.choice([5, 900, CHUNK, 2 * CHUNK + 1]))
    urn = Urn(weights)
    for step in range(1_000):
        if not urn.left:
            break
        place = rng.randrange(urn.left)
        entrant = urn.find(place)
        assert bisect_right(list(itertools.accumulate(weights)), place) == entrant
        held = weights[entrant]
        count = rng.choice([held, held, 1, rng.randint(0, held)])
        urn.take(entrant, count)
        weights[entrant] -= count
        assert sum(weights) == urn.left
        if step % 500 == 0:
            assert_holds(urn, weights)
    assert_holds(urn, weights)


@pytest.mark.parametrize("seed", range(3))
def test_urn_holds_some_among_very_many(seed: int) -> None:
    """Entrants with tickets are thousands apart, in groups of chunks; some lose theirs, and all are where they were."""
    rng = random.Random(seed)
    count = rng.randint(65 * CHUNK, 70 * CHUNK)
    weights = array("q", [0]) * count
    holders = [0, 32 * CHUNK - 1, 32 * CHUNK, count - 1, *rng.sample(range(count), 50)]
    for entrant in holders:
        weights[entrant] = rng.randint(1, 10**9)
    urn = Urn(weights, chunk_sums(weights))
    assert_holds(urn, weights)
    for entrant in rng.sample(holders, 30):
        taken = rng.choice([weights[entrant], rng.randint(0, weights[entrant])])
        urn.take(entrant, taken)
        weights[entrant] -= taken
    assert_holds(urn, weights)


def test_urn_works_on_copies() -> None:
    """The fold's own columns stay as they are, and what happens to them does not reach the urn."""
    weights = array("q", [2, 5] * CHUNK)
    sums = chunk_sums(weights)
    urn = Urn(weights, sums)
    urn.take(1, 5)
    assert array("q", [2, 5] * CHUNK) == weights
    assert [7 * CHUNK // 2] * 2 == sums
    weights[0], sums[0] = 1_000, 1_000
    assert 2 == urn.weight(0)
    assert 7 * CHUNK - 5 == urn.left


def test_urn_adds_up_beyond_64_bits() -> None:
    """Each entrant has up to 63 bits, all of them more."""
    most = (1 << 63) - 1
    weights = [most] * (2 * CHUNK)
    urn = Urn(weights)
    assert most * 2 * CHUNK == urn.left
    assert 2 * CHUNK - 1 == urn.find(urn.left - 1)
    assert CHUNK + 5 == urn.find(most * (CHUNK + 5))
    urn.take(0, most)
    assert CHUNK + 5 == urn.find(most * (CHUNK + 4))
    with pytest.raises(OverflowError):
        Urn([most + 1])


# What it refuses.


@pytest.mark.parametrize("place", [-1, 6, 1 << 70])
def test_urn_has_no_ticket_beyond_those_left(place: int) -> None:
    urn = Urn([3, 1, 2])
    with pytest.raises(IndexError, match="among 6"):
        urn.find(place)


def test_urn_without_tickets_finds_none() -> None:
    """With entrants, without any, and once all are taken."""
    taken = Urn([1])
    taken.take(0, 1)
    for urn in (Urn([]), Urn([], []), Urn([0, 0]), taken):
        assert 0 == urn.left
        with pytest.raises(IndexError):
            urn.find(0)


@pytest.mark.parametrize(("entrant", "count"), [(0, 4), (1, 1), (2, -1)])
def test_urn_refuses_to_give_what_an_entrant_has_not(entrant: int, count: int) -> None:
    """More than they have, or less than nothing; nothing changes."""
    urn = Urn([3, 0, 2])
    with pytest.raises(ValueError, match=f"{count} tickets of entrant {entrant}"):
        urn.take(entrant, count)
    assert_holds(urn, [3, 0, 2])


@pytest.mark.parametrize("entrant", [-1, 3, CHUNK])
def test_urn_knows_no_entrant_beyond_its_own(entrant: int) -> None:
    """A negative number is no entrant from the end."""
    urn = Urn([3, 1, 2])
    with pytest.raises(IndexError, match="among 3"):
        urn.weight(entrant)
    with pytest.raises(IndexError, match="among 3"):
        urn.take(entrant, 0)


def test_urn_refuses_sums_of_something_else() -> None:
    """Too few or too many are seen at once, wrong ones when a ticket is looked for among them."""
    for sums in ([], [6, 0]):
        with pytest.raises(ValueError, match="sums for 3 entrants"):
            Urn([3, 1, 2], sums)
    for sums in ([5], [7]):
        with pytest.raises(InvariantViolation):
            Urn([3, 1, 2], sums).find(0)


# Chances on small cases: every sequence of draws that there is, each with its exact chance.


def draw(urn: Urn, place: int, *, once: bool) -> int:
    """Who wins with the ticket at this place; they lose all their tickets, or that one."""
    entrant = urn.find(place)
    urn.take(entrant, urn.weight(entrant) if once else 1)
    return entrant


def chances(weights: Sequence[int], prizes: int, *, once: bool) -> dict[Outcome, Fraction]:
    """What the urn gives: each value of every draw is as likely as the others."""
    found: defaultdict[Outcome, Fraction] = defaultdict(Fraction)
    waiting: list[tuple[tuple[int, ...], Fraction]] = [((), Fraction(1))]
    while waiting:
        places, chance = waiting.pop()
        urn = Urn(weights)
        winners = tuple([draw(urn, place, once=once) for place in places])
        if len(places) == prizes or not urn.left:
            found[winners] += chance
        else:
            waiting += [((*places, place), chance / urn.left) for place in range(urn.left)]
    return dict(found)


def exact_chances(weights: Sequence[int], prizes: int, *, once: bool) -> dict[Outcome, Fraction]:
    """What it should give: every order of all tickets is as likely as the others, and the first win."""
    tickets = [entrant for entrant, weight in enumerate(weights) for _ in range(weight)]
    found: Counter[Outcome] = Counter()
    for order in itertools.permutations(tickets):
        winners = tuple(dict.fromkeys(order)) if once else order
        found[winners[:prizes]] += 1
    return {winners: Fraction(count, found.total()) for winners, count in found.items()}


def apart(*weights: int) -> list[int]:
    """These weights in chunks of their own, with entrants without tickets between them."""
    return [weight for own in weights for weight in (own, *[0] * (CHUNK - 1))]


def test_urn_gives_two_prizes_with_the_chances_that_one_reckons_by_hand() -> None:
    """Three, one and two tickets: a player loses all of them with the first prize, or one."""
    assert {
        (0, 1): Fraction(3, 6) * Fraction(1, 3),
        (0, 2): Fraction(3, 6) * Fraction(2, 3),
        (1, 0): Fraction(1, 6) * Fraction(3, 5),
        (1, 2): Fraction(1, 6) * Fraction(2, 5),
        (2, 0): Fraction(2, 6) * Fraction(3, 4),
        (2, 1): Fraction(2, 6) * Fraction(1, 4),
    } == chances((3, 1, 2), 2, once=True)
    assert {
        (0, 0): Fraction(3 * 2, 6 * 5),
        (0, 1): Fraction(3 * 1, 6 * 5),
        (0, 2): Fraction(3 * 2, 6 * 5),
        (1, 0): Fraction(1 * 3, 6 * 5),
        (1, 2): Fraction(1 * 2, 6 * 5),
        (2, 0): Fraction(2 * 3, 6 * 5),
        (2, 1): Fraction(2 * 1, 6 * 5),
        (2, 2): Fraction(2 * 1, 6 * 5),
    } == chances((3, 1, 2), 2, once=False)


@pytest.mark.parametrize("once", [True, False])
@pytest.mark.parametrize(
    ("weights", "prizes"),
    [
        ((3, 1, 2), 1),
        ((3, 1, 2), 3),
        ((1, 1, 1, 1), 4),
        ((0, 2, 0, 4, 1, 0), 2),
        ((1, 2, 1, 2), 3),
        ((5, 2), 3),
        ((2, 1), 5),
        ((4,), 2),
        ((0, 0), 2),
        (apart(1, 2, 1), 2),
        (apart(2, 0, 3), 2),
    ],
)
def test_urn_gives_every_outcome_its_exact_chance(
    weights: Sequence[int], prizes: int, once: bool
) -> None:
    """As if all tickets were shuffled; with fewer players or tickets than prizes, too."""
    assert exact_chances(weights, prizes, once=once) == chances(weights, prizes, once=once)


# Frequencies of real draws.


def round_of(
    stream: PotStream, number: int, urn: Urn, prizes: int, *, once: bool = False
) -> Outcome:
    """The winners of a round, drawn as a raffle draws them."""
    label = f"raffle {number}"
    places = (stream.uniform(label, at, urn.left) for at in range(prizes))
    return tuple([draw(urn, place, once=once) for place in places])


def reckoned(weights: Sequence[int], prizes: int, *, once: bool) -> dict[Outcome, Fraction]:
    """The chance of each order of winners: at each draw, their tickets of those left."""
    found = {}
    for winners in itertools.product(range(len(weights)), repeat=prizes):
        left, chance = list(weights), Fraction(1)
        for winner in winners:
            chance *= Fraction(left[winner], sum(left))
            left[winner] = 0 if once else left[winner] - 1
        if chance:
            found[winners] = chance
    return found


def assert_as_often(
    found: Mapping[T, int], expected: Mapping[T, Fraction], correction: Fraction = Fraction(1)
) -> None:
    """Chi-square of counts against chances that add up to 1 is within its limit at 99 %."""
    assert sum(expected.values()) == 1
    assert found.keys() <= expected.keys()
    total = sum(found.values())
    means = {outcome: total * chance for outcome, chance in expected.items()}
    assert min(means.values()) >= 5
    squares = [(found.get(outcome, 0) - mean) ** 2 / mean for outcome, mean in means.items()]
    assert float(sum(squares) * correction) < CHI_SQUARE_99[len(expected) - 1]


@pytest.mark.parametrize(
    ("weights", "prizes", "once"),
    [((3, 1, 2), 3, True), ((50, 3, 80), 2, True), ((2, 4, 3, 5), 2, False)],
)
def test_real_draws_give_each_order_of_winners_as_often_as_its_chance(
    weights: Sequence[int], prizes: int, once: bool
) -> None:
    """Six orders, where a player wins one prize, and sixteen, where one may win both."""
    stream = stream_of(f"orders {weights}")
    found = Counter(
        round_of(stream, number, Urn(weights), prizes, once=once) for number in range(1, 8_001)
    )
    assert_as_often(found, reckoned(weights, prizes, once=once))


def test_real_draws_give_each_pair_of_winners_as_often_as_its_chance() -> None:
    """Ten pairs of five players with very different tickets, whoever of them came first."""
    weights = (20, 1, 9, 4, 16)
    stream = stream_of("pairs")
    found = Counter(
        tuple(sorted(round_of(stream, number, Urn(weights), 2, once=True)))
        for number in range(1, 8_001)
    )
    expected: defaultdict[Outcome, Fraction] = defaultdict(Fraction)
    for winners, chance in reckoned(weights, 2, once=True).items():
        expected[tuple(sorted(winners))] += chance
    assert_as_often(found, expected)


def test_real_draws_let_each_entrant_come_second_as_often_as_their_chance() -> None:
    """Sixty-four of them, of five to sixty-eight tickets, in four chunks."""
    weights = array("q", [0]) * (4 * CHUNK)
    entrants = range(7, 4 * CHUNK, CHUNK // 16)
    for tickets, entrant in enumerate(entrants, 5):
        weights[entrant] = tickets
    sums = chunk_sums(weights)
    stream = stream_of("second")
    found = Counter(
        round_of(stream, number, Urn(weights, sums), 2, once=True)[1] for number in range(1, 12_001)
    )
    total = sum(sums)
    expected: defaultdict[int, Fraction] = defaultdict(Fraction)
    for first, second in itertools.permutations(entrants, 2):
        chance = Fraction(weights[first], total)
        expected[second] += chance * Fraction(weights[second], total - weights[first])
    assert_as_often(found, expected)


def test_real_draws_of_half_of_the_entrants_take_from_everywhere_alike() -> None:
    """One ticket each, half of them win: the counts of places spread less, as in any sample without replacement."""
    entrants, prizes, stretch = 4 * CHUNK, 2 * CHUNK, 4 * CHUNK // 256
    weights = array("q", [1]) * entrants
    stream = stream_of("half")
    found: Counter[int] = Counter()
    for number in range(1, 9):
        winners = round_of(stream, number, Urn(weights), prizes)
        assert len(set(winners)) == prizes
        found.update(winner // stretch for winner in winners)
    correction = Fraction(entrants - 1, entrants - prizes)
    assert_as_often(found, dict.fromkeys(range(256), Fraction(1, 256)), correction)


@pytest.mark.parametrize("once", [True, False])
def test_real_draws_among_a_million_entrants_follow_their_tickets(once: bool) -> None:
    """Three thousand prizes of one round, by stretches of entrants with more tickets the later they came.

    So few of all tickets are taken that the chances stay as they were at the first draw.
    """
    entrants = 1_000_000
    stretch = entrants // 64
    weights = array("q")
    for tickets in range(100, 164):
        weights += array("q", [0, tickets, 2 * tickets, tickets]) * (stretch // 4)
        weights += array("q", [tickets]) * (stretch % 4)
    sums = chunk_sums(weights)
    winners = round_of(stream_of("million"), 1, Urn(weights, sums), 3_000, once=once)
    expected = {
        part: Fraction(sum(weights[part * stretch : (part + 1) * stretch]), sum(sums))
        for part in range(64)
    }
    assert_as_often(Counter(winner // stretch for winner in winners), expected)
