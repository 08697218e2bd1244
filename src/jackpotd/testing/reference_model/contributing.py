"""What a contribution is worth and how it grows the books (contract §3, §9)."""

from fractions import Fraction

from jackpotd.testing.reference_model.numbers import ZERO, Rates, incoming, is_whole, to_scale
from jackpotd.testing.reference_model.paying import Jackpot
from jackpotd.testing.reference_model.records import Play, Rejection
from jackpotd.testing.reference_model.template import Rules, Values


def amount_of(rules: Rules, play: Play, rates: Rates) -> Fraction | Rejection:
    """The whole contribution in the player's currency, or why there is none."""
    wager, currency = incoming(play.base_wager), play.currency
    if wager < 0:
        return Rejection("CONTRIBUTION_REJECTED", "NegativeWager")
    if wager == 0 and rules.operator_share != 1:
        return ZERO  # nothing is debited (§3)
    listed = rules.currency_values.get(currency, Values())
    if rules.percentage is not None:
        amount = to_scale(wager * rules.percentage)
        if amount != 0 and not listed.allow(amount):
            return Rejection("CONTRIBUTION_REJECTED", "ContributionOutOfRange")
        return amount
    terms = listed.completed(
        rules.terms, lambda value: to_scale(rates.convert(value, rules.currency, currency))
    )
    if terms.default is None:
        raise ValueError("Fixed and Variable always have a default")
    if rules.is_variable and play.preference is not None:
        chosen = incoming(play.preference.value)
        wish = to_scale(rates.convert(chosen, play.preference.currency, currency))
        return wish if terms.allow(wish) else terms.default
    return terms.default


def grow(jackpot: Jackpot, worth: Fraction) -> None:
    """House and pots share the whole of c; the operator's part of it is no less an inflow."""
    rules, ledger, open_pots = jackpot.rules, jackpot.ledger, jackpot.open_pots
    house_part = rules.house_share * worth
    parts = [house_part, *(part for pot in open_pots for part in pot.split(worth))]
    if not all(is_whole(part) for part in parts):
        jackpot.begin_remainders()
    operators = worth * rules.operator_share
    for account, part in ((ledger.operator, operators), (ledger.players, worth - operators)):
        account.exact += part
        if not is_whole(part):
            account.slack += Fraction(1, 2)
    ledger.house.exact += house_part
    for pot in open_pots:
        pot.receive(worth)
