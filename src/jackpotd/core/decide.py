"""The decisions on play: state and command give events, or a rejection. Nothing changes here.

Order of a contribution: is the instance open to it, may this player contribute, how much is it, do its draws tip a pot,
what do the tipped pots pay. The contribution grows the pots first, then the tipping points are tested (contract §3).
What operators ask stands in `operating`, what time does in `passing`, a raffle's rounds in `raffle`.
"""

from jackpotd.core import eligibility, money, passing, raffle, rejections, split, tipping, winning
from jackpotd.core.commands import Contribute, OptIn
from jackpotd.core.events import Contributed, InstanceEvent, Issued, OptInChanged, PotWon, TipHeld
from jackpotd.core.evolve import evolve, grown
from jackpotd.core.rejections import Rejection
from jackpotd.core.rules import WHOLE, Fixed, Percentage, Rules, ValueRange, Variable
from jackpotd.core.state import Contributor, Instance, Player, Status
from jackpotd.core.winners import Tipped, Winner

Events = list[InstanceEvent]


def contribute(state: Instance, player: Player, command: Contribute) -> Events | Rejection:
    """What a contribution does: it is taken in, and wins what its draws tip."""
    refused = _contribution_refusal(state, player, command)
    if refused is not None:
        return refused
    rules = state.rules
    bet = command.bet
    amount = contribution_amount(rules, player, command)
    if isinstance(amount, Rejection):
        return amount
    player_rate, jackpot_rate = command.rates[bet.currency], command.rates[rules.currency]
    worth = money.convert(amount, player_rate, jackpot_rate)
    highest = max([pot.value for pot in state.pots])
    if amount > money.UNITS_MAX or (worth + highest > money.UNITS_MAX and _passes(state, worth)):
        return rejections.CONTRIBUTION_OUT_OF_RANGE
    share = rules.operator_share
    operator_part = money.divide_half_even(worth * share, WHOLE) if share else 0
    if operator_part != worth and not command.can_debit:
        return rejections.wallet_not_configured(bet.brand)
    issued: Issued | None = None
    if rules.raffle is not None:
        bought = raffle.issue(state, player, command, worth)
        if isinstance(bought, Rejection):
            return bought
        issued = bought
    attempts, tipped, came = tipping.test(state, command, worth)
    cycles = tuple([pot.cycle for pot in state.pots])
    contributed = Contributed(
        command.at_ms,
        command.round_id,
        bet.brand,
        bet.player_id,
        bet.currency,
        amount,
        worth,
        operator_part,
        cycles,
        attempts,
        bet.source_id,
        bet.reference_type,
        bet.reference_id,
        player_rate,
        jackpot_rate,
        tipping.attendance(state, player, command, worth, cycles)
        if rules.has_attendance and (worth or share == WHOLE)
        else None,
        issued,
    )
    if not tipped and not came:
        return [contributed]
    events = _won(evolve(state, contributed), contributed, tipped, command)
    return [contributed, *events, *_held(came, events)]


def _passes(state: Instance, worth: int) -> bool:
    """Whether a contribution takes a pot or a reserve beyond the bound of money."""
    parts, _ = split.split(state.plan, state.carried, worth)
    return worth > money.UNITS_MAX or any(
        max(pot.value, pot.reserve) > money.UNITS_MAX for pot in grown(state, parts)
    )


def _won(
    state: Instance, contributed: Contributed, tipped: list[Tipped], command: Contribute
) -> Events:
    """What the tipped pots pay."""
    who = Contributor(
        contributed.brand,
        contributed.player_id,
        contributed.currency,
        contributed.player_rate,
        contributed.jackpot_rate,
    )
    winner = Winner(command.at_ms, command.round_id, who, command.streams, command.crowd)
    return winning.pay(state, tipped, winner)


def _held(came: list[TipHeld], events: Events) -> list[TipHeld]:
    """An unpaid tip by a draw is gone, one by time stays due (contract §9)."""
    paid = {event.pot for event in events if isinstance(event, PotWon)}
    return [each for each in came if each.pot not in paid]


