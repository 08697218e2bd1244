"""Forgeries of a raffle's rounds, tickets and schedules, one thing at a time."""

import random

from .forging import (
    Lines,
    draw_again,
    drawn_round,
    lines_of,
    name,
    opening,
    raffle_forgery,
    rules_in,
    tickets_of,
)

OTHER_TICKETS = "it buys other tickets than it paid for"


def renumbered(lines: Lines, first: int, by: int = -1) -> None:
    """All contributions from a line on have other numbers, and seals with them."""
    for line in lines[first:]:
        if line["type"] == "contribution":
            line["number"] += by
        elif line["type"] == "seal":
            line["first"] += by


def count_more(lines: Lines, rng: random.Random) -> None:
    at, line = drawn_round(lines, rng)
    _, sold = rng.choice(tickets_of(lines, line["number"]))
    sold["bought"]["counted"] += lines[1]["rules"]["raffle"]["cost"]
    sold["bought"]["awarded"] += 1
    draw_again(lines, at)


@raffle_forgery(OTHER_TICKETS)
def a_ticket_too_many(lines: Lines, rng: random.Random) -> None:
    at, line = drawn_round(lines, rng)
    _, sold = rng.choice(tickets_of(lines, line["number"]))
    sold["bought"]["awarded"] += 1
    draw_again(lines, at)


@raffle_forgery(OTHER_TICKETS)
def what_is_kept_towards_the_next_ticket(lines: Lines, rng: random.Random) -> None:
    _, line = drawn_round(lines, rng)
    _, sold = rng.choice(tickets_of(lines, line["number"]))
    sold["bought"]["accumulated"] += 1


@raffle_forgery(OTHER_TICKETS, ("shared",))
def a_part_that_was_kept_over_the_end_of_a_round(lines: Lines, rng: random.Random) -> None:
    """Parts begin anew with each round: here one goes on."""
    sold = [
        pair for _, line in lines_of(lines, "draw") for pair in tickets_of(lines, line["number"])
    ]
    firsts = [
        (before, after)
        for at, (_, before) in enumerate(sold)
        for _, after in sold[at + 1 :]
        if name(before) == name(after) and before["bought"]["accumulated"]
    ]
    chosen = [
        pair for pair in firsts if pair[1]["bought"]["round"] == pair[0]["bought"]["round"] + 1
    ]
    before, after = rng.choice(chosen)
    after["bought"]["accumulated"] += before["bought"]["accumulated"]


@raffle_forgery("it is not counted as what it is worth", ("several",))
def a_contribution_counted_as_more(lines: Lines, rng: random.Random) -> None:
    """With the tickets that it would have bought, and the prizes drawn so."""
    count_more(lines, rng)


@raffle_forgery("it is not a contribution from the wager that it counts", ("shared",))
def a_wager_counted_as_more(lines: Lines, rng: random.Random) -> None:
    """Than what was contributed from it, at the share that the rules say; the prizes are drawn so."""
    count_more(lines, rng)


@raffle_forgery("it is not counted as|it is not a contribution from")
def a_contribution_that_bought_nothing(lines: Lines, rng: random.Random) -> None:
    """It is taken in, and the round does not know of it."""
    _, line = drawn_round(lines, rng)
    chosen = [sold for _, sold in tickets_of(lines, line["number"]) if sold["worth"] > 10**6]
    rng.choice(chosen)["bought"] = None


@raffle_forgery(OTHER_TICKETS)
def in_which_order_two_players_came(lines: Lines, rng: random.Random) -> None:
    """It decides whose tickets stand where in the row."""
    at, line = drawn_round(lines, rng, winners_min=2)
    one, other = rng.sample(range(line["entrants"]), 2)
    places = {one: other, other: one}
    for _, sold in tickets_of(lines, line["number"]):
        bought = sold["bought"]
        bought["entrant"] = places.get(bought["entrant"], bought["entrant"])
    draw_again(lines, at)


