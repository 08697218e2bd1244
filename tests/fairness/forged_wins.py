"""Forgeries of wins, of who shares them, and of windows, one thing at a time."""

import random

from .forging import Lines, drawn, forgery, is_revealed, lines_of, name, shares_of, tipped_by, won


def give_to_a_neighbour(lines: Lines, rng: random.Random, tip: str, step: int) -> None:
    """The contribution before or after it gets a win, with its payouts, in that player's name."""
    at, line, win = won(lines, rng, tipped_by(tip))
    others = (
        other
        for place, other in (list(lines_of(lines, "contribution")))[::step]
        if (place - at) * step > 0
    )
    other = next(
        each for each in others if not each["wins"] and name(each) != name(line) and each["worth"]
    )
    line["wins"].remove(win)
    other["wins"].append(
        {**win, **{key: other[key] for key in win if key in other and key != "pot"}}
    )


@forgery("was won without a reason|tipped, and was not won|without its secret|is over")
def a_win_by_draw_given_to_the_next(lines: Lines, rng: random.Random) -> None:
    give_to_a_neighbour(lines, rng, "HitRate", 1)


@forgery("was won without a reason|is not for")
def a_win_by_value_given_to_the_one_before(lines: Lines, rng: random.Random) -> None:
    give_to_a_neighbour(lines, rng, "Value", -1)


@forgery("tipped, and was not won")
def a_win_by_value_given_to_the_next(lines: Lines, rng: random.Random) -> None:
    give_to_a_neighbour(lines, rng, "Value", 1)


@forgery("timed|rolling")
def a_win_by_time_given_to_the_one_before(lines: Lines, rng: random.Random) -> None:
    give_to_a_neighbour(lines, rng, "Time", -1)


@forgery("tipped, and was not won|was not kept")
def a_win_that_was_not_paid(lines: Lines, rng: random.Random) -> None:
    _, line, win = won(lines, rng, lambda _, win: win["pot"] in ("hits", "hidden", "timed"))
    line["wins"].remove(win)


@forgery("a win is not told|tipped, and was not won|was not kept|are missing, or too many")
def a_win_that_was_hidden_by_a_reserve(lines: Lines, rng: random.Random) -> None:
    """As if the pot had not had its next seed yet: what stands behind it still says that it was won."""
    _, line, win = won(lines, rng, lambda line, _win: len(line["wins"]) == 1)
    line["wins"].remove(win)
    line["draws"] = [each for each in line["draws"] if each[0] != win["pot"]]
    line["held"] = []
    line["unfunded"].append(win["pot"])


@forgery("is withheld, or not")
def a_win_that_was_withheld_or_not(lines: Lines, rng: random.Random) -> None:
    _, _, win = won(lines, rng, lambda _line, _win: True)
    win["withheld"] = not win["withheld"]


@forgery("was won by somebody else")
def a_winner(lines: Lines, rng: random.Random) -> None:
    _, _, win = won(lines, rng, lambda line, win: name(line) == name(win))
    win["player"] += "x"


@forgery("the win of .* is another sum")
def a_sum(lines: Lines, rng: random.Random) -> None:
    _, _, win = won(lines, rng, lambda _line, _win: True)
    win[rng.choice(("win", "paid"))] += 1


@forgery("was won without a reason")
def why_a_pot_was_won(lines: Lines, rng: random.Random) -> None:
    _, _, win = won(lines, rng, tipped_by("HitRate"))
    win["tip"] = "Trigger"


def swap_a_share(lines: Lines, rng: random.Random, kind: str) -> None:
    """Somebody else who is known, and has no part of this win, gets the part of a community winner."""
    at, line, win = won(lines, rng, shares_of(kind, lines))
    strategies = next(
        pot["community"] for pot in lines[1]["rules"]["pots"] if pot["id"] == win["pot"]
    )
    share = rng.choice(
        [each for each in win["community"] if strategies[each["strategy"]]["kind"] == kind]
    )
    parties = {name(line), *map(name, win["community"])}
    others = [
        other
        for other in lines[:at]
        if other["type"] == "contribution" and name(other) not in parties
    ]
    share.update({key: rng.choice(others)[key] for key in ("brand", "player")})


