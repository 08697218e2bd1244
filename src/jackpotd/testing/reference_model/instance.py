"""One jackpot instance after its template: feed it what happens, compare what it holds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from jackpotd.testing.reference_model import books, operating, raffle, timing
from jackpotd.testing.reference_model.contributing import amount_of, grow
from jackpotd.testing.reference_model.crowd import Seen
from jackpotd.testing.reference_model.numbers import (
    ZERO,
    MissingMultiplierError,
    Number,
    Rates,
    incoming,
    to_scale,
)
from jackpotd.testing.reference_model.paying import Due, Jackpot, can_pay, pay_all
from jackpotd.testing.reference_model.places import Places
from jackpotd.testing.reference_model.pots import Account, Pot, Readings, Seal
from jackpotd.testing.reference_model.records import (
    Ahead,
    Attempt,
    Books,
    Bought,
    Contributor,
    Draw,
    Meters,
    OracleDisagreementError,
    Outcome,
    Play,
    Rejection,
    RoundEnd,
    Settled,
    Shipment,
)
from jackpotd.testing.reference_model.schedules import Calendar
from jackpotd.testing.reference_model.template import read_rules
from jackpotd.testing.reference_model.tipping import (
    Chance,
    Moment,
    draw_lots,
    time_tips,
    tips_of,
)


class ReferenceInstance:
    """One instance.

    `carry` is how many units the remainders that the system carries may keep one account away. Where the real meters
    are given (`meters`: as it grew, then before each further payment), they must be where these books have them, and
    every decision is taken by them.
    """

    def __init__(
        self,
        template: Mapping[str, Any],
        status: str = "Active",
        schedule: Mapping[str, Any] | None = None,
        *,
        carry: int = 1,
    ) -> None:
        rules = read_rules(template)
        self.jackpot = Jackpot(rules, status, carry)
        self.jackpot.pots = {
            pot.id: Pot(pot, pot.share, Account(pot.initial_seed)) for pot in rules.pots
        }
        self.jackpot.ledger.operator.exact = sum((pot.initial_seed for pot in rules.pots), ZERO)
        if schedule is not None:
            self.jackpot.calendars[""] = Calendar(schedule)

    @property
    def pots(self) -> dict[str, Pot]:
        return self.jackpot.pots

    @property
    def status(self) -> str:
        return self.jackpot.status

    # Secrets

    def seal(self, pot_id: str, secret: bytes, *, first: int, at_ms: int, floor_units: int) -> None:
        """From now on this secret decides the pot's draws. What is published of it must be true."""
        pot = self.pots[pot_id]
        if first != self.jackpot.contributions or not pot.value.admits(floor_units):
            raise OracleDisagreementError(f"seal of {pot_id}: first {first}, floor {floor_units}")
        if pot.needs_seal is False or not pot.is_open or self.status in operating.OVER:
            raise OracleDisagreementError(f"{pot_id} is sealed anew, and why?")
        pot.seal, pot.needs_seal = Seal(Places(secret), first, at_ms, floor_units), False

    # One contribution

    def contribute(
        self,
        play: Play,
        *,
        draws: Sequence[Draw] = (),
        attempts: Sequence[Attempt] | None = None,
        meters: Sequence[Meters] | None = None,
    ) -> Outcome | Rejection:
        """Apply one contribution; a rejection changes nothing.

        A draw is given for each HitRate of a pot that is not sealed, unless its chance is 0 or 1, or another point of
        the pot tips anyhow. `attempts` are those that the system reports, with its thresholds.
        """
        jackpot, rates = self.jackpot, Rates(play.multipliers)
        timing.require_settled(jackpot, play.at_ms)
        if jackpot.status != "Active":
            return Rejection("CONTRIBUTION_REJECTED", "JackpotNotActive")
        if self.is_closed(play.who[0], play.at_ms):
            return Rejection("CONTRIBUTION_REJECTED", "OutsideSchedule")
        try:
            amount = amount_of(jackpot.rules, play, rates)
            if isinstance(amount, Rejection):
                return amount
            currency = jackpot.rules.currency
            worth = to_scale(rates.convert(amount, play.currency, currency))
            wager = to_scale(rates.convert(incoming(play.base_wager), play.currency, currency))
        except MissingMultiplierError as missing:
            return Rejection("CURRENCY_MULTIPLIERS_NOT_FOUND", str(missing))
        if jackpot.rules.raffle is not None and not raffle.is_running(jackpot, play.at_ms):
            return Rejection("CONTRIBUTION_REJECTED", "OutsideSchedule")
        moment = Moment(
            jackpot.contributions,
            play.at_ms,
            worth,
            Contributor(play.who, play.currency, rates),
            wager,
            play.segments,
            is_free=jackpot.rules.operator_share == 1,
        )
        outcome = Outcome(
            amount, worth, amount * (1 - jackpot.rules.operator_share), self._thresholds(worth), {}
        )
        chance = Chance(_unique(draws), attempts)
        return self._apply(moment, outcome, chance, Readings(meters), play.round_id)

    def _apply(
        self, moment: Moment, outcome: Outcome, chance: Chance, readings: Readings, round_id: str
    ) -> Outcome:
        """Grow, tip, choose, pay; the contributor is one of the crowd from the next contribution on."""
        jackpot = self.jackpot
        open_pots = jackpot.open_pots
        jackpot.contributions += 1
        who, number = moment.contributor.who, moment.number
        jackpot.standings.add(who, number, moment.worth, [pot.rules.id for pot in open_pots])
        came = {pot.rules.id: time_tips(pot, moment) for pot in open_pots}
        lots = [lot for pot in open_pots for lot in draw_lots(pot, moment)]
        grow(jackpot, moment.worth)
        bought = self._buy(moment)
        pots = {name: pot.value.exact for name, pot in self.pots.items()}
        dues = self._dues(moment, came, chance, readings)
        chance.close(outcome.thresholds)
        for name, places in came.items():
            for place in places:
                self.pots[name].windows[place].is_done = True
            self.pots[name].is_due |= bool(places)
        chosen = self._chosen(dues)
        wins = pay_all(jackpot, chosen, readings, moment.at_ms, round_id)
        if moment.worth > 0 or moment.is_free:  # nothing for nothing: not a community's part either
            jackpot.standings.seen[who] = Seen(number, moment.at_ms, moment.contributor)
        paid = {win.pot_id for win in wins}
        highest = max(chosen, key=lambda due: due.value, default=None)
        return replace(
            outcome,
            pots=pots,
            wins=wins,
            win_amount=sum((win.amount for win in wins), ZERO),
            win_pot_id=None if highest is None else highest.pot.rules.id,
            held=tuple(
                (n, place) for n, places in came.items() for place in places if n not in paid
            ),
            lots=tuple(lots),
            changes=operating.changes_due(jackpot, wins),
            bought=bought,
        )

    def _buy(self, moment: Moment) -> Bought | None:
        rules = self.jackpot.rules.raffle
        if rules is None:
            return None
        counted = moment.wager if rules.by_wager else moment.worth
        return raffle.buy(self.jackpot.raffle, rules, moment.contributor, counted)

    def _thresholds(self, worth: Fraction) -> dict[tuple[str, int], int]:
        return {
            (pot.rules.id, place): hit.threshold(worth)
            for pot in self.jackpot.open_pots
            for place, hit in enumerate(pot.rules.hit_rates)
        }

    def _dues(
        self, moment: Moment, came: Mapping[str, list[int]], chance: Chance, readings: Readings
    ) -> list[Due]:
        """The pots that tip for this contributor and can pay them, in pot order."""
        found = []
        for pot in self.jackpot.open_pots:
            value, reserve = readings.before_win(0, pot)
            tips = tips_of(pot, moment, value, reserve, came[pot.rules.id], chance)
            due = Due(pot, value, moment.contributor, tips)
            if tips and can_pay(due, self.jackpot):
                found.append(due)
        return found

    def _chosen(self, dues: list[Due]) -> list[Due]:
        """By the strategy; `max` and `min` keep the first of equals, which is the earlier pot."""
        strategy = self.jackpot.rules.strategy
        if strategy == "All" or not dues:
            return dues
        pick = min if strategy == "Lowest" else max
        return [pick(dues, key=lambda due: due.value)]

    # What else happens

    def pass_time(
        self, at_ms: int, round_ids: Mapping[str, str], meters: Sequence[Meters] | None = None
    ) -> Settled:
        """Time has passed; to be asked before anything else that comes after the end of a window, or of a schedule."""
        return timing.pass_time(self.jackpot, at_ms, round_ids, Readings(meters))

    def is_closed(self, brand: str, at_ms: int) -> bool:
        """Whether a schedule keeps this brand's contributions out."""
        return timing.is_closed(self.jackpot, brand, at_ms)

    def is_round_over(self, at_ms: int) -> bool:
        """Whether a round has to be resolved before anything else happens."""
        return raffle.is_due(self.jackpot, at_ms)

    def resolve(
        self, at_ms: int, round_ids: Sequence[str], meters: Sequence[Meters] | None = None
    ) -> RoundEnd:
        """The round that is over is drawn; `round_ids` are the names of its prizes."""
        return raffle.resolve(self.jackpot, at_ms, round_ids, Readings(meters))

    def go_on(self, at_ms: int) -> Ahead:
        """The next round of a raffle, where it has none; to be asked after everything that may leave it without."""
        return raffle.go_on(self.jackpot, at_ms)

    def set_schedule(
        self, brand: str, document: Mapping[str, Any] | None, at_ms: int
    ) -> Rejection | None:
        """A brand's schedule, or ("") the instance's own; None takes it away."""
        return timing.set_schedule(self.jackpot, brand, document, at_ms)

    def trigger(
        self,
        pot_id: str,
        winner: Contributor,
        *,
        at_ms: int,
        round_id: str,
        meters: Sequence[Meters] | None = None,
    ) -> Settled | Rejection:
        """Somebody outside says who has won."""
        return operating.trigger(self.jackpot, pot_id, winner, at_ms, round_id, Readings(meters))

    def decide_held(self, round_id: str, pot_id: str, *, release: bool) -> Rejection | None:
        return operating.decide_held(self.jackpot, round_id, pot_id, release=release)

    def boost(self, pot_id: str, amount: Number) -> Rejection | None:
        return operating.boost(self.jackpot, pot_id, amount)

    def adjust(self, pot_id: str, amount: Number, value_units: int) -> Rejection | None:
        """`value_units` is what the real pot holds."""
        return operating.adjust(self.jackpot, pot_id, amount, value_units)

    def ask_change(self, change_id: str, pot_id: str | None) -> None:
        """Parameters wait for the next win of this pot, or of any; see `Outcome.changes`."""
        self.jackpot.pending.append((change_id, pot_id))

    def change_rules(self, template: Mapping[str, Any]) -> None:
        """The whole template as it stands once due changes took effect."""
        operating.change_rules(self.jackpot, template)

    def change_status(self, status: str) -> None:
        """Started, paused, resumed or terminated."""
        if status == "Terminated":
            operating.terminate(self.jackpot)
        else:
            self.jackpot.status = status

    def send(
        self, weights: Sequence[tuple[str, Fraction]], sent: Sequence[Shipment | None]
    ) -> None:
        """All money of the pots leaves for other instances; `sent` is what the system says of each part."""
        operating.send(self.jackpot, weights, sent)

    def take(self, pot_id: str, shipment: Shipment) -> None:
        """Money of another instance arrives."""
        operating.take(self.jackpot, pot_id, shipment)

    # Comparing with the real system

    def imbalance(self) -> Fraction:
        """The oracle's own books: what it holds less what came in and stayed. Always 0."""
        return self.jackpot.ledger.imbalance(self.pots.values())

    def differences(self, real: Books) -> list[str]:
        """What is wrong with the real ledger; empty if they agree (see `books`)."""
        return books.differences(self.jackpot.ledger, [*self.pots.values()], real)


def _unique(draws: Sequence[Draw]) -> dict[tuple[str, int], int]:
    given = {(draw.pot_id, draw.hit_rate): draw.draw for draw in draws}
    if len(given) != len(draws):
        raise ValueError(f"two draws for one tipping point: {draws}")
    return given
