"""The history of instances as lines of JSON that an outsider can read and check, from the records of the journals.

The format is described in docs/fairness.md, and docs/check_fairness.py checks it; neither knows anything of ours.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import asdict

from jackpotd.core import events as happened
from jackpotd.core import evolve as transitions
from jackpotd.core import money
from jackpotd.core.events import InstanceEvent
from jackpotd.core.rules import WHOLE, PotRules, Rules
from jackpotd.core.state import Contributor, Definition, Instance
from jackpotd.core.winning import is_funded
from jackpotd.engine.cells import definition_of
from jackpotd.wire import records

FORMAT = 1

Line = dict[str, Any]

_UNTOLD = (happened.OptInChanged, happened.ChangeAsked, happened.Inherited, happened.TransferDone)


class HistoryBroken(Exception):
    """The journals do not tell a history from its beginning, or contradict each other."""


def told(history: Iterator[records.Record]) -> Iterator[Line]:
    """The lines of an export.

    Raises:
        HistoryBroken: a record of an instance that nobody has given birth to.
    """
    yield {"type": "export", "format": FORMAT, "units_in_1": WHOLE}
    stories: dict[str, Story] = {}
    for record in history:
        match record:
            case records.Created():
                definition = definition_of(record)
                story = Story(transitions.create(definition, record.status))
                stories[record.instance_id] = story
                yield {"type": "instance", **_who(definition), "rules": _rules(story.state.rules)}
            case records.Entry():
                if record.instance_id not in stories:
                    raise HistoryBroken(f"the birth of {record.instance_id} is in no journal")
                yield from stories[record.instance_id].told(records.to_events(record.events))
            case _:
                pass  # what concerns keys, links, and rows that move


def _who(definition: Definition) -> Line:
    return {
        "instance": definition.instance_id,
        "name": definition.name,
        "template": definition.template_id,
        "created_ms": definition.created_ms,
    }


def _rules(rules: Rules) -> Line:
    return {
        "currency": rules.currency,
        "selector": rules.win_selector,
        "operator_share": rules.operator_share,
        "withhold_above": rules.withhold_above,
        "pots": [_pot(pot) for pot in rules.pots],
    }


def _pot(pot: PotRules) -> Line:
    criteria = None if pot.criteria is None else asdict(pot.criteria)
    return {
        "id": pot.id,
        "hit_rates": [asdict(point) for point in pot.hit_rates],
        "hidden_values": [asdict(point) for point in pot.hidden_values],
        "hidden_times": [asdict(point) for point in pot.hidden_times],
        "value_max": pot.value_max,
        "opens_when_funded": pot.opens_when_funded,
        "supports_trigger": pot.has_trigger,
        "criteria": criteria,
        "community": [asdict(strategy) for strategy in pot.community],
    }


class Story:
    """The life of one instance, told entry by entry."""

    def __init__(self, state: Instance) -> None:
        self.state = state
        self._lines: list[Line] = []
        self._moment: Line = {}
        self._payouts: list[Line] = []

    def told(self, events: Sequence[InstanceEvent]) -> list[Line]:
        """The lines of one entry: what happened, then what the pots hold after it, then secrets."""
        self._lines, self._moment, secrets = [], {}, list[Line]()
        for event in events:
            if isinstance(event, happened.Sealed):
                secrets += self._sealed(event)
            elif not isinstance(event, happened.Contributed):
                self._note(event)
            self.state = transitions.evolve(self.state, event)
            if isinstance(event, happened.Contributed):
                self._moment = self._contribution(event)
                self._lines.append(self._moment)
        is_plain = len(events) == 1 and isinstance(events[0], happened.Contributed)
        if not is_plain and not all(isinstance(event, _UNTOLD) for event in events):
            self._lines.append(self._after(events))
        return self._lines + secrets

    def _note(self, event: InstanceEvent) -> None:
        match event:
            case happened.CommunityPaid():
                self._gathered(event.at_ms)  # what the pot held is what it shares
                self._payouts = [_payout(payout) for payout in event.payouts]
            case happened.PotWon():
                self._gathered(event.at_ms)["wins"].append(self._win(event))
                self._payouts = []
            case happened.TipHeld():
                self._gathered(event.at_ms)["held"].append((self._id(event.pot), event.point))
            case happened.WindowEnded():
                ended = {"pot": self._id(event.pot), "point": event.point, "index": event.index}
                self._lines.append({**self._gathered(event.at_ms), **ended, "type": "window"})
                self._moment = {}
            case happened.Triggered():
                self._moment = {
                    **self._gathered(event.at_ms),
                    "type": "trigger",
                    "pot": self._id(event.pot),
                    "reference": event.reference_id,
                }
                self._lines.append(self._moment)
            case happened.RulesChanged() if event.rules is not None:
                rules = _rules(event.rules)
                self._lines.append({**self._line("rules", event.at_ms), "rules": rules})
            case _:
                pass

    def _id(self, pot: int) -> str:
        return self.state.rules.pots[pot].id

    def _line(self, kind: str, at_ms: int) -> Line:
        return {
            "type": kind,
            "instance": self.state.definition.instance_id,
            "at_ms": at_ms,
        }

    def _gathered(self, at_ms: int) -> Line:
        """The line under way, that wins belong to; one begins where there is none."""
        if not self._moment:
            self._moment = {**self._line("", at_ms), **self._standing()}
        return self._moment

    def _standing(self) -> Line:
        """What decides a win now; `unfunded` are pots that cannot be won before their next seed is covered."""
        state = self.state
        pots = zip(state.rules.pots, state.pots, state.rare.pots, strict=True)
        unfunded = [
            rules.id
            for rules, pot, rare in pots
            if rules.opens_when_funded and not is_funded(rules, pot, rare.boost)
        ]
        return {"values": self._values(), "unfunded": unfunded, "wins": [], "held": []}

    def _values(self) -> dict[str, int]:
        return {self._id(at): pot.value for at, pot in enumerate(self.state.pots)}

    def _contribution(self, event: happened.Contributed) -> Line:
        """Of a contribution that is taken in already: the pots have grown."""
        attendance = event.attendance
        lots = () if attendance is None else attendance.lots
        return {
            **self._line("contribution", event.at_ms),
            "number": self.state.contributions,
            "round": event.round_id,
            **_somebody(event),
            "worth": event.worth,
            "attended": attendance is not None,
            "draws": [(self._id(pot), draw, limit) for pot, draw, limit in event.draws],
            "lots": [(self._id(pot), point, draw) for pot, point, draw in lots],
            **self._standing(),
        }

    def _win(self, event: happened.PotWon) -> Line:
        return {
            "pot": self._id(event.pot),
            "round": event.round_id,
            "tip": event.tip,
            "times": event.times,
            **_somebody(event),
            "win": event.win,
            "paid": event.paid,
            "withheld": event.is_withheld,
            "community": self._payouts,
        }

    def _sealed(self, event: happened.Sealed) -> Iterator[Line]:
        before, pot = self.state.rare.seals[event.pot], {"pot": self._id(event.pot)}
        if before is not None and event.revealed:
            number = {"number": before.number, "secret": event.revealed}
            yield {**self._line("reveal", event.at_ms), **pot, **number}
        if (seal := event.seal) is not None:
            number = {"number": seal.number, "commitment": seal.commitment}
            place = {"first": seal.first, "floor": seal.floor}
            yield {**self._line("seal", seal.at_ms), **pot, **number, **place}

    def _after(self, events: Sequence[InstanceEvent]) -> Line:
        """What the pots hold after an entry that did more than to grow them, and which of them are still open."""
        state = self.state
        return {
            **self._line("state", state.updated_ms),
            "after": [type(event).__name__ for event in events],
            "status": state.status,
            "values": self._values(),
            "open": [self._id(at) for at, pot in enumerate(state.pots) if pot.is_open],
        }


def _somebody(who: Contributor | happened.Contributed | happened.PotWon) -> Line:
    """A player, and how an amount of the jackpot's currency becomes theirs."""
    return {
        "brand": who.brand,
        "player": who.player_id,
        "currency": who.currency,
        "rates": (who.player_rate, who.jackpot_rate),
        "minor_unit": money.minor_step(who.currency),
    }


def _payout(payout: happened.Payout) -> Line:
    return {
        "strategy": payout.strategy,
        **_somebody(payout.winner),
        "win": payout.win,
        "paid": payout.paid,
        "draw": payout.draw,
        "among": payout.among,
    }
