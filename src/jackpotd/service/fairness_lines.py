"""The history of instances as lines of JSON that an outsider can read and check, from the records of the journals.

The format is described in docs/fairness.md, and docs/check_fairness.py checks it; neither knows anything of ours.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import asdict

from jackpotd.core import events as happened
from jackpotd.core import evolve as transitions
from jackpotd.core import money
from jackpotd.core.events import InstanceEvent
from jackpotd.core.passing import own_schedule
from jackpotd.core.rules import WHOLE, Percentage, PotRules, RaffleRules, Rules
from jackpotd.core.schedule import Schedule
from jackpotd.core.state import Contributor, Definition, Instance
from jackpotd.core.winning import is_funded
from jackpotd.engine.cells import born
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
                story = Story(born(record))
                stories[record.instance_id] = story
                yield story.birth()
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
        "raffle": None if rules.raffle is None else _raffle(rules.raffle, rules),
    }


def _raffle(raffle: RaffleRules, rules: Rules) -> Line:
    """A raffle's rules; `wager_share` is what of a wager is contributed, where that is a share of it."""
    contribution = rules.contribution
    return {
        "duration_ms": raffle.duration_ms,
        "cost": raffle.cost,
        "metric": raffle.metric,
        "accumulates": raffle.accumulates,
        "one_prize_per_player": raffle.one_prize_per_player,
        "prizes": [asdict(tier) for tier in raffle.prizes],
        "wager_share": contribution.share if isinstance(contribution, Percentage) else None,
    }


def _schedule(schedule: Schedule | None) -> Line | None:
    return None if schedule is None else msgspec.to_builtins(schedule)


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

    def birth(self) -> Line:
        """The line that an instance begins with."""
        state = self.state
        rules, schedule = _rules(state.rules), _schedule(own_schedule(state))
        return {"type": "instance", **_who(state.definition), "rules": rules, "schedule": schedule}

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
                self._note_of_raffle(event)

    def _note_of_raffle(self, event: InstanceEvent) -> None:
        """Schedules, and the rounds of a raffle by them."""
        match event:
            case happened.ScheduleChanged():
                changed = {"brand": event.brand, "schedule": _schedule(event.schedule)}
                self._lines.append({**self._line("schedule", event.at_ms), **changed})
            case happened.RoundOpened():
                bounds = {"starts_ms": event.starts_ms, "ends_ms": event.ends_ms}
                opened = {"is": "opened", "number": event.number, **bounds}
                self._lines.append({**self._line("round", event.at_ms), **opened})
            case happened.RoundsMissed():
                missed = {"is": "missed", "count": event.count, "until_ms": event.until_ms}
                self._lines.append({**self._line("round", event.at_ms), **missed})
            case happened.RoundResolved():
                self._lines.append(self._draw(event))
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
            "bought": None if event.issued is None else asdict(event.issued),
            "attended": attendance is not None,
            "draws": [(self._id(pot), draw, limit) for pot, draw, limit in event.draws],
            "lots": [(self._id(pot), point, draw) for pot, point, draw in lots],
            **self._standing(),
        }

    def _draw(self, event: happened.RoundResolved) -> Line:
        """A round of a raffle; `added` is what its pot was topped up with for the next one."""
        return {
            **self._line("draw", event.at_ms),
            "number": event.number,
            "starts_ms": event.starts_ms,
            "ends_ms": event.ends_ms,
            "tickets": event.tickets,
            "entrants": event.entrants,
            "counted": event.counted,
            "pot": event.pot,
            "prizes": [_prize(prize) for prize in event.prizes],
            "added": event.from_reserve + event.from_boost + event.deficit,
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


def _prize(prize: happened.Prize) -> Line:
    return {
        "tier": prize.tier,
        "entrant": prize.entrant,
        "draw": prize.draw,
        "among": prize.among,
        "value": prize.value,
        "round": prize.round_id,
        **_somebody(prize.winner),
        "win": prize.win,
        "paid": prize.paid,
        "withheld": prize.is_withheld,
    }
