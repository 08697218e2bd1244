"""Who contributed how much and when, and whom a community payout finds (contract §9, the guide's release notes)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from jackpotd.testing.reference_model.numbers import ZERO
from jackpotd.testing.reference_model.places import Places
from jackpotd.testing.reference_model.records import Contributor, Who
from jackpotd.testing.reference_model.template import CommunityRule

Totals = dict[Who, tuple[Fraction, int]]
"""Each player's total, and at which contribution of the instance it was reached."""


@dataclass(frozen=True)
class Seen:
    """A player's last contribution."""

    number: int
    at_ms: int
    contributor: Contributor


@dataclass(frozen=True)
class Pick:
    strategy: int
    who: Who
    draw: int = 0
    among: int = 0


@dataclass(slots=True)
class Standings:
    """All players of an instance: nothing is cut short here, unlike in a system for a million."""

    seen: dict[Who, Seen] = field(default_factory=dict)
    lifetime: Totals = field(default_factory=dict)
    in_cycle: dict[str, Totals] = field(default_factory=dict)

    def add(self, who: Who, number: int, worth: Fraction, pot_ids: list[str]) -> None:
        """A contribution counts for life and for the running cycle of these pots; one of 0 changes no place."""
        if worth == 0:
            return
        for totals in (self.lifetime, *(self.in_cycle.setdefault(each, {}) for each in pot_ids)):
            totals[who] = (totals.get(who, (ZERO, 0))[0] + worth, number)

    def active(self, since_ms: int) -> list[Who]:
        """Who contributed at or after this time, in the order of their last contributions."""
        seen = [(each.number, who) for who, each in self.seen.items() if each.at_ms >= since_ms]
        return [who for _, who in sorted(seen)]

    def leaders(self, totals: Totals) -> list[Who]:
        """The highest total first; of equals who reached it first."""
        return sorted(totals, key=lambda who: (-totals[who][0], totals[who][1]))


def picks(
    community: tuple[CommunityRule, ...],
    standings: Standings,
    pot_id: str,
    winner: Who,
    at_ms: int,
    places: Places | None,
) -> Iterator[Pick]:
    """Each strategy's winners in its turn; nobody twice, and never the winner."""
    taken = {winner}
    for index, rule in enumerate(community):
        if rule.kind == "ActivePlayers":
            among = standings.active(at_ms - rule.within_ms)
            found = _drawn(index, rule.winners, among, taken, places)
        else:
            is_pot = rule.kind == "HighestContributionPerWin"
            totals = standings.in_cycle.get(pot_id, {}) if is_pot else standings.lifetime
            left = [who for who in standings.leaders(totals) if who not in taken]
            found = [Pick(index, who) for who in left[: rule.winners]]
        taken |= {pick.who for pick in found}
        yield from found


def _drawn(
    index: int, winners: int, among: list[Who], taken: set[Who], places: Places | None
) -> list[Pick]:
    """Drawn until there are enough or nobody is left; a draw of somebody taken counts as an attempt."""
    found: dict[Who, Pick] = {}
    attempt = 0
    while len(found) < winners and {*among} - taken - {*found}:
        if places is None:
            raise ValueError("active players of a pot that is not sealed")
        draw = places.below(len(among), f"active {index}", attempt)
        attempt += 1
        who = among[draw]
        if who not in taken and who not in found:
            found[who] = Pick(index, who, draw, len(among))
    return [*found.values()]
