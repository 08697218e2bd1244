"""Forgeries of draws, seals, secrets, rules and contributions, one thing at a time."""

import random

from jackpotd.core.fairness import commitment_to

from .forging import Lines, drawn, forgery, is_revealed, lines_of, won


@forgery("a draw for .* is not its secret's")
def a_draw(lines: Lines, rng: random.Random) -> None:
    each = drawn(lines, rng)
    assert isinstance(each[1], int)
    each[1] ^= 1


@forgery("a threshold of .* is not its rules'")
def a_threshold(lines: Lines, rng: random.Random) -> None:
    each = drawn(lines, rng)
    assert isinstance(each[2], int)
    each[2] += rng.choice((-2, 2))


@forgery("draws for .* are missing, or too many")
def a_draw_that_was_left_out(lines: Lines, rng: random.Random) -> None:
    at, line = rng.choice(
        [
            (at, line)
            for at, line in lines_of(lines, "contribution")
            if any(each[0] == "hits" for each in line["draws"]) and is_revealed(lines, at, "hits")
        ]
    )
    assert lines[at] is line
    line["draws"].remove(next(each for each in line["draws"] if each[0] == "hits"))


@forgery("draws for .* are missing, or too many")
def a_tip_that_was_hidden_with_its_draws(lines: Lines, rng: random.Random) -> None:
    _, line, win = won(lines, rng, lambda _, win: win["pot"] == "hits" and win["tip"] == "HitRate")
    line["draws"] = [each for each in line["draws"] if each[0] != "hits"]
    line["wins"].remove(win)


@forgery("draws for .* are missing, or too many")
def a_pot_that_was_said_to_lack_its_seed(lines: Lines, rng: random.Random) -> None:
    _, line, win = won(lines, rng, lambda _, win: win["pot"] == "hits" and win["tip"] == "HitRate")
    line["draws"] = [each for each in line["draws"] if each[0] != "hits"]
    line["unfunded"].append("hits")
    line["wins"].remove(win)


@forgery("a threshold of .* is not its rules'")
def the_odds_in_the_rules(lines: Lines, _rng: random.Random) -> None:
    lines[1]["rules"]["pots"][0]["hit_rates"][0]["outcomes"] += 1


@forgery("hidden (tipped, and was not won|was won without a reason)")
def the_range_of_the_hidden_values(lines: Lines, rng: random.Random) -> None:
    lines[1]["rules"]["pots"][1]["hidden_values"][0]["high"] += rng.choice((-1, 1)) * 5 * 10**8


@forgery("timed|rolling")
def the_windows_of_a_hidden_time(lines: Lines, _rng: random.Random) -> None:
    lines[1]["rules"]["pots"][3]["hidden_times"][0]["start_ms"] += 60_000


@forgery("it was not made when it says")
def the_floor_of_a_seal(lines: Lines, rng: random.Random) -> None:
    _, line = rng.choice([(at, line) for at, line in lines_of(lines, "seal")])
    line["floor"] -= 1


@forgery("it was not made when it says")
def when_a_seal_was_made(lines: Lines, rng: random.Random) -> None:
    _, line = rng.choice([(at, line) for at, line in lines_of(lines, "seal")])
    line["first"] += 1


@forgery("it is not the secret committed to")
def a_commitment(lines: Lines, rng: random.Random) -> None:
    _, line = rng.choice(
        [(at, line) for at, line in lines_of(lines, "seal") if is_revealed(lines, at, line["pot"])]
    )
    digit = rng.randrange(64)
    text = line["commitment"]
    line["commitment"] = text[:digit] + f"{int(text[digit], 16) ^ 1:x}" + text[digit + 1 :]


@forgery("committed to|is not its|tipped|reason|others|draw is another|was not kept")
def a_secret(lines: Lines, rng: random.Random) -> None:
    _, line = rng.choice([(at, line) for at, line in lines_of(lines, "reveal")])
    line["secret"] = rng.randbytes(32).hex()


@forgery("a draw for hits is not its secret's")
def a_secret_with_its_commitment(lines: Lines, rng: random.Random) -> None:
    """Another secret that fits what is said to have been published before."""
    secret = rng.randbytes(32)
    _, reveal = rng.choice([pair for pair in lines_of(lines, "reveal") if pair[1]["pot"] == "hits"])
    reveal["secret"] = secret.hex()
    for _, seal in lines_of(lines, "seal"):
        if (seal["pot"], seal["number"]) == ("hits", reveal["number"]):
            seal["commitment"] = commitment_to(secret, "i", "hits", reveal["number"])


@forgery(
    "it is not the next one|it was not made when it says|others are to share|a win is not told"
)
def a_contribution_that_was_dropped(lines: Lines, rng: random.Random) -> None:
    at, _ = rng.choice(list(lines_of(lines, "contribution"))[:-1])
    del lines[at]


@forgery(".")
def a_contribution_that_was_dropped_from_the_count(lines: Lines, rng: random.Random) -> None:
    """All that comes after it is numbered anew."""
    chosen = [
        at
        for at, line in lines_of(lines, "contribution")
        if line["worth"] > 10**6 and not line["wins"] and is_revealed(lines, at, "hits")
    ]
    at = rng.choice(chosen)
    del lines[at]
    for line in lines[at:]:
        if line["type"] == "contribution":
            line["number"] -= 1
        elif line["type"] == "seal":
            line["first"] -= 1


@forgery("the pots have grown by another sum")
def what_a_pot_holds(lines: Lines, rng: random.Random) -> None:
    _, line = rng.choice([pair for pair in lines_of(lines, "contribution") if pair[1]["worth"]])
    line["values"][rng.choice(list(line["values"]))] += 2 * line["worth"]
