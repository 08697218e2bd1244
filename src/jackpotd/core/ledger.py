"""Every unit of an instance is in one account, and all accounts add up to zero (contract §9, "Ledger").

Money that came in is negative, money held or paid is positive. `imbalance` is checked for every batch that is
committed; anything but 0 is a broken invariant and stops the worker.
"""

from jackpotd.core.state import Instance


class InvariantViolation(Exception):
    """A state that must not exist: nothing may be answered after it."""


def residual(state: Instance) -> int:
    """Whole units that divisions have carried forward so far."""
    units, remainder = divmod(sum(state.carried), state.plan.denominator)
    if remainder:
        raise InvariantViolation(f"{state.definition.instance_id}: residuals are not whole units")
    return units


def accounts(state: Instance) -> dict[str, int]:
    """The ledger by account name; those of a pot as `pot:ID`, `seed_reserve:ID`, `boost:ID` and `undistributed:ID`."""
    rare = state.rare
    book = {
        "players": -state.contributed,
        "operator": -state.operator,
        "deficit": -state.deficit,
        "house": state.house,
        "payouts": state.payouts,
        "withheld": rare.withheld,
        "transferred": rare.sent,
        "received": -rare.received,
        "residual": residual(state),
    }
    for rules, pot, kept in zip(state.rules.pots, state.pots, rare.pots, strict=True):
        book[f"pot:{rules.id}"] = pot.value
        book[f"seed_reserve:{rules.id}"] = pot.reserve
        book[f"boost:{rules.id}"] = kept.boost
        book[f"undistributed:{rules.id}"] = kept.undistributed
    return book


def imbalance(state: Instance) -> int:
    """The sum of all accounts; 0, or the books are wrong."""
    total = state.house + state.payouts + residual(state) + state.rare.net
    for pot in state.pots:
        total += pot.value + pot.reserve
    return total - state.contributed - state.operator - state.deficit


def check(state: Instance) -> None:
    """Raises InvariantViolation where the ledger does not add up or an account that cannot be owed is negative."""
    off = imbalance(state)
    if off:
        raise InvariantViolation(
            f"{state.definition.instance_id}: the ledger is off by {off} units"
        )
    for pot in state.pots:
        if pot.value < 0 or pot.reserve < 0:
            raise InvariantViolation(f"{state.definition.instance_id}: a pot is negative")


def check_whole(state: Instance) -> None:
    """The same, and every account of its own: for verification, and wherever `rare` has changed."""
    check(state)
    if sum(accounts(state).values()):
        raise InvariantViolation(
            f"{state.definition.instance_id}: the accounts do not add up to zero"
        )
    rare = state.rare
    if rare.withheld != sum(win.paid for win in rare.held):
        raise InvariantViolation(
            f"{state.definition.instance_id}: withheld money is not that of the held wins"
        )
    for pot in rare.pots:
        if pot.boost < 0 or pot.undistributed < 0:
            raise InvariantViolation(f"{state.definition.instance_id}: a pot owes money")
