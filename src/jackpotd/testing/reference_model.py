"""The reference model: jackpot money worked out again, slowly, in exact rationals.

It is an oracle for the real core and shares no line with it. Every sum is a `Fraction`; it rounds
only where the contract rounds. The source of each rule (§ = contract, LF = later-facts.md,
[P] = decided by the project where both are silent, [O] = this oracle's reading, to be confirmed):

- what comes in, a contribution, its worth c, what leaves a pot: half-even to 1e-8. §3, [P]
- c = amount * multiplier[jackpot] / multiplier[player]; none within one currency. §9 HitRate, [P]
- Fixed, Percentage, Variable, currency_values, defaults, preferences. §9, §4, [P]
- house and pots split the whole of c, whoever pays it; seed shares of a pot's part. LF §1.4, §9
- pots grow, then the tipping points are tested: 1 - (1 - 1/N)^(c/k) against 64 bits. §3, §9 HitRate
- Highest, Lowest, All; a win is floored to the player's minor unit. §3, §9 Several tips; ties: [P]
- the amounts of an All are fixed before any of its pots is paid, reseeded or closed. [O]
- a pot that cannot pay one minor unit of the player's currency cannot be won. [P]
- reserve, then operator; Full, WholeReserve; the fund strategies; not progressive. §9 Win
- the last cycle of a limited pot, its closing, Ended. §9 Limited tiers; what is left goes into an
  heir's pot, or into its reserve where the heir is not progressive. [O]

The real system keeps whole units of 1e-8 and carries remainders, so every account here knows its
`slack`: how many units the real one may lie away. It is 0 until a share first does not divide
exactly, then `carry`; it grows only where an account's whole content, rounding included, moves into
another. Who may contribute, and how a number may be written, is not money and not here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from math import floor
from typing import Any, Final, Literal, NamedTuple

Number = int | str | Decimal | Fraction
Strategy = Literal["Highest", "Lowest", "All"]

SCALE: Final = 10**8
DRAWS: Final = 2**64
# A draw or a threshold this near is for the last digits of an exponential to decide.
NEAR: Final = 2
ZERO: Final = Fraction(0)

# ISO 4217, list one: every currency that does not have two decimals.
NO_DECIMALS: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
THREE_DECIMALS: Final = "BHD IQD JOD KWD LYD OMR TND"
FOUR_DECIMALS: Final = "CLF UYW"


class OutsideTheModelError(ValueError):
    """The template or the case needs a rule that this version of the oracle does not have."""


class OracleDisagreementError(AssertionError):
    """What the system reports cannot follow from the rules; the oracle is of no use after this."""


# --- numbers --------------------------------------------------------------------------------------


def to_scale(amount: Fraction) -> Fraction:
    """Half-even to 1e-8 (`round` of a fraction is half-even)."""
    return Fraction(round(amount * SCALE), SCALE)


def _is_whole(amount: Fraction) -> bool:
    """Whole units of 1e-8, so that splitting it off left no remainder."""
    return (amount * SCALE).denominator == 1


def incoming(number: Number) -> Fraction:
    """A number of a template or a request. Floats are refused: parse with `parse_float=Decimal`."""
    if isinstance(number, bool | float):
        raise TypeError(f"not an exact number: {number!r}")
    return to_scale(Fraction(Decimal(number) if isinstance(number, str) else number))


def minor_units_per_one(currency: str) -> int:
    if currency in NO_DECIMALS.split():
        return 1
    if currency in THREE_DECIMALS.split():
        return 1_000
    return 10_000 if currency in FOUR_DECIMALS.split() else 100


class _MissingMultiplierError(Exception):
    """No multiplier for the currency in the message."""


class _Rates:
    """Multipliers: units of each currency for one unit of the brand's base currency."""

    def __init__(self, multipliers: Mapping[str, Number]) -> None:
        self._multipliers = {name: incoming(number) for name, number in multipliers.items()}

    def convert(self, amount: Fraction, source: str, target: str) -> Fraction:
        """Exact; the caller rounds where the contract does."""
        if source == target:
            return amount
        for currency in (source, target):
            if currency not in self._multipliers:
                raise _MissingMultiplierError(currency)
        return amount * self._multipliers[target] / self._multipliers[source]


