"""Forgeries of a raffle's draws, prizes, secrets and rules, one thing at a time."""

import random

from jackpotd.core.fairness import PotStream, commitment_to
from jackpotd.service.fairness_lines import Line

from .forging import (
    IDENTITY,
    Lines,
    drawn_round,
    lines_of,
    name,
    paid_prize,
    payable,
    raffle_forgery,
    rules_in,
    tickets_of,
)

NOT_ITS_TICKETS = r"prize \d+ is not its ticket's"


def give(prize: Line, who: Line) -> None:
    """A prize in the name of whoever contributed so, with all that follows from it."""
    prize.update({key: who[key] for key in IDENTITY}, entrant=who["bought"]["entrant"])
    prize["win"], prize["paid"] = payable(prize["value"], who)
    if not prize["win"]:
        prize["withheld"] = False


@raffle_forgery(NOT_ITS_TICKETS)
def the_number_of_a_draw(lines: Lines, rng: random.Random) -> None:
    _, prize = paid_prize(lines, rng)
    prize["draw"] = (prize["draw"] + 1) % prize["among"] if prize["among"] > 1 else 1


@raffle_forgery(NOT_ITS_TICKETS)
def among_how_many_was_drawn(lines: Lines, rng: random.Random) -> None:
    _, prize = paid_prize(lines, rng)
    prize["among"] += rng.choice((-1, 1))


@raffle_forgery(NOT_ITS_TICKETS)
def a_prize_given_to_somebody_else(lines: Lines, rng: random.Random) -> None:
    """To another who had tickets, and is paid what they would have been."""
    line, prize = paid_prize(lines, rng)
    others = [who for _, who in tickets_of(lines, line["number"]) if name(who) != name(prize)]
    give(prize, rng.choice(others))


@raffle_forgery(NOT_ITS_TICKETS)
def a_prize_given_to_a_friend_who_never_played(lines: Lines, rng: random.Random) -> None:
    _, prize = paid_prize(lines, rng)
    prize["player"] = "friend"


@raffle_forgery(NOT_ITS_TICKETS)
def two_winners_swapped(lines: Lines, rng: random.Random) -> None:
    """Each gets the other's prize."""
    _, line = drawn_round(lines, rng, winners_min=2)
    one = rng.choice(line["prizes"])
    other = next(each for each in line["prizes"] if name(each) != name(one))
    for key in ("entrant", *IDENTITY):
        one[key], other[key] = other[key], one[key]


@raffle_forgery(NOT_ITS_TICKETS, ("shared",))
def somebody_who_wins_twice(lines: Lines, rng: random.Random) -> None:
    """Whoever has won has no tickets left, where one prize per player is the rule."""
    _, line = drawn_round(lines, rng, 2)
    at = rng.randrange(1, len(line["prizes"]))
    first = line["prizes"][at - 1]
    line["prizes"][at].update({key: first[key] for key in ("entrant", *IDENTITY)})


@raffle_forgery("prizes are missing, or too many")
def a_prize_that_was_left_out(lines: Lines, rng: random.Random) -> None:
    """The last one, so that no other is another's."""
    _, line = drawn_round(lines, rng, 2)
    line["prizes"].pop()


@raffle_forgery("prizes are missing, or too many")
def all_prizes_left_out(lines: Lines, rng: random.Random) -> None:
    """As if nobody had had a ticket; nothing was paid, so the pot keeps it all."""
    _, line = drawn_round(lines, rng)
    line["prizes"].clear()


@raffle_forgery(NOT_ITS_TICKETS)
def a_prize_in_the_middle_that_was_left_out(lines: Lines, rng: random.Random) -> None:
    """The last is drawn twice instead, so that their number is right."""
    _, line = drawn_round(lines, rng, 3)
    del line["prizes"][rng.randrange(len(line["prizes"]) - 1)]
    line["prizes"].append(dict(line["prizes"][-1]))


@raffle_forgery("prizes are missing, or too many")
def a_prize_too_many(lines: Lines, rng: random.Random) -> None:
    _, line = drawn_round(lines, rng)
    line["prizes"].append(dict(line["prizes"][-1]))


@raffle_forgery(NOT_ITS_TICKETS)
def the_prizes_in_another_order(lines: Lines, rng: random.Random) -> None:
    """The best prize is drawn last."""
    _, line = drawn_round(lines, rng, 2)
    line["prizes"].reverse()


@raffle_forgery(NOT_ITS_TICKETS)
def the_tier_of_a_prize(lines: Lines, rng: random.Random) -> None:
    _, prize = paid_prize(lines, rng)
    prize["tier"] += 1


@raffle_forgery(NOT_ITS_TICKETS)
def what_a_prize_is_worth(lines: Lines, rng: random.Random) -> None:
    """With what can be paid of it."""
    _, prize = paid_prize(lines, rng)
    prize["value"] //= 2
    prize["win"], prize["paid"] = payable(prize["value"], prize)


@raffle_forgery(NOT_ITS_TICKETS)
def what_was_paid_of_a_prize(lines: Lines, rng: random.Random) -> None:
    _, prize = paid_prize(lines, rng)
    prize[rng.choice(("win", "paid"))] -= 1


