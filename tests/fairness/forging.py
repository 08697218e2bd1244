"""What forgeries of an export have in common: a register of them, and what they choose from."""

import random
from collections.abc import Callable, Iterator

from jackpotd.core.fairness import PotStream
from jackpotd.core.state import Contributor
from jackpotd.core.urn import Urn
from jackpotd.core.winners import payable as core_payable
from jackpotd.service.fairness_lines import Line

Lines = list[Line]
Forgery = Callable[[Lines, random.Random], None]

FORGERIES: dict[str, tuple[Forgery, str]] = {}


def forgery(finding: str) -> Callable[[Forgery], Forgery]:
    """Registers a forgery with what the script says of it."""

    def register(function: Forgery) -> Forgery:
        FORGERIES[function.__name__] = (function, finding)
        return function

    return register


RAFFLE_FORGERIES: dict[str, tuple[Forgery, str, tuple[str, ...]]] = {}
HISTORIES = ("shared", "several")
"""Of the raffles: one prize for a player, by wager; several for a player, by contribution."""


def raffle_forgery(
    finding: str, histories: tuple[str, ...] = HISTORIES
) -> Callable[[Forgery], Forgery]:
    """Registers a forgery of a raffle, with what the script says of it, and of which histories it can be made."""

    def register(function: Forgery) -> Forgery:
        RAFFLE_FORGERIES[function.__name__] = (function, finding, histories)
        return function

    return register


def is_revealed(lines: Lines, at: int, pot: str) -> bool:
    return any(line["type"] == "reveal" and line["pot"] == pot for line in lines[at:])


def lines_of(lines: Lines, kind: str) -> Iterator[tuple[int, Line]]:
    return ((at, line) for at, line in enumerate(lines) if line["type"] == kind)


def drawn(lines: Lines, rng: random.Random, kind: str = "draws") -> list[object]:
    """A draw, or a lot, as it stands in its line."""
    return rng.choice(
        [
            each
            for at, line in lines_of(lines, "contribution")
            for each in line[kind]
            if is_revealed(lines, at, each[0])
        ]
    )


def won(
    lines: Lines,
    rng: random.Random,
    wanted: Callable[[Line, Line], bool],
    kind: str = "contribution",
) -> tuple[int, Line, Line]:
    """A win with its line and where that stands."""
    return rng.choice(
        [
            (at, line, win)
            for at, line in lines_of(lines, kind)
            for win in line["wins"]
            if wanted(line, win)
        ]
    )


def tipped_by(tip: str) -> Callable[[Line, Line], bool]:
    return lambda _line, win: bool(win["tip"] == tip)


def name(line: Line) -> tuple[str, str]:
    return line["brand"], line["player"]


def shares_of(kind: str, lines: Lines) -> Callable[[Line, Line], bool]:
    """Whether somebody shares a win by a strategy of this kind."""
    pots = {pot["id"]: pot for pot in lines[1]["rules"]["pots"]}

    def wanted(_line: Line, win: Line) -> bool:
        strategies = pots[win["pot"]]["community"]
        return any(strategies[each["strategy"]]["kind"] == kind for each in win["community"])

    return wanted


def drawn_round(
    lines: Lines, rng: random.Random, prizes_min: int = 1, winners_min: int = 1
) -> tuple[int, Line]:
    """A round that was drawn, with so many prizes and winners at least, and where it stands."""
    return rng.choice(
        [
            (at, line)
            for at, line in lines_of(lines, "draw")
            if len(line["prizes"]) >= prizes_min
            and len(set(map(name, line["prizes"]))) >= winners_min
        ]
    )


def paid_prize(lines: Lines, rng: random.Random) -> tuple[Line, Line]:
    """A prize of which something was paid, with its draw, in a round of several entrants."""
    return rng.choice(
        [
            (line, prize)
            for _, line in lines_of(lines, "draw")
            for prize in line["prizes"]
            if prize["win"] and line["entrants"] > 1
        ]
    )


def tickets_of(lines: Lines, number: int) -> list[tuple[int, Line]]:
    """The contributions that bought something in a round of a raffle, and where they stand."""
    return [
        (at, line)
        for at, line in lines_of(lines, "contribution")
        if line["bought"] is not None and line["bought"]["round"] == number
    ]


def opening(lines: Lines, number: int) -> tuple[int, Line]:
    """Where a round was set, for the last time."""
    return [pair for pair in lines_of(lines, "round") if pair[1].get("number") == number][-1]


def rules_in(lines: Lines) -> list[Line]:
    """The rules of the birth, and all that they became."""
    return [line["rules"] for line in lines if line["type"] in ("instance", "rules")]


def draw_again(lines: Lines, at: int) -> None:
    """A round drawn by its own secret, from the tickets that its contributions now say: it fits, but for those."""
    line, law = lines[at], lines[1]["rules"]["raffle"]
    sold = [each for _, each in tickets_of(lines, line["number"])]
    last = {each["bought"]["entrant"]: each for each in sold}
    tickets = [0] * len(last)
    for each in sold:
        tickets[each["bought"]["entrant"]] += each["bought"]["awarded"]
    counted = sum(each["bought"]["counted"] for each in sold)
    line.update(tickets=sum(tickets), entrants=len(tickets), counted=counted)
    secret = next(each["secret"] for each in lines[at:] if each["type"] == "reveal")
    stream, urn = PotStream(bytes.fromhex(secret)), Urn(tickets)
    for number, prize in enumerate(line["prizes"]):
        among = urn.left
        draw = stream.uniform(f"raffle {line['number']}", number, among)
        entrant = urn.find(draw)
        urn.take(entrant, urn.weight(entrant) if law["one_prize_per_player"] else 1)
        prize.update({key: last[entrant][key] for key in IDENTITY})
        prize.update(entrant=entrant, draw=draw, among=among)
        prize["win"], prize["paid"] = payable(prize["value"], prize)


IDENTITY = ("brand", "player", "currency", "rates", "minor_unit")


def payable(value: int, who: Line) -> tuple[int, int]:
    """What the core says can be paid of a sum to whoever contributed so."""
    return core_payable(
        value, Contributor(who["brand"], who["player"], who["currency"], *who["rates"])
    )
