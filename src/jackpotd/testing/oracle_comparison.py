"""Whether the core's facts are the oracle's: wins and their amounts, community, boards, windows, the ledger.

Every function raises OracleDisagreementError where they are not.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NoReturn, TypeVar

from jackpotd.core import ledger
from jackpotd.core.events import CommunityPaid, Contributed, PotClosed, PotWon, TipHeld
from jackpotd.core.money import SCALE
from jackpotd.core.rules import WHOLE, Rules
from jackpotd.core.state import Instance, Leader, Status
from jackpotd.testing import reference_model as oracle_of
from jackpotd.testing.core_driver import Done

Kind = TypeVar("Kind")


def agree(expected: object, found: object, what: str) -> None:
    """Raises where the core has something else than the oracle."""
    if expected != found:
        disagree(expected, found, what)


def disagree(expected: object, found: object, what: str) -> NoReturn:
    raise oracle_of.OracleDisagreementError(f"{what}: expected {expected}, the core has {found}")


def of_kind(value: object, kind: type[Kind]) -> Kind:
    """The value, which must be of this kind."""
    if not isinstance(value, kind):
        disagree(kind.__name__, value, "answer")
    return value


def compare_contribution(
    expected: oracle_of.Outcome, contributed: Contributed, rules: Rules
) -> None:
    """Amount, worth, the operator's part, and the draws for a place as candidate."""
    agree(expected.amount * SCALE, contributed.amount, "amount")
    agree(expected.worth * SCALE, contributed.worth, "worth")
    operators = expected.worth * SCALE * rules.operator_share / WHOLE
    if abs(contributed.operator_part - operators) > Fraction(1, 2):
        disagree(operators, contributed.operator_part, "operator's part")
    attendance = contributed.attendance
    ids = [pot.id for pot in rules.pots]
    lots = tuple((ids.index(name), place, lot) for name, place, lot in expected.lots)
    agree(lots, () if attendance is None else attendance.lots, "lots")


def compare_settled(expected: oracle_of.Settled, done: Done, rules: Rules) -> None:
    """Wins in their order, closings, and what was held."""
    ids = [pot.id for pot in rules.pots]
    wins = done.of(PotWon)
    agree([win.pot_id for win in expected.wins], [ids[won.pot] for won in wins], "winners")
    communities = {
        id(won): before
        for before, won in pairwise(done.events)
        if isinstance(before, CommunityPaid)
    }
    for win, won in zip(expected.wins, wins, strict=True):
        _compare_win(win, won)
        _compare_community(win, communities.get(id(won)))
    closed = [ids[event.pot] for event in done.of(PotClosed)]
    agree([win.pot_id for win in expected.wins if win.pot_closed], closed, "closed pots")
    held = [(ids[event.pot], event.point) for event in done.of(TipHeld)]
    agree(sorted(expected.held), sorted(held), "held tips")


def _compare_win(win: oracle_of.Win, won: PotWon) -> None:
    amounts = win.amount, win.left_pot, win.from_reserve, win.from_boost, win.seed_deficit, win.seed
    found = won.win, won.paid, won.from_reserve, won.from_boost, won.deficit, won.seed
    agree((win.who, win.is_withheld), ((won.brand, won.player_id), won.is_withheld), "winner")
    agree(tuple(amount * SCALE for amount in amounts), found, f"amounts of {win}")
    if str(won.tip) not in win.tips:
        disagree(win.tips, won.tip, "tip")


def _compare_community(win: oracle_of.Win, paid: CommunityPaid | None) -> None:
    expected = [
        (part.strategy, part.who, part.currency, part.amount * SCALE, part.left_pot * SCALE)
        for part in win.community
    ]
    payouts = () if paid is None else paid.payouts
    found = [
        (
            payout.strategy,
            (payout.winner.brand, payout.winner.player_id),
            payout.winner.currency,
            payout.win,
            payout.paid,
        )
        for payout in payouts
    ]
    agree(expected, found, f"community of {win.pot_id}")
    draws = [(part.draw, part.among) for part in win.community]
    agree(draws, [(payout.draw, payout.among) for payout in payouts], "draws of a community")


def compare_state(oracle: oracle_of.ReferenceInstance, state: Instance) -> None:
    """Every account, status and cycles; boards and windows of pots that can still be won."""
    agree([], oracle.differences(ledger.accounts(state)), "ledger")
    agree(0, oracle.imbalance(), "imbalance of the oracle")
    agree(oracle.status, str(state.status), "status")
    for rules, pot, seal in zip(state.rules.pots, state.pots, state.rare.seals, strict=True):
        expected = oracle.pots[rules.id]
        goes_on = expected.is_open and oracle.status not in ("Ended", "Terminated")
        agree(goes_on, seal is not None, f"{rules.id} is sealed")
        if goes_on and expected.needs_seal:
            disagree("another one", seal, f"seal of {rules.id}")
        agree(expected.is_open, pot.is_open, f"{rules.id} is open")
        agree(expected.instance_count, pot.cycle, f"cycle of {rules.id}")
    if state.status is not Status.TERMINATED:
        _compare_windows(oracle, state)
        _compare_boards(oracle, state)


def _compare_windows(oracle: oracle_of.ReferenceInstance, state: Instance) -> None:
    for rules, kept in zip(state.rules.pots, state.rare.pots, strict=True):
        expected = oracle.pots[rules.id]
        if not expected.is_open:
            continue
        agree(expected.is_due, kept.is_due, f"{rules.id} is due")
        for place, window in expected.windows.items():
            found = kept.windows[place]
            who = found.candidate and (found.candidate.brand, found.candidate.player_id)
            agree(
                (window.index, window.is_done, window.total),
                (found.index, found.is_done, found.total),
                f"window {place} of {rules.id}",
            )
            agree(window.candidate and window.candidate.who, who, f"candidate of {rules.id}")


def _compare_boards(oracle: oracle_of.ReferenceInstance, state: Instance) -> None:
    standings, rules = oracle.jackpot.standings, state.rules
    boards: list[tuple[oracle_of.Totals, Sequence[Leader], int, str]] = [
        (standings.lifetime, state.rare.lifetime, rules.lifetime_leaders_kept, "lifetime")
    ]
    for pot, kept, wanted in zip(rules.pots, state.rare.pots, rules.leaders_kept, strict=True):
        if oracle.pots[pot.id].is_open:
            boards.append((standings.in_cycle.get(pot.id, {}), kept.leaders, wanted, pot.id))
    for totals, leaders, wanted, name in boards:
        best = standings.leaders(totals)[:wanted]
        agree(
            [(who, totals[who][0] * SCALE) for who in best],
            [((leader.brand, leader.player_id), leader.total) for leader in leaders],
            f"board {name}",
        )
