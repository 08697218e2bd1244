"""What forgeries of an export have in common: a register of them, and what they choose from."""

import random
from collections.abc import Callable, Iterator

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