@forgery("others are to share the win")
def an_active_player(lines: Lines, rng: random.Random) -> None:
    swap_a_share(lines, rng, "ActivePlayers")


@forgery("others are to share the win")
def a_leader_of_the_cycle(lines: Lines, rng: random.Random) -> None:
    swap_a_share(lines, rng, "HighestContributionPerWin")


@forgery("others are to share the win")
def a_leader_of_all_times(lines: Lines, rng: random.Random) -> None:
    swap_a_share(lines, rng, "HighestLifetimeContributor")


@forgery("others are to share the win")
def two_community_winners_swapped(lines: Lines, rng: random.Random) -> None:
    _, _, win = won(lines, rng, lambda _, win: len(win["community"]) > 1)
    one, other = rng.sample(win["community"], 2)
    one["player"], other["player"] = other["player"], one["player"]


@forgery("others are to share the win")
def the_number_that_picked_somebody(lines: Lines, rng: random.Random) -> None:
    _, _, win = won(lines, rng, lambda _, win: any(each["among"] for each in win["community"]))
    share = next(each for each in win["community"] if each["among"])
    share["draw"] = (share["draw"] + 1) % share["among"]


@forgery("others are to share the win")
def a_share_that_was_not_paid(lines: Lines, rng: random.Random) -> None:
    _, _, win = won(lines, rng, lambda _, win: win["community"])
    win["community"].pop(rng.randrange(len(win["community"])))


@forgery("others are to share the win")
def what_a_community_winner_got(lines: Lines, rng: random.Random) -> None:
    _, _, win = won(lines, rng, lambda _, win: win["community"])
    rng.choice(win["community"])["paid"] += 1


@forgery("a lot for timed is not its secret's")
def a_lot(lines: Lines, rng: random.Random) -> None:
    each = drawn(lines, rng, "lots")
    assert isinstance(each[2], int)
    each[2] += 1


@forgery("a lot for timed is not its secret's")
def a_lot_that_was_left_out(lines: Lines, rng: random.Random) -> None:
    each = drawn(lines, rng, "lots")
    next(line for _, line in lines_of(lines, "contribution") if each in line["lots"])[
        "lots"
    ].clear()


@forgery("timed was won by somebody else")
def who_was_drawn_at_the_end_of_a_window(lines: Lines, rng: random.Random) -> None:
    _, _, win = won(lines, rng, tipped_by("TimeFallback"), "window")
    win["player"] += "x"


@forgery("the draw is another one")
def a_draw_at_the_end_of_a_window_that_was_not_paid(lines: Lines, rng: random.Random) -> None:
    _, line, _ = won(lines, rng, tipped_by("TimeFallback"), "window")
    line["wins"].clear()


@forgery("is over, and nobody has ended it|it is not over")
def a_window_that_goes_on(lines: Lines, rng: random.Random) -> None:
    at, _ = rng.choice(
        [
            (at, line)
            for at, line in lines_of(lines, "window")
            if not line["wins"] and is_revealed(lines, at, line["pot"]) and at < len(lines) // 2
        ]
    )
    del lines[at]


@forgery("has no trigger|another pot is triggered")
def which_pot_was_triggered(lines: Lines, rng: random.Random) -> None:
    _, line, win = won(lines, rng, tipped_by("Trigger"), "trigger")
    line["pot"] = win["pot"] = "hidden"


@forgery("its secret is not revealed|wants no such seal|was won by somebody else, or twice")
def a_secret_that_was_not_revealed(lines: Lines, rng: random.Random) -> None:
    at, _ = rng.choice(list(lines_of(lines, "reveal")))
    del lines[at]


@forgery("was won, and its secret was not revealed|has grown|its secret is not revealed")
def an_export_that_ends_before_the_secret(lines: Lines, rng: random.Random) -> None:
    at, _, _ = won(lines, rng, lambda _, win: win["pot"] == "hits")
    del lines[at + 1 :]


@forgery("it is not the next one")
def the_time_of_a_contribution(lines: Lines, rng: random.Random) -> None:
    _, line = rng.choice(list(lines_of(lines, "contribution"))[1:])
    line["at_ms"] -= 10**9
