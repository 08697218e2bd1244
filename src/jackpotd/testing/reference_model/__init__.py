"""The reference model: a jackpot worked out again, slowly, in exact rationals.

It is an oracle for the real core and shares no line with it. Every sum is a `Fraction`; it rounds only where the
contract rounds. The source of each rule (§ = contract, LF = later-facts.md, [P] = decided by the project where both are
silent):

- what comes in, a contribution, its worth c, what leaves a pot: half-even to 1e-8. §3, [P]
- c = amount * multiplier[jackpot] / multiplier[player]; none within one currency. §9 HitRate, [P]
- Fixed, Percentage, Variable, currency_values, defaults, preferences. §9, §4, [P]
- house and pots split the whole of c, whoever pays it; seed shares of a pot's part. LF §1.4, §9
- a ceiling stops growth; the excess goes to the pot's own seed reserve, and nothing that stands is cut. §9, R-MON-2
- money that nobody contributed (what a closed pot leaves, a transfer, a rejected win, a reserve) lifts a pot up to its
  ceiling and up to where the least of its hidden values may lie, the rest goes to the reserve; what is hidden is then
  drawn anew above it, unless contributions had reached it before. R-CHG-1
- pots grow, then the tipping points are tested, in pot order: 1 - (1 - 1/N)^(c/k) against 64 bits; the hidden value;
  the hidden instant of the running window. §3, §9; every draw at its published place of the pot's secret: `places`
- a pot that holds all that its ceiling admits has reached its hidden values, wherever they were drawn. [P]
- nothing is won for nothing, and nobody is active by it (R-CHG-1), but where the operator
  pays everything, by HitRate with k = 0 and by Time. §9
- criteria, open_when_funded, pots that cannot pay one minor unit: no win; Value and Time stay due, draws are gone. §9
- Highest, Lowest, All; a win is floored to the player's minor unit. §3, §9 Several tips; ties: the earlier pot. [P]
- the amounts of an All are fixed before any of its pots is paid, reseeded or closed. [P]
- community parts of the same value: strategies in order, nobody twice, the winner never; ties to who was first. §9, [P]
- reserve, then boost, then operator; Full, WholeReserve; the fund strategies; not progressive. §9 Win
- the last cycle of a limited pot, its closing, Ended. §9 Limited tiers; what is left goes into an heir's pot, or into
  its reserve where the heir is not progressive or full. [P]
- withheld wins, boosts, adjustments, triggers, windows' fallbacks, changes that wait, termination, transfers. §8, §9

- a schedule begins and ends a jackpot and keeps contributions out; a brand's own goes before the instance's. §8, §9
- raffles: tickets from exact sums, rounds one after the other, draws by the published places, prizes from the pot,
  the operator's shortfall, filling up for the next round, rounds that were missed. §9 Raffle
- windows that a jackpot's end cuts short draw for nobody, however late somebody notices. [P]
- a prize is paid in the currency, and at the rates, of the winner's last contribution that counted for the round. [P]

Who may contribute, and how a number may be written, is not money and not here.
"""

from jackpotd.testing.reference_model.crowd import Totals
from jackpotd.testing.reference_model.instance import ReferenceInstance
from jackpotd.testing.reference_model.numbers import (
    DRAWS,
    SCALE,
    Number,
    Rates,
    hit_threshold,
    minor_units_per_one,
    to_scale,
)
from jackpotd.testing.reference_model.places import Places, commitment
from jackpotd.testing.reference_model.records import (
    Ahead,
    Attempt,
    Books,
    Bought,
    Bounds,
    CommunityPart,
    Contributor,
    Draw,
    Meters,
    OracleDisagreementError,
    Outcome,
    Play,
    Preference,
    Prize,
    Rejection,
    RoundEnd,
    Settled,
    Shipment,
    Tip,
    Who,
    Win,
)
from jackpotd.testing.reference_model.template import OutsideTheModelError

__all__ = [
    "DRAWS",
    "SCALE",
    "Ahead",
    "Attempt",
    "Books",
    "Bought",
    "Bounds",
    "CommunityPart",
    "Contributor",
    "Draw",
    "Meters",
    "Number",
    "OracleDisagreementError",
    "Outcome",
    "OutsideTheModelError",
    "Places",
    "Play",
    "Preference",
    "Prize",
    "Rates",
    "ReferenceInstance",
    "Rejection",
    "RoundEnd",
    "Settled",
    "Shipment",
    "Tip",
    "Totals",
    "Who",
    "Win",
    "commitment",
    "hit_threshold",
    "minor_units_per_one",
    "to_scale",
]