def hit_threshold(magic_number: Fraction, cost_per_attempt: Fraction, worth: Fraction) -> int:
    """floor(p * 2^64), p = 1 - (1 - 1/N)^(c/k): how many of the 2^64 possible draws tip the pot.

    k = 0 is exactly one attempt; a contribution of 0 at k > 0 is none, even where N = 1.
    """
    if cost_per_attempt == 0:
        return floor(DRAWS / magic_number)
    if worth == 0:
        return 0
    if magic_number == 1:
        return DRAWS
    attempts = worth / cost_per_attempt
    if attempts.denominator == 1 and attempts <= 64:  # only here can p * 2^64 be a whole number
        return floor((1 - (1 - 1 / magic_number) ** attempts.numerator) * DRAWS)
    miss = 1 - 1 / magic_number
    with localcontext(Context(prec=120)):
        log_miss = (Decimal(miss.numerator) / miss.denominator).ln()
        survival = (log_miss * attempts.numerator / attempts.denominator).exp()
        return min(floor((1 - survival) * DRAWS), DRAWS - 1)  # p < 1, whatever the digits say


# --- the template (§9) ----------------------------------------------------------------------------


class _HitRate(NamedTuple):
    magic_number: Fraction
    cost_per_attempt: Fraction

    def threshold(self, worth: Fraction) -> int:
        return hit_threshold(self.magic_number, self.cost_per_attempt, worth)

    def is_decided_without_draw(self, worth: Fraction) -> bool:
        """No attempt, or certainty."""
        return (worth == 0 and self.cost_per_attempt > 0) or self.threshold(worth) == DRAWS


@dataclass(frozen=True)
class _Values:
    """`min`, `max` and `default` of a contribution in one currency; None = not listed."""

    low: Fraction | None = None
    high: Fraction | None = None
    default: Fraction | None = None

    @staticmethod
    def read(listed: Mapping[str, Any]) -> "_Values":
        return _Values(*(_optional(listed.get(name)) for name in ("min", "max", "default")))

    def allow(self, amount: Fraction) -> bool:
        above = self.low is None or amount >= self.low
        return above and (self.high is None or amount <= self.high)

    def completed(self, terms: "_Values", convert: Callable[[Fraction], Fraction]) -> "_Values":
        """What this currency does not list follows the template's own terms, converted."""

        def either(listed: Fraction | None, term: Fraction | None) -> Fraction | None:
            return listed if listed is not None or term is None else convert(term)

        pairs = zip(astuple(self), astuple(terms), strict=True)
        return _Values(*(either(listed, term) for listed, term in pairs))


@dataclass(frozen=True)
class _PotRules:
    id: str
    share: Fraction
    seed_share: Fraction
    initial_seed: Fraction
    min_reseed: Fraction
    collects_always: bool
    reseeds_whole_reserve: bool
    is_progressive: bool
    cycles_max: int | None
    tipping_points: tuple[_HitRate, ...]


@dataclass(frozen=True)
class _Rules:
    currency: str
    percentage: Fraction | None  # of the base wager; None for Fixed and Variable
    terms: _Values  # Fixed: the default alone
    is_variable: bool
    currency_values: Mapping[str, _Values]
    operator_share: Fraction
    house_share: Fraction
    strategy: Strategy
    pots: tuple[_PotRules, ...]


def _optional(number: Number | None) -> Fraction | None:
    return None if number is None else incoming(number)


def _percentage(tagged: Mapping[str, Any]) -> Fraction:
    if set(tagged) != {"Percentage"}:
        raise OutsideTheModelError(f"a share that is no Percentage: {dict(tagged)}")
    return incoming(tagged["Percentage"])


def _one_of(value: str, first: str, second: str) -> bool:
    """True for the first, False for the second."""
    if value not in (first, second):
        raise OutsideTheModelError(f"neither {first} nor {second}: {value}")
    return value == first