def _contribution_refusal(state: Instance, player: Player, command: Contribute) -> Rejection | None:
    rules, bet = state.rules, command.bet
    if bet.wager < 0:
        return rejections.NEGATIVE_WAGER
    if state.status is not Status.ACTIVE:
        return rejections.JACKPOT_NOT_ACTIVE
    refused = eligibility.refusal(
        rules,
        brand=bet.brand,
        country=bet.country,
        segments=bet.segments,
        vertical=bet.vertical,
    )
    if refused is not None:
        return refused
    if state.rare.schedules and passing.is_closed(state, bet.brand, command.at_ms):
        return rejections.OUTSIDE_SCHEDULE
    if rules.opt_in_required and not player.opted_in:
        return rejections.PLAYER_NOT_OPTED_IN
    for currency in (bet.currency, rules.currency):
        if currency not in command.rates:
            return rejections.multipliers_not_found(currency)
    return None


def contribution_amount(rules: Rules, player: Player, command: Contribute) -> int | Rejection:
    """The contribution in the player's currency.

    A base wager of 0 costs a player nothing, whatever the contribution type (contract §3); only where the operator pays
    everything does a fixed or variable value stand.
    """
    bet = command.bet
    if bet.wager == 0 and rules.operator_share != WHOLE:
        return 0
    match rules.contribution:
        case Fixed(units=units):
            own = rules.currency_values.get(bet.currency)
            return own.default if own else _from_jackpot(rules, command, units)
        case Percentage(share=share):
            amount = money.divide_half_even(bet.wager * share, WHOLE)
            own = rules.currency_values.get(bet.currency)
            if own and amount and not own.minimum <= amount <= own.maximum:
                return rejections.CONTRIBUTION_OUT_OF_RANGE
            return amount
        case Variable(range=value_range):
            return _variable_amount(rules, value_range, player, command)


def _variable_amount(
    rules: Rules, value_range: ValueRange, player: Player, command: Contribute
) -> int:
    """The player's own choice in this currency, else their latest choice converted, else the default."""
    wanted = command.bet.currency
    own = rules.currency_values.get(wanted)
    for currency, preferred in reversed(player.preferences if player.opted_in else ()):
        if currency == wanted:
            return preferred
    if player.opted_in and player.preferences:
        currency, preferred = player.preferences[-1]
        if currency in command.rates:
            rates = command.rates
            converted = money.convert(preferred, rates[currency], rates[wanted])
            low, high = (
                (own.minimum, own.maximum)
                if own
                else (
                    _from_jackpot(rules, command, value_range.minimum),
                    _from_jackpot(rules, command, value_range.maximum),
                )
            )
            if low <= converted <= high:
                return converted
    return own.default if own else _from_jackpot(rules, command, value_range.default)


def _from_jackpot(rules: Rules, command: Contribute, units: int) -> int:
    return money.convert(units, command.rates[rules.currency], command.rates[command.bet.currency])


def opt_in(state: Instance, player: Player, command: OptIn) -> Events | Rejection:
    """An opt-in or opt-out; allowed while Active or Paused (contract §4)."""
    rules = state.rules
    if state.status not in (Status.ACTIVE, Status.PAUSED):
        return rejections.OPT_IN_JACKPOT_NOT_ACTIVE
    if command.opt_in:  # nothing keeps a player in
        refused = _opt_in_refusal(rules, command)
        if refused is not None:
            return refused
    preferred = command.preferred if command.opt_in else None
    return [
        OptInChanged(
            at_ms=command.at_ms,
            brand=command.brand,
            player_id=command.player_id,
            opted_in=command.opt_in,
            preferred=preferred,
            preferred_currency=(
                None if preferred is None else command.preferred_currency or rules.currency
            ),
            count=player.count,
            value=player.value,
        )
    ]


def _opt_in_refusal(rules: Rules, command: OptIn) -> Rejection | None:
    """An opt-in names no segments and no vertical, so it is measured by brand and country alone."""
    if command.brand not in rules.allowed_brands:
        return rejections.unsupported_brand(command.brand)
    if command.country is not None and not eligibility.allows_country(rules, command.country):
        return rejections.OPT_IN_COUNTRY_NOT_ALLOWED
    if command.preferred is None:
        return None
    if not isinstance(rules.contribution, Variable):
        return rejections.PREFERENCE_NOT_SUPPORTED
    currency = command.preferred_currency or rules.currency
    own = rules.currency_values.get(currency)
    if own is not None:
        allowed, value = own, command.preferred
    else:
        for needed in (currency, rules.currency):
            if needed not in command.rates and currency != rules.currency:
                return rejections.multipliers_not_found(needed)
        allowed, value = rules.contribution.range, command.preferred
        if currency != rules.currency:
            value = money.convert(value, command.rates[currency], command.rates[rules.currency])
    if not allowed.minimum <= value <= allowed.maximum:
        return rejections.PREFERENCE_OUT_OF_RANGE
    return None