@raffle_forgery("it buys other|the round was another one|the pots have grown|prize")
def a_contribution_that_was_dropped(lines: Lines, rng: random.Random) -> None:
    """Its player never came; all that comes after it is numbered anew."""
    _, line = drawn_round(lines, rng)
    at, _ = rng.choice(tickets_of(lines, line["number"]))
    del lines[at]
    renumbered(lines, at)


@raffle_forgery("it buys other tickets|the round was another one|the pots have grown")
def a_contribution_that_was_made_up(lines: Lines, rng: random.Random) -> None:
    """A friend comes last, with a wager that the pot does not show."""
    _, line = drawn_round(lines, rng)
    sold, last = tickets_of(lines, line["number"])[-1]
    bought = {**last["bought"], "entrant": line["entrants"]}
    friend = {**last, "player": "friend", "number": last["number"], "bought": bought}
    lines.insert(sold + 1, friend)
    renumbered(lines, sold + 1, 1)


@raffle_forgery("no round runs then|it is not the next one|it buys other tickets")
def a_contribution_that_came_too_late(lines: Lines, rng: random.Random) -> None:
    """In the time of the next round, and counted in the one before."""
    _, line = drawn_round(lines, rng)
    _, last = tickets_of(lines, line["number"])[-1]
    last["at_ms"] = line["ends_ms"] + rng.choice((0, 1))


@raffle_forgery("no round runs then|it is not the next one")
def a_contribution_that_came_too_early(lines: Lines, rng: random.Random) -> None:
    """In the last moment before its round."""
    _, line = drawn_round(lines, rng)
    tickets_of(lines, line["number"])[0][1]["at_ms"] = line["starts_ms"] - 1


@raffle_forgery("no round is over")
def a_round_drawn_before_its_end(lines: Lines, rng: random.Random) -> None:
    _, line = drawn_round(lines, rng)
    line["at_ms"] = line["ends_ms"] - 1


@raffle_forgery("it does not end when it should")
def a_round_cut_short(lines: Lines, rng: random.Random) -> None:
    """Or made longer: both where it was set and where it was drawn."""
    _, line = drawn_round(lines, rng)
    _, opened = opening(lines, line["number"])
    opened["ends_ms"] = line["ends_ms"] = line["ends_ms"] + rng.choice((-1, 1, 60_000))


@raffle_forgery("it is not the next round|it does not end when")
def a_round_that_begins_in_the_one_before(lines: Lines, rng: random.Random) -> None:
    numbers = [line["number"] for _, line in lines_of(lines, "draw")]
    _, opened = opening(lines, rng.choice(numbers[1:]))
    opened["starts_ms"] -= 1
    opened["ends_ms"] -= 1


@raffle_forgery("it is not the next round")
def a_number_that_was_passed_over(lines: Lines, rng: random.Random) -> None:
    """All rounds from one on have the next number."""
    _, chosen = drawn_round(lines, rng)
    first = chosen["number"]
    for line in lines:
        if line["type"] in ("round", "draw") and line.get("number", 0) >= first:
            line["number"] += 1
        elif line.get("bought") and line["bought"]["round"] >= first:
            line["bought"]["round"] += 1


@raffle_forgery("so many rounds are not over|it is not the next round|another round was not drawn")
def rounds_that_were_never_missed(lines: Lines, rng: random.Random) -> None:
    _, missed = rng.choice([pair for pair in lines_of(lines, "round") if pair[1]["is"] == "missed"])
    missed["count"] += rng.choice((-1, 1, 1_000))


@raffle_forgery("another round was not drawn|a win is not told|no round runs|none that is sealed")
def a_round_that_was_never_drawn(lines: Lines, rng: random.Random) -> None:
    at, _ = drawn_round(lines, rng)
    del lines[at]