def _read_pot(pot: Mapping[str, Any]) -> _PotRules:
    seed = pot["seed_strategy"]
    needed = [name for name in ("max_pot_value", "community_payout") if pot.get(name) is not None]
    needed += [name for name, value in (pot.get("criteria") or {}).items() if value is not None]
    needed += [tag for tagged in pot["pot_types"] for tag in tagged if tag != "HitRate"]
    if seed.get("open_when_funded") or needed:
        raise OutsideTheModelError(f"pot {pot['id']}: {needed or 'open_when_funded'}")
    return _PotRules(
        id=pot["id"],
        share=_percentage(pot["contribution"]),
        seed_share=_percentage(pot["seed_contribution"]),
        initial_seed=incoming(seed["initial_seed_value"]),
        min_reseed=incoming(seed["min_reseed_value"]),
        collects_always=_one_of(seed["fund_strategy"], "CollectAlways", "CollectToMinReseed"),
        reseeds_whole_reserve=_one_of(seed["reseed_strategy"], "WholeReserve", "Full"),
        is_progressive=pot["is_progressive"],
        cycles_max=pot.get("max_instantiation_count"),
        tipping_points=tuple(
            _HitRate(incoming(hit["max_magic_number"]), incoming(hit["cost_per_attempt"]))
            for hit in (tagged["HitRate"] for tagged in pot["pot_types"])
        ),
    )


def _read_rules(template: Mapping[str, Any]) -> _Rules:
    needed = [name for name in ("raffle", "withhold_wins_above") if template.get(name) is not None]
    if template.get("jackpot_type", "Jackpot") != "Jackpot" or needed:
        raise OutsideTheModelError(f"not a plain Jackpot: {needed}")
    rules = template["contribution_rules"]
    ((kind, terms),) = rules["contribution_type"].items()
    if kind not in ("Fixed", "Percentage", "Variable"):
        raise OutsideTheModelError(f"contribution type {kind}")
    listed = rules.get("currency_values") or {}
    pots = tuple(_read_pot(pot) for pot in template["pots"])
    house_share = _percentage(template["house_hold_contribution"])
    if house_share + sum(pot.share for pot in pots) != 1:
        raise ValueError("house and pots must share exactly 1")
    return _Rules(
        currency=template["currency"],
        percentage=incoming(terms) if kind == "Percentage" else None,
        terms=_Values.read(terms if kind == "Variable" else {"default": terms}),
        is_variable=kind == "Variable",
        currency_values={currency: _Values.read(values) for currency, values in listed.items()},
        operator_share=incoming(rules.get("operator_contribution_percentage", 0)),
        house_share=house_share,
        strategy=template["win_selector_strategy"],
        pots=pots,
    )


# --- what goes in and what comes out --------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """64 random bits for one tipping point, and the threshold that the system used, if known."""

    pot_id: str
    tipping_point: int
    draw: int
    threshold: int | None = None


@dataclass(frozen=True)
class Preference:
    """What the player chose at the opt-in of a Variable jackpot."""

    value: Number
    currency: str


@dataclass(frozen=True)
class PaidWin:
    """One paid pot as the system reports it, in the player's currency."""

    pot_id: str
    amount: Number


@dataclass(frozen=True)
class Rejection:
    code: str
    message: str


@dataclass(frozen=True)
class Doubt:
    """A point on which a faithful system may differ from the oracle by rounding alone.

    `tip`: the draw is within 2 of the threshold. `payable`: the pot holds one minor unit, or just
    not. `amount`: the payout is one minor unit up or down. `choice`: two pots are too near to rank.
    """

    what: Literal["tip", "payable", "amount", "choice"]
    pot_id: str


@dataclass(frozen=True)
class Win:
    pot_id: str
    amount: Fraction  # the player's currency
    left_pot: Fraction  # the jackpot's currency, like all that follows
    seed: Fraction  # the new starting value; 0 where the pot closed
    seed_deficit: Fraction
    pot_closed: bool