@raffle_forgery(NOT_ITS_TICKETS)
def a_prize_that_was_not_paid(lines: Lines, rng: random.Random) -> None:
    """As if not one minor unit of it could be."""
    _, prize = paid_prize(lines, rng)
    prize["win"] = prize["paid"] = 0


@raffle_forgery(NOT_ITS_TICKETS)
def a_prize_at_another_rate(lines: Lines, rng: random.Random) -> None:
    """Not that of the winner's last contribution."""
    _, prize = paid_prize(lines, rng)
    prize["rates"][1] *= 2
    prize["win"], prize["paid"] = payable(prize["value"], prize)


@raffle_forgery(NOT_ITS_TICKETS)
def a_prize_that_was_withheld_or_not(lines: Lines, rng: random.Random) -> None:
    _, prize = paid_prize(lines, rng)
    prize["withheld"] = not prize["withheld"]


@raffle_forgery("has not kept what was not paid|the round was another one")
def what_the_pot_keeps(lines: Lines, rng: random.Random) -> None:
    _, line = drawn_round(lines, rng)
    line["added"] += rng.choice((-1, 1))


@raffle_forgery("the round was another one")
def what_a_round_came_to(lines: Lines, rng: random.Random) -> None:
    _, line = drawn_round(lines, rng)
    what = rng.choice(("tickets", "entrants", "counted", "pot", "number", "starts_ms", "ends_ms"))
    line[what] += 1


@raffle_forgery("it is not the secret committed to|prize|no seal|it stands still")
def a_secret(lines: Lines, rng: random.Random) -> None:
    """Where no prize was drawn, its commitment finds it."""
    _, line = rng.choice(list(lines_of(lines, "reveal")))
    line["secret"] = rng.randbytes(32).hex()


@raffle_forgery(NOT_ITS_TICKETS)
def a_secret_with_its_commitment(lines: Lines, rng: random.Random) -> None:
    """Another secret that fits what is said to have been published before, and draws another ticket first."""
    at, line = drawn_round(lines, rng, 2)
    _, reveal = next(pair for pair in lines_of(lines, "reveal") if pair[0] > at)
    first, number = line["prizes"][0], reveal["number"]
    found, secret = first["draw"], b""
    while found == first["draw"]:
        secret = rng.randbytes(32)
        found = PotStream(secret).uniform(f"raffle {line['number']}", 0, first["among"])
    reveal["secret"] = secret.hex()
    for _, seal in lines_of(lines, "seal"):
        if seal["number"] == number:
            seal["commitment"] = commitment_to(secret, "i", "main", number)


@raffle_forgery("was won, and its secret is not revealed|it stands still|wants no such seal")
def a_secret_that_was_not_revealed(lines: Lines, rng: random.Random) -> None:
    at, _ = drawn_round(lines, rng)
    revealed, _ = next(pair for pair in lines_of(lines, "reveal") if pair[0] > at)
    del lines[revealed]


@raffle_forgery("a secret is revealed before its draw|there is no such seal|committed to")
def a_secret_that_was_known_before_the_draw(lines: Lines, rng: random.Random) -> None:
    """Revealed while tickets were sold."""
    at, line = drawn_round(lines, rng)
    revealed, reveal = next(pair for pair in lines_of(lines, "reveal") if pair[0] > at)
    del lines[revealed]
    lines.insert(tickets_of(lines, line["number"])[0][0], reveal)


@raffle_forgery("none that is sealed|was not made when it says")
def a_seal_made_after_tickets_were_sold(lines: Lines, rng: random.Random) -> None:
    """When one knows who has them."""
    _, line = drawn_round(lines, rng, winners_min=2)
    sold = [at for at, _ in tickets_of(lines, line["number"])][-1]
    sealed = [at for at, _ in lines_of(lines, "seal") if at < sold][-1]
    seal = lines.pop(sealed)
    seal["first"], seal["floor"] = lines[sold - 1]["number"], lines[sold - 1]["values"]["main"]
    lines.insert(sold, seal)


@raffle_forgery(NOT_ITS_TICKETS)
def the_prizes_in_the_rules(lines: Lines, _rng: random.Random) -> None:
    for rules in rules_in(lines):
        for prize in rules["raffle"]["prizes"]:
            key = "share" if prize["amount"] is None else "amount"
            prize[key] -= prize[key] // 10


@raffle_forgery("prizes are missing, or too many|prize")
def how_many_prizes_there_are(lines: Lines, rng: random.Random) -> None:
    more = rng.choice((1, 2))
    for rules in rules_in(lines):
        rules["raffle"]["prizes"][0]["count"] += more


@raffle_forgery("prize")
def whether_a_player_may_win_again(lines: Lines, _rng: random.Random) -> None:
    for rules in rules_in(lines):
        rules["raffle"]["one_prize_per_player"] = not rules["raffle"]["one_prize_per_player"]


@raffle_forgery(NOT_ITS_TICKETS)
def above_what_prizes_are_withheld(lines: Lines, _rng: random.Random) -> None:
    for rules in rules_in(lines):
        rules["withhold_above"] = 0 if rules["withhold_above"] is None else None
