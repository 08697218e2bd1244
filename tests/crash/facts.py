"""The journal's events as facts: what an entry says has happened, by the format that `wire/event_records` documents.

Shares no code with the program. An event that no test asks for is a mistake.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Issued:
    """What a contribution bought in a round of a raffle."""

    round: int
    entrant: int
    counted: int
    awarded: int
    accumulated: int


@dataclass(frozen=True, slots=True)
class Contribution:
    """Money came in."""

    at_ms: int
    round_id: str
    brand: str
    player_id: str
    currency: str
    amount: int
    worth: int
    operator_part: int
    cycles: list[int]
    draws: list[list[int]]
    source_id: str | None
    reference_type: str
    reference_id: str | None
    player_rate: int
    jackpot_rate: int
    attendance: list[Any] | None = None
    issued: Issued | None = None


@dataclass(frozen=True, slots=True)
class Win:
    """A pot was paid and seeded again."""

    at_ms: int
    round_id: str
    brand: str
    player_id: str
    currency: str
    pot: int
    win: int
    paid: int
    player_rate: int
    jackpot_rate: int
    from_reserve: int
    deficit: int
    seed: int
    from_boost: int = 0
    tip: str = "HitRate"
    is_withheld: bool = False
    times: tuple[int, ...] | list[int] = ()


@dataclass(frozen=True, slots=True)
class Seal:
    """The commitment to a pot's next secret."""

    number: int
    nonce: str
    commitment: str
    at_ms: int
    first: int
    floor: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """A pot has a new secret; the one before it, if there was one, is told in hex."""

    at_ms: int
    pot: int
    seal: Seal | None
    revealed: str


@dataclass(frozen=True, slots=True)
class OptIn:
    """A player opted in or out."""

    at_ms: int
    brand: str
    player_id: str
    opted_in: bool
    preferred: int | None
    preferred_currency: str | None


@dataclass(frozen=True, slots=True)
class RoundOpened:
    """A raffle's next round is set."""

    at_ms: int
    number: int
    starts_ms: int
    ends_ms: int


@dataclass(frozen=True, slots=True)
class RoundsMissed:
    """Rounds went by while nobody served."""

    at_ms: int
    count: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Winner:
    """Who is paid, in which currency and at which rates."""

    brand: str
    player_id: str
    currency: str
    player_rate: int
    jackpot_rate: int


@dataclass(frozen=True, slots=True)
class Prize:
    """A prize that was drawn: the ticket at the place `draw` among those left."""

    tier: int
    winner: Winner
    round_id: str
    entrant: int
    draw: int
    among: int
    value: int
    win: int
    paid: int
    is_withheld: bool = False


@dataclass(frozen=True, slots=True)
class RoundResolved:
    """A round is over, and its prizes are drawn."""

    at_ms: int
    number: int
    starts_ms: int
    ends_ms: int
    tickets: int
    entrants: int
    counted: int
    pot: int
    prizes: tuple[Prize, ...]
    shortfall: int
    from_reserve: int
    from_boost: int
    deficit: int


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """An instance is in another state."""

    at_ms: int
    status: str
    reason: str
    by: str


RoundEvent = RoundOpened | RoundsMissed | RoundResolved | StatusChanged


@dataclass(slots=True)
class Facts:
    """What happened to one instance at once."""

    contribution: Contribution | None = None
    opt_in: OptIn | None = None
    wins: list[Win] = field(default_factory=list)
    seals: list[Sealed] = field(default_factory=list)
    rounds: list[RoundEvent] = field(default_factory=list)

    def check_alone(self) -> None:
        """Who did not contribute has not won; opt-ins come alone, and so do first seals and a raffle's rounds."""
        if self.contribution is None:
            assert not self.wins
            assert (self.opt_in is None) == bool(self.seals or self.rounds)
        else:
            assert self.opt_in is None
            assert not self.rounds, "a round ends or begins with nobody's contribution"


def facts_of(events: list[list[Any]]) -> Facts:
    """The events of an entry, each kind in its order."""
    found = Facts()
    for tag, *fields in events:
        match tag:
            case "c":
                found.contribution = _contribution(fields)
            case "o":
                found.opt_in = OptIn(*fields[:6])
            case "w":
                assert not found.seals, "won after the secret was told"
                found.wins.append(Win(*fields[:17]))
            case "k":
                at_ms, pot, seal, revealed, *_ = fields
                made = None if seal is None else Seal(*seal[:6])
                found.seals.append(Sealed(at_ms, pot, made, revealed))
            case _:
                found.rounds.append(_of_round(tag, fields))
    return found


def _contribution(fields: list[Any]) -> Contribution:
    issued = fields[16] if len(fields) > 16 else None
    return Contribution(*(*fields[:16], None if issued is None else Issued(*issued[:5])))


def _of_round(tag: str, fields: list[Any]) -> RoundEvent:
    match tag:
        case "n":
            return RoundOpened(*fields[:4])
        case "m":
            return RoundsMissed(*fields[:3])
        case "j":
            prizes = tuple(_prize(each) for each in fields[8])
            return RoundResolved(*(*fields[:8], prizes, *fields[9:13]))
        case "s":
            return StatusChanged(*fields[:4])
    raise AssertionError(f"nobody asked for an event {tag!r}")


def _prize(fields: list[Any]) -> Prize:
    return Prize(fields[0], Winner(*fields[1][:5]), *fields[2:10])
