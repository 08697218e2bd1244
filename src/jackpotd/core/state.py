"""What an instance and a player are at one moment: frozen records, replaced by `evolve`, never changed in place."""

from enum import StrEnum

from msgspec import Struct

from jackpotd.core.rules import Rules
from jackpotd.core.split import Allocation


class Status(StrEnum):
    """The states of an instance (contract §8)."""

    PENDING = "Pending"
    ACTIVE = "Active"
    PAUSED = "Paused"
    TERMINATED = "Terminated"
    ENDED = "Ended"


# Transitions that a person may ask for. `Ended` is reached by rule alone: when the last limited pot is used up.
STATUS_CHANGES: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.ACTIVE, Status.TERMINATED}),
    Status.ACTIVE: frozenset({Status.PAUSED, Status.TERMINATED}),
    Status.PAUSED: frozenset({Status.ACTIVE, Status.TERMINATED}),
    Status.ENDED: frozenset({Status.TERMINATED}),
    Status.TERMINATED: frozenset(),
}


class Definition(Struct, frozen=True, gc=False):
    """What never changes about an instance while its template stands: who it is and its compiled rules."""

    instance_id: str
    name: str
    owner_id: str
    template_id: str
    template_owner_id: str
    created_ms: int
    rules: Rules


class Pot(Struct, frozen=True, gc=False):
    """One pot, in units of the jackpot's currency.

    `cycle` counts how often it was seeded, from 1 (the documents' `instance_count`); `paid` is all that it ever paid.
    """

    value: int
    reserve: int
    cycle: int
    is_open: bool
    hits: int
    paid: int


class Instance(Struct, frozen=True, gc=False):
    """A live jackpot: its pots and every account of its ledger.

    Money in: `contributed` by players, `operator` (its share of contributions, initial seeds) and `deficit` (what
    reseeds lacked). Money held or out: pots and their reserves, `house`, `payouts`, and the residual numerators.
    """

    definition: Definition
    plan: Allocation
    status: Status
    version: int
    updated_ms: int
    pots: tuple[Pot, ...]
    carried: tuple[int, ...]
    contributions: int
    contributed: int
    operator: int
    deficit: int
    house: int
    payouts: int

    @property
    def rules(self) -> Rules:
        return self.definition.rules


class PotCount(Struct, frozen=True, gc=False):
    """What a player put in during one cycle of one pot."""

    cycle: int
    count: int
    value: int


class Player(Struct, frozen=True, gc=False):
    """A player's standing with one instance; `value` is in the jackpot's currency.

    `preferences` holds the chosen contribution for each currency, the latest choice last.
    """

    opted_in: bool
    preferences: tuple[tuple[str, int], ...]
    count: int
    value: int
    pots: tuple[PotCount, ...]
    updated_ms: int


UNKNOWN_PLAYER = Player(opted_in=False, preferences=(), count=0, value=0, pots=(), updated_ms=0)