@dataclass(frozen=True)
class Outcome:
    """One accepted contribution; amounts are exact."""

    amount: Fraction  # the player's currency
    worth: Fraction  # c, in the jackpot's currency
    debit: Fraction  # the player's part of `amount`; the rest is the operator's
    thresholds: Mapping[tuple[str, int], int]
    pots: Mapping[str, Fraction]  # grown by this contribution, not yet paid
    wins: tuple[Win, ...] = ()
    win_amount: Fraction = ZERO
    win_pot_id: str | None = None
    doubts: tuple[Doubt, ...] = ()


@dataclass(frozen=True)
class RealBooks:
    """The real accounts in whole units of 1e-8, the jackpot's currency; flows since the start."""

    house: int
    pots: Mapping[str, int]
    reserves: Mapping[str, int]
    residual: int
    received: int  # the whole worth of all contributions, the operator's part included
    paid: int  # what left the pots
    deficits: int
    initial_seeds: int


# --- state ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Account:
    """An exact sum, and how many units of 1e-8 the real account may lie away from it."""

    exact: Fraction = ZERO
    slack: Fraction = ZERO

    @property
    def least(self) -> Fraction:
        return self.exact - self.slack / SCALE

    @property
    def most(self) -> Fraction:
        return self.exact + self.slack / SCALE

    def admits(self, units: int) -> bool:
        return self.least <= Fraction(units, SCALE) <= self.most


@dataclass(slots=True)
class Pot:
    """One pot as it stands."""

    rules: _PotRules
    share: Fraction  # of each contribution, with what closed pots left to it
    value: Account
    reserve: Account = field(default_factory=Account)
    instance_count: int = 1
    is_open: bool = True
    seed_money_spilled: bool = False  # in this cycle, seed money went into the pot

    @property
    def in_last_cycle(self) -> bool:
        return self.instance_count == self.rules.cycles_max

    def split(self, worth: Fraction) -> tuple[Fraction, Fraction]:
        """The pot's part of a contribution: what grows the pot, what is seed money."""
        part = self.share * worth
        seed_money = part * self.rules.seed_share if self.rules.is_progressive else part
        return part - seed_money, seed_money

    def receive(self, worth: Fraction) -> None:
        """Grow; seed money that the reserve does not keep goes into the pot."""
        growth, seed_money = self.split(worth)
        kept = self._kept_in_reserve(seed_money, self.reserve.exact)
        kept_at_least = self._kept_in_reserve(seed_money, self.reserve.most)
        self.value.exact += growth + seed_money - kept
        self.reserve.exact += kept
        if kept_at_least < seed_money and not self.seed_money_spilled:
            self.seed_money_spilled = True
            self.value.slack += self.reserve.slack  # the reserve's rounding shows in the pot

    def _kept_in_reserve(self, seed_money: Fraction, reserve: Fraction) -> Fraction:
        if not self.rules.is_progressive:
            return seed_money
        if self.in_last_cycle:
            return ZERO
        if self.rules.collects_always:
            return seed_money
        return min(seed_money, max(self.rules.min_reseed - reserve, ZERO))


Tip = Literal["no", "yes", "yes?", "no?"]  # ? = the draw lies too near to the threshold to say


def _tip(draw: Draw | None, threshold: int, is_decided: bool) -> Tip | None:
    """What one tipping point's draw says; None where a needed draw is missing."""
    if draw is None:
        return "no" if threshold == 0 else "yes" if threshold == DRAWS else None
    if not 0 <= draw.draw < DRAWS:
        raise ValueError(f"not 64 bits: {draw}")
    near = 0 if is_decided else NEAR
    if draw.threshold is None:
        tips = draw.draw < threshold
        is_doubtful = not is_decided and abs(draw.draw - threshold) <= NEAR
        return ("yes?" if tips else "no?") if is_doubtful else ("yes" if tips else "no")
    if abs(draw.threshold - threshold) > near:
        raise OracleDisagreementError(f"{draw}: the threshold should be {threshold}")
    return "yes" if draw.draw < draw.threshold else "no"