@raffle_forgery("another round was not drawn|there is no such|before its draw|a round is over")
def a_round_said_to_be_missed(lines: Lines, rng: random.Random) -> None:
    """As if nobody had served it: without its draw, and without a word of it behind."""
    at, line = drawn_round(lines, rng)
    common = {key: line[key] for key in ("instance", "at_ms")}
    missed = {"type": "round", "is": "missed", "count": 1, "until_ms": line["ends_ms"], **common}
    lines[at] = missed
    after = next(each for each in lines[at:] if each["type"] == "state")
    after["after"].remove("RoundResolved")


@raffle_forgery("a round is over, and was not drawn")
def a_raffle_terminated_instead_of_drawn(lines: Lines, rng: random.Random) -> None:
    """The end of the export, as if a person had ended it in time; its last round is over."""
    at, _ = drawn_round(lines, rng)
    del lines[at + 1 :]
    draw = lines.pop()
    state = next(line for line in reversed(lines) if line["type"] == "state")
    values = next(line["values"] for line in reversed(lines) if "values" in line)
    ended = {"at_ms": draw["at_ms"], "status": "Terminated", "values": values}
    lines.append({**state, **ended, "after": ["StatusChanged"]})


@raffle_forgery("it stands still|it was terminated|none that is sealed|not the next|is not told")
def a_round_drawn_after_it_was_terminated(lines: Lines, rng: random.Random) -> None:
    at, _ = drawn_round(lines, rng)
    state = next(each for each in lines if each["type"] == "state")
    values = next(each["values"] for each in reversed(lines[:at]) if "values" in each)
    ended = {"status": "Terminated", "values": values, "at_ms": lines[at - 1]["at_ms"]}
    lines.insert(at, {**state, **ended, "after": ["StatusChanged"]})


@raffle_forgery("it is not the next round|it is not within the schedule|does not end when|not over")
def when_the_schedule_begins(lines: Lines, _rng: random.Random) -> None:
    lines[1]["schedule"]["start_ms"] += 1


@raffle_forgery("does not end when it should|no round runs then|the round was another|not over")
def another_schedule_that_nobody_set(lines: Lines, rng: random.Random) -> None:
    """The round would have ended with it, before its time: told in the last moment before the draw."""
    at, line = drawn_round(lines, rng)
    _, sold = tickets_of(lines, line["number"])[-1]
    common = {key: sold[key] for key in ("instance", "at_ms")}
    bounds = {"start_ms": line["starts_ms"], "end_ms": line["ends_ms"] - 1}
    brief = {**bounds, "daily": [], "weekly": []}
    lines.insert(at, {"type": "schedule", "brand": "", "schedule": brief, **common})


@raffle_forgery("it is not within the schedule")
def a_contribution_that_a_schedule_would_have_kept_out(lines: Lines, rng: random.Random) -> None:
    """That of its brand."""
    _, line = drawn_round(lines, rng)
    at, sold = rng.choice(tickets_of(lines, line["number"]))
    common = {key: sold[key] for key in ("instance", "at_ms")}
    later = {"start_ms": sold["at_ms"] + 1, "end_ms": None, "daily": [], "weekly": []}
    changed = {"type": "schedule", "brand": sold["brand"], "schedule": later, **common}
    lines.insert(at, changed)


@raffle_forgery("it buys other tickets than it paid for")
def what_a_ticket_costs(lines: Lines, _rng: random.Random) -> None:
    for rules in rules_in(lines):
        rules["raffle"]["cost"] *= 2


@raffle_forgery("it buys other tickets than it paid for")
def whether_parts_are_kept(lines: Lines, _rng: random.Random) -> None:
    for rules in rules_in(lines):
        rules["raffle"]["accumulates"] = not rules["raffle"]["accumulates"]


@raffle_forgery("it does not end when it should")
def how_long_a_round_is(lines: Lines, _rng: random.Random) -> None:
    for rules in rules_in(lines):
        rules["raffle"]["duration_ms"] += 1
