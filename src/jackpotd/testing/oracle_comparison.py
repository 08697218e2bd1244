"""Whether the core's facts are the oracle's: wins and their amounts, community, boards, windows, rounds, the ledger.

Every function raises OracleDisagreementError where they are not.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NoReturn, TypeVar

from msgspec.structs import astuple

from jackpotd.core import ledger
from jackpotd.core.events import (
    CommunityPaid,
    Contributed,
    PotClosed,
    PotWon,
    Prize,
    RoundResolved,
    TipHeld,
)
from jackpotd.core.money import SCALE
from jackpotd.core.rules import WHOLE, Rules
from jackpotd.core.state import Instance, Leader, Player, Status
from jackpotd.testing import reference_model as oracle_of
from jackpotd.testing.core_driver import Done, Who

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
    bought, issued = expected.bought, contributed.issued
    agree(
        bought
        and (
            bought.round,
            bought.entrant,
            bought.counted * SCALE,
            bought.awarded,
            bought.accumulated * SCALE,
        ),
        issued and astuple(issued),
        "tickets",
    )


def compare_resolved(expected: oracle_of.RoundEnd, resolved: RoundResolved) -> None:
    """A round's end: its tickets, its prizes in the order of their draws, and where the money came from."""
    bounds = (resolved.number, resolved.starts_ms, resolved.ends_ms)
    agree(expected.bounds, oracle_of.Bounds(*bounds), "round")
    agree(
        (expected.tickets, expected.entrants, expected.counted * SCALE, expected.pot * SCALE),
        (resolved.tickets, resolved.entrants, resolved.counted, resolved.pot),
        "tickets, entrants, money counted and pot",
    )
    prizes = [_prize_of(prize) for prize in resolved.prizes]
    agree([*expected.prizes], prizes, "prizes")
    money = expected.shortfall, expected.from_reserve, expected.from_boost, expected.deficit
    agree(
        tuple(each * SCALE for each in money),
        (resolved.shortfall, resolved.from_reserve, resolved.from_boost, resolved.deficit),
        "shortfall and filling up",
    )


def _prize_of(prize: Prize) -> oracle_of.Prize:
    """A prize of the core as the oracle says it."""
    winner = prize.winner
    return oracle_of.Prize(
        prize.tier,
        (winner.brand, winner.player_id),
        winner.currency,
        prize.entrant,
        prize.draw,
        prize.among,
        value=Fraction(prize.value, SCALE),
        amount=Fraction(prize.win, SCALE),
        left_pot=Fraction(prize.paid, SCALE),
        is_withheld=prize.is_withheld,
    )


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
        _compare_round(oracle, state)


def _compare_round(oracle: oracle_of.ReferenceInstance, state: Instance) -> None:
    expected, rare = oracle.jackpot.raffle, state.rare
    found = rare.round
    agree(
        expected.round
        and (
            expected.round.bounds,
            expected.round.tickets,
            len(expected.round.holdings),
            expected.round.counted * SCALE,
        ),
        found
        and (
            oracle_of.Bounds(found.number, found.starts_ms, found.ends_ms),
            found.tickets,
            found.entrants,
            found.counted,
        ),
        "running round",
    )
    agree(
        (expected.over, expected.missed, expected.ended_ms),
        (rare.rounds, rare.missed, rare.round_end_ms),
        "rounds that are over",
    )
    if expected.opened:
        agree(expected.opened, state.version, "instance version")


def compare_tickets(oracle: oracle_of.ReferenceInstance, players: Mapping[Who, Player]) -> None:
    """Every player's tickets of the running round; nobody else has any."""
    round_ = oracle.jackpot.raffle.round
    if round_ is None:
        return
    number = round_.bounds.number
    expected = {
        who: (entrant, held.tickets, held.part * SCALE)
        for entrant, (who, held) in enumerate(round_.holdings.items())
    }
    found = {
        who: (player.tickets.entrant, player.tickets.count, player.tickets.accumulated)
        for who, player in players.items()
        if player.tickets is not None and player.tickets.round == number
    }
    agree(expected, found, "tickets of the players")


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