def _any_tip(pot_id: str, tips: Sequence[Tip | None]) -> Tip:
    """Any of its tipping points tips the pot."""
    if "yes" not in tips and None in tips:
        raise ValueError(f"pot {pot_id}: a draw is missing")
    return next((tip for tip in ("yes", "yes?", "no?") if tip in tips), "no")


@dataclass(frozen=True)
class _Candidate:
    """A pot that tipped, or may have.

    `low`, `own`, `high`: what it pays, in minor units of the player's currency, if the real pot is
    as far below the exact one as it may, exactly there, or as far above.
    """

    pot: Pot
    place: int
    tip: Tip
    per_one: int
    low: int
    own: int
    high: int

    @property
    def is_won(self) -> bool:
        return self.tip in ("yes", "yes?") and self.own > 0

    @property
    def is_won_for_sure(self) -> bool:
        return self.tip == "yes" and self.low > 0

    def can_have_paid(self, amount: Fraction) -> bool:
        minor_units = amount * self.per_one
        return minor_units.denominator == 1 and max(self.low, 1) <= minor_units <= self.high

    def beats(self, other: "_Candidate", strategy: Strategy) -> bool:
        """Ahead of the other whatever the rounding; of equal pots the earlier."""
        if strategy == "Lowest":
            margin = other.pot.value.least - self.pot.value.most
        else:
            margin = self.pot.value.least - other.pot.value.most
        return margin > 0 or (margin == 0 and self.place < other.place)


def _best(candidates: Sequence[_Candidate], strategy: Strategy) -> _Candidate:
    """By the exact values; `max` and `min` keep the first of equals, which is the earlier pot."""
    pick = min if strategy == "Lowest" else max
    return pick(candidates, key=lambda candidate: candidate.pot.value.exact)


def _doubts(
    candidates: Sequence[_Candidate], winners: Sequence[_Candidate], strategy: Strategy
) -> Iterable[Doubt]:
    for candidate in candidates:
        if candidate.tip != "yes" and candidate.high > 0:
            yield Doubt("tip", candidate.pot.rules.id)
        elif candidate.low == 0 < candidate.high:
            yield Doubt("payable", candidate.pot.rules.id)
        elif candidate in winners and candidate.low != candidate.high:
            yield Doubt("amount", candidate.pot.rules.id)
    rivals = [candidate for candidate in candidates if candidate.is_won]
    if rivals:
        best = _best(rivals, strategy)
        for rival in rivals:
            if rival is not best and not best.beats(rival, strategy):
                yield Doubt("choice", rival.pot.rules.id)


