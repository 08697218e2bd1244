"""The oracle's books beside the real ledger: one name for each account, as `core.ledger` calls them.

Money that came in is negative: `players`, `operator`, `deficit`, `received`. Money held or out is positive: `pot:ID`,
`seed_reserve:ID`, `boost:ID`, `undistributed:ID`, `house`, `payouts`, `withheld`, `transferred`, and `residual`, the
remainders that the real system carries.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from jackpotd.testing.reference_model.numbers import SCALE, ZERO
from jackpotd.testing.reference_model.pots import Account, Pot
from jackpotd.testing.reference_model.records import Books, Who


@dataclass(frozen=True)
class Held:
    """A withheld win."""

    who: Who
    paid: Fraction


@dataclass(slots=True)
class Ledger:
    """Every account that is no pot's; sums since the start."""

    players: Account = field(default_factory=Account)
    operator: Account = field(default_factory=Account)
    house: Account = field(default_factory=Account)
    deficit: Fraction = ZERO
    payouts: Fraction = ZERO
    withheld: Fraction = ZERO
    transferred: Fraction = ZERO
    received: Fraction = ZERO
    held: dict[tuple[str, str], Held] = field(default_factory=dict)

    def imbalance(self, pots: Iterable[Pot]) -> Fraction:
        """What is held and out less what came in. Always 0."""
        held = self.house.exact + self.payouts + self.withheld + self.transferred
        for pot in pots:
            held += pot.value.exact + pot.reserve.exact + pot.boost + pot.undistributed.exact
        return held - self.players.exact - self.operator.exact - self.deficit - self.received

    def accounts(self, pots: Iterable[Pot]) -> dict[str, Account]:
        """All accounts but the residual, with their signs."""
        book = {
            "players": Account(-self.players.exact, self.players.slack),
            "operator": Account(-self.operator.exact, self.operator.slack),
            "deficit": Account(-self.deficit),
            "received": Account(-self.received),
            "house": self.house,
            "payouts": Account(self.payouts),
            "withheld": Account(self.withheld),
            "transferred": Account(self.transferred),
        }
        for pot in pots:
            name = pot.rules.id
            book[f"pot:{name}"] = pot.value
            book[f"seed_reserve:{name}"] = pot.reserve
            book[f"boost:{name}"] = Account(pot.boost)
            book[f"undistributed:{name}"] = pot.undistributed
        return book


def differences(ledger: Ledger, pots: list[Pot], real: Books) -> list[str]:
    """What is wrong with the real books; empty if they agree. An account that they leave out holds nothing.

    To the last unit: their sum, and all that no share can have left a remainder in; within slack: all else.
    """
    found = [] if sum(real.values()) == 0 else [f"sum: {sum(real.values())}"]
    expected = ledger.accounts(pots)
    if strange := {*real} - {*expected, "residual"}:
        found.append(f"accounts {sorted(strange)}")
    if not 0 <= real.get("residual", 0) <= 2 * len(pots) + 1:
        found.append(f"residual: {real['residual']} units")
    return found + [
        f"{name}: {real.get(name, 0)} units, exactly {float(account.exact * SCALE)} ± {account.slack}"
        for name, account in expected.items()
        if not account.admits(real.get(name, 0))
    ]