class ReferenceInstance:
    """One jackpot instance after its template: feed it contributions, compare what it holds.

    `carry` is how many units the remainders that the system carries may keep one account away.
    """

    def __init__(
        self, template: Mapping[str, Any], status: str = "Active", *, carry: int = 1
    ) -> None:
        self._rules = _read_rules(template)
        self._carry = carry
        self._divides_exactly = True
        self.status = status
        self.house, self.paid, self.deficits = Account(), Account(), Account()
        self.received = ZERO
        self.initial_seeds = sum((pot.initial_seed for pot in self._rules.pots), ZERO)
        self.pots = {
            rules.id: Pot(rules, rules.share, Account(rules.initial_seed))
            for rules in self._rules.pots
        }

    # One contribution

    def contribute(
        self,
        *,
        base_wager: Number,
        currency: str,
        multipliers: Mapping[str, Number],
        preference: Preference | None = None,
        draws: Sequence[Draw] = (),
        observed: Sequence[PaidWin] | None = None,
    ) -> Outcome | Rejection:
        """Apply one contribution; a rejection changes nothing.

        A draw is needed for each open pot's tipping point unless its chance is 0 or 1, or another
        point of the pot tips anyhow. Without `observed` the oracle decides everything itself; with
        it (empty = the system says that nobody won) it checks that this can be, to the minor unit,
        and follows it.
        """
        rates = _Rates(multipliers)
        try:
            amount = self._amount(incoming(base_wager), currency, preference, rates)
            if isinstance(amount, Rejection):
                return amount
            worth = to_scale(rates.convert(amount, currency, self._rules.currency))
        except _MissingMultiplierError as missing:
            return Rejection("CURRENCY_MULTIPLIERS_NOT_FOUND", str(missing))
        thresholds = self._thresholds(worth)
        tips = self._tips(worth, thresholds, draws)
        self._grow(worth)
        outcome = Outcome(
            amount=amount,
            worth=worth,
            debit=amount * (1 - self._rules.operator_share),
            thresholds=thresholds,
            pots={pot_id: pot.value.exact for pot_id, pot in self.pots.items()},
        )
        candidates = self._candidates(tips, currency, rates)
        return self._pay(outcome, candidates, currency, rates, observed)

    def _pay(
        self,
        outcome: Outcome,
        candidates: Sequence[_Candidate],
        currency: str,
        rates: _Rates,
        observed: Sequence[PaidWin] | None,
    ) -> Outcome:
        """Choose the winners, or follow the system's; pay them; reseed or close their pots."""
        winners = self._winners(candidates)
        doubts = tuple(_doubts(candidates, winners, self._rules.strategy))
        payouts = {winner.pot.rules.id: Fraction(winner.own, winner.per_one) for winner in winners}
        if observed is not None:
            self._check_observed(observed, candidates)
            payouts = {win.pot_id: incoming(win.amount) for win in observed}
        wins = []
        for pot_id, amount in payouts.items():
            worth = to_scale(rates.convert(amount, currency, self._rules.currency))
            wins.append(self._settle(self.pots[pot_id], amount, worth))
        return replace(
            outcome,
            wins=tuple(wins),
            win_amount=sum(payouts.values(), ZERO),
            win_pot_id=max(payouts, key=lambda pot_id: outcome.pots[pot_id], default=None),
            doubts=doubts,
        )

    def _amount(
        self, wager: Fraction, currency: str, preference: Preference | None, rates: _Rates
    ) -> Fraction | Rejection:
        """The whole contribution in the player's currency, or why there is none."""
        rules = self._rules
        if self.status != "Active":
            return Rejection("CONTRIBUTION_REJECTED", "JackpotNotActive")
        if wager < 0:
            return Rejection("CONTRIBUTION_REJECTED", "NegativeWager")
        if wager == 0 and rules.operator_share != 1:
            return ZERO  # nothing is debited (§3)
        listed = rules.currency_values.get(currency, _Values())
        if rules.percentage is not None:
            amount = to_scale(wager * rules.percentage)
            if amount != 0 and not listed.allow(amount):
                return Rejection("CONTRIBUTION_REJECTED", "ContributionOutOfRange")
            return amount
        terms = listed.completed(
            rules.terms, lambda value: to_scale(rates.convert(value, rules.currency, currency))
        )
        assert terms.default is not None, "Fixed and Variable always have a default"  # noqa: S101
        if rules.is_variable and preference is not None:
            chosen = incoming(preference.value)
            wish = to_scale(rates.convert(chosen, preference.currency, currency))
            return wish if terms.allow(wish) else terms.default
        return terms.default

    def _grow(self, worth: Fraction) -> None:
        """House and pots share the whole of c; the operator's part of it is no less an inflow."""
        open_pots = [pot for pot in self.pots.values() if pot.is_open]
        house_part = self._rules.house_share * worth
        parts = [house_part, *(part for pot in open_pots for part in pot.split(worth))]
        if not all(_is_whole(part) for part in parts):
            self._begin_remainders()
        self.received += worth
        self.house.exact += house_part
        for pot in open_pots:
            pot.receive(worth)

    def _begin_remainders(self) -> None:
        """From the first share that is not whole units, the real accounts may lie beside ours."""
        if not self._divides_exactly:
            return
        self._divides_exactly = False
        self.house.slack += self._carry
        for pot in self.pots.values():
            pot.value.slack += self._carry
            pot.reserve.slack += self._carry
            pot.seed_money_spilled = False

    # Tipping points

    def _thresholds(self, worth: Fraction) -> dict[tuple[str, int], int]:
        return {
            (pot.rules.id, place): hit.threshold(worth)
            for pot in self.pots.values()
            if pot.is_open
            for place, hit in enumerate(pot.rules.tipping_points)
        }

    def _tips(
        self,
        worth: Fraction,
        thresholds: Mapping[tuple[str, int], int],
        draws: Sequence[Draw],
    ) -> dict[str, Tip]:
        """What the draws say of each open pot: any of its tipping points tips it."""
        given = {(draw.pot_id, draw.tipping_point): draw for draw in draws}
        if len(given) != len(draws):
            raise ValueError(f"two draws for one tipping point: {draws}")
        tips: dict[str, Tip] = {}
        for pot_id, pot in self.pots.items():
            points = pot.rules.tipping_points
            found = [given.pop((pot_id, place), None) for place in range(len(points))]
            if pot.is_open:
                tips[pot_id] = _any_tip(
                    pot_id,
                    [
                        _tip(draw, thresholds[pot_id, place], hit.is_decided_without_draw(worth))
                        for place, (draw, hit) in enumerate(zip(found, points, strict=True))
                    ],
                )
        if given:
            raise ValueError(f"draws for no tipping point: {[*given]}")
        return tips

    def _candidates(
        self, tips: Mapping[str, Tip], currency: str, rates: _Rates
    ) -> list[_Candidate]:
        """The pots that tipped or may have, in pot order, with what each can pay."""
        per_one = minor_units_per_one(currency)

        def payable(value: Fraction) -> int:
            here = rates.convert(max(value, ZERO), self._rules.currency, currency)
            return floor(here * per_one)

        return [
            _Candidate(
                pot=pot,
                place=place,
                tip=tips[pot_id],
                per_one=per_one,
                low=payable(pot.value.least),
                own=payable(pot.value.exact),
                high=payable(pot.value.most),
            )
            for place, (pot_id, pot) in enumerate(self.pots.items())
            if tips.get(pot_id, "no") != "no"
        ]

    def _winners(self, candidates: Sequence[_Candidate]) -> list[_Candidate]:
        """Which pots pay, by the oracle's own exact sums."""
        tipped = [candidate for candidate in candidates if candidate.is_won]
        if self._rules.strategy == "All" or not tipped:
            return tipped
        return [_best(tipped, self._rules.strategy)]

    def _check_observed(
        self, observed: Sequence[PaidWin], candidates: Sequence[_Candidate]
    ) -> None:
        """Raise unless the reported wins can follow from the rules and the system's own rounding.

        Checked: each paid pot tipped (or its draw was undecidable); its amount is whole minor units
        and what the pot pays somewhere within its slack, so at most one minor unit from our own; no
        pot that won for certain was passed over, by the strategy; an All pays in pot order.
        """
        possible = {candidate.pot.rules.id: candidate for candidate in candidates}
        paid = [win.pot_id for win in observed]
        for win in observed:
            candidate = possible.get(win.pot_id)
            if candidate is None or not candidate.can_have_paid(incoming(win.amount)):
                raise OracleDisagreementError(f"{win} cannot be: {candidate}")
        if paid != [pot_id for pot_id in possible if pot_id in paid]:
            raise OracleDisagreementError(f"paid twice, or not in pot order: {paid}")
        strategy = self._rules.strategy
        if strategy != "All" and len(paid) > 1:
            raise OracleDisagreementError(f"{strategy} pays one pot, not {paid}")
        for sure in (candidate for candidate in candidates if candidate.is_won_for_sure):
            behind = strategy != "All" and any(
                not sure.beats(possible[pot_id], strategy) for pot_id in paid
            )
            if sure.pot.rules.id not in paid and not behind:
                raise OracleDisagreementError(f"{sure} was passed over for {paid}")

    # After a win

    def _settle(self, pot: Pot, amount: Fraction, worth: Fraction) -> Win:
        """Take what was paid, converted back, from the pot; then reseed it or close it."""
        left_pot = min(worth, pot.value.exact)
        if worth > pot.value.least:  # the system's pot may have been capped where this one was not
            self.paid.slack += pot.value.slack
        pot.value.exact -= left_pot
        self.paid.exact += left_pot
        closes = pot.in_last_cycle
        seed, deficit = ZERO, ZERO
        if closes:
            self._close(pot)
        else:
            seed, deficit = self._reseed(pot)
        return Win(pot.rules.id, amount, left_pot, seed, deficit, pot_closed=closes)

    def _reseed(self, pot: Pot) -> tuple[Fraction, Fraction]:
        """Reserve first, then the operator: the new seed, and what the operator paid of it."""
        rules, reserve = pot.rules, pot.reserve
        takes_all = rules.reseeds_whole_reserve or reserve.exact < rules.min_reseed
        taken = reserve.exact if takes_all else rules.min_reseed
        deficit = max(rules.min_reseed - taken, ZERO)
        if reserve.least < rules.min_reseed:
            self.deficits.slack += reserve.slack
        if rules.reseeds_whole_reserve and reserve.most > rules.min_reseed:
            pot.value.slack += reserve.slack
        if rules.reseeds_whole_reserve or reserve.most <= rules.min_reseed:
            reserve.slack = min(reserve.slack, Fraction(self._carry))  # empty here and there
        reserve.exact -= taken
        pot.value.exact += taken + deficit
        self.deficits.exact += deficit
        pot.instance_count += 1
        pot.seed_money_spilled = False
        return taken + deficit, deficit

    def _close(self, pot: Pot) -> None:
        """Its share and what is left of it go to the open pots by their shares; else Ended."""
        pot.is_open = False
        heirs = [other for other in self.pots.values() if other.is_open]
        if not heirs:
            self.status = "Ended"
            return
        total = sum((heir.share for heir in heirs), ZERO)
        if total == 0:
            raise OutsideTheModelError("a pot closed and no open pot has a contribution share")
        leftover = pot.value.exact + pot.reserve.exact
        slack = pot.value.slack + pot.reserve.slack
        for heir in heirs:
            weight = heir.share / total
            account = heir.value if heir.rules.is_progressive else heir.reserve
            bequest = leftover * weight
            account.exact += bequest
            if slack or not _is_whole(bequest):  # this division has a remainder of its own
                account.slack += slack * weight + self._carry
            heir.share += pot.share * weight
        pot.share = pot.value.exact = pot.reserve.exact = ZERO

    # Comparing with the real system

    def imbalance(self) -> Fraction:
        """The oracle's own books: what it holds less what came in and stayed. Always 0."""
        pots = self.pots.values()
        held = self.house.exact + sum((pot.value.exact + pot.reserve.exact for pot in pots), ZERO)
        inflow = self.received + self.deficits.exact + self.initial_seeds
        return held - (inflow - self.paid.exact)

    def differences(self, real: RealBooks) -> list[str]:
        """What is wrong with the real books; empty if they agree.

        To the last unit: their sum, what was received, the initial seeds; within slack: all else.
        """
        held = real.house + sum(real.pots.values()) + sum(real.reserves.values()) + real.residual
        owed = real.received - real.paid + real.deficits + real.initial_seeds
        found = [] if held == owed else [f"sum: {held} held, {owed} owed"]
        if {*real.pots} != {*self.pots} or {*real.reserves} != {*self.pots}:
            return [*found, f"pots {[*real.pots]}, reserves {[*real.reserves]}: not {[*self.pots]}"]
        accounts = [
            ("received", Account(self.received), real.received),
            ("initial seeds", Account(self.initial_seeds), real.initial_seeds),
            ("house", self.house, real.house),
            ("paid", self.paid, real.paid),
            ("deficits", self.deficits, real.deficits),
        ]
        for pot_id, pot in self.pots.items():
            accounts.append((f"pot {pot_id}", pot.value, real.pots[pot_id]))
            accounts.append((f"reserve {pot_id}", pot.reserve, real.reserves[pot_id]))
        return found + [
            f"{name}: {units} units, exactly {float(account.exact * SCALE)} ± {account.slack}"
            for name, account, units in accounts
            if not account.admits(units)
        ]
