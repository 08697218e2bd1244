"""What an instance and a player are at one moment: frozen records, replaced by `evolve`, never changed in place.

What every contribution changes stands in `Instance` and `Pot`; what few of them do stands in `Rare`, so that it costs
nothing where a template does not use it.
"""

from enum import StrEnum

from msgspec import Struct

from jackpotd.core.rules import Rules
from jackpotd.core.schedule import Schedule
from jackpotd.core.split import Allocation


class Status(StrEnum):
    """The states of an instance (contract §8)."""

    PENDING = "Pending"
    ACTIVE = "Active"
    PAUSED = "Paused"
    TERMINATED = "Terminated"
    ENDED = "Ended"


# Transitions that a person may ask for. `Ended` is reached by rule alone: when the last limited pot is used up, or a
# raffle has resolved its last round.
STATUS_CHANGES: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.ACTIVE, Status.TERMINATED}),
    Status.ACTIVE: frozenset({Status.PAUSED, Status.TERMINATED}),
    Status.PAUSED: frozenset({Status.ACTIVE, Status.TERMINATED}),
    Status.ENDED: frozenset({Status.TERMINATED}),
    Status.TERMINATED: frozenset(),
}
# Nothing is contributed to, or won of, an instance in one of these any more.
OVER = (Status.TERMINATED, Status.ENDED)


class Definition(Struct, frozen=True, gc=False):
    """Who an instance is, and its compiled rules."""

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


class Seal(Struct, frozen=True):
    """The commitment to a secret, made before the first contribution that it decides.

    `number` counts a pot's seals from 1. `nonce` is fresh entropy, in hex, from which the keeper of the secrets gets
    the secret again; `commitment` is its hash, in hex. `first` is how many contributions the instance had taken before,
    and `floor` what the pot held.
    """

    number: int
    nonce: str
    commitment: str
    at_ms: int
    first: int
    floor: int


class Contributor(Struct, frozen=True):
    """Somebody who contributed, with the rates at which the jackpot's currency becomes theirs."""

    brand: str
    player_id: str
    currency: str
    player_rate: int
    jackpot_rate: int


class Window(Struct, frozen=True):
    """The window of a hidden time in which the instance is.

    `is_done`: its drop has come. `total` was contributed in it so far, by those who may win; `candidate` is who of them
    a draw weighted by contribution has picked, if the window were over now.
    """

    index: int
    is_done: bool = False
    total: int = 0
    candidate: Contributor | None = None


class Leader(Struct, frozen=True):
    """A place on a board: `total` in the jackpot's currency, reached at this contribution of the instance."""

    brand: str
    player_id: str
    total: int
    number: int


class HeldWin(Struct, frozen=True):
    """A win that is withheld: its money has left the pot and waits for a person.

    `raffle_round` is the round that drew it, 0 where no raffle did.
    """

    round_id: str
    pot: int
    at_ms: int
    winner: Contributor
    win: int
    paid: int
    raffle_round: int = 0


class RarePot(Struct, frozen=True):
    """What few contributions change about a pot.

    `boost` is the operator's buffer for reseeds; `is_due`: a tip by time has not been paid yet; `undistributed` is what
    it held when the instance was terminated.
    """

    boost: int = 0
    is_due: bool = False
    windows: tuple[Window, ...] = ()
    leaders: tuple[Leader, ...] = ()
    undistributed: int = 0


class PendingChange(Struct, frozen=True):
    """Parameters that wait for the next win, of one pot or (None) of any; `changes` is JSON as it was asked for."""

    id: str
    pot: int | None
    changes: bytes
    at_ms: int
    by: str
    reason: str


class Transfer(Struct, frozen=True):
    """Money on its way to a pot of another instance; sent again until that one has taken it, which it does once."""

    id: str
    pot: int
    to_instance: str
    to_pot: str
    value: int
    reserve: int
    boost: int


class BoundSchedule(Struct, frozen=True):
    """A schedule of one brand's contributions; that of no brand is the instance's own."""

    brand: str
    schedule: Schedule


class Round(Struct, frozen=True):
    """The running round of a raffle, which may lie ahead.

    `tickets` were issued in it so far, to `entrants` players who bought them, or a part of one, with `counted` units.
    """

    number: int
    starts_ms: int
    ends_ms: int
    tickets: int = 0
    entrants: int = 0
    counted: int = 0


class Rare(Struct, frozen=True):
    """What few contributions change about an instance.

    `withheld` is the money of the held wins, `sent` what went to other instances, `received` what came from them;
    `net` is what all of these accounts, boosts and undistributed money hold together. `lifetime` is the board of all
    times. `document` is the template as parameters have changed it; empty while it is as it was born. `taken` are ids
    of what is done once: transfers sent and received, triggers, corrections that came with an id. `inherits` is the
    instance whose opt-ins count here until they have been copied. Of a raffle, `rounds` are over, `missed` of them
    while nobody served, and the last of them ended at `round_end_ms`.
    """

    seals: tuple[Seal | None, ...]
    pots: tuple[RarePot, ...]
    lifetime: tuple[Leader, ...] = ()
    held: tuple[HeldWin, ...] = ()
    withheld: int = 0
    sent: int = 0
    received: int = 0
    net: int = 0
    transfers: tuple[Transfer, ...] = ()
    taken: tuple[str, ...] = ()
    pending: tuple[PendingChange, ...] = ()
    document: bytes = b""
    inherits: str = ""
    schedules: tuple[BoundSchedule, ...] = ()
    round: Round | None = None
    rounds: int = 0
    missed: int = 0
    round_end_ms: int = 0


class Instance(Struct, frozen=True, gc=False):
    """A live jackpot: its pots and every account of its ledger.

    Money in: `contributed` by players, `operator` (its share of contributions, initial seeds, boosts, adjustments) and
    `deficit` (what reseeds lacked). Money held or out: pots and their reserves, `house`, `payouts`, the residual
    numerators, and what `rare` holds.
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
    rare: Rare

    @property
    def rules(self) -> Rules:
        return self.definition.rules


class PotCount(Struct, frozen=True, gc=False):
    """What a player put in during one cycle of one pot."""

    cycle: int
    count: int
    value: int


class LastSeen(Struct, frozen=True, gc=False):
    """A player's last contribution: its number among all of the instance, when, and how the player can be paid.

    The number is 0 in raffles, where nobody asks for it.
    """

    number: int
    at_ms: int
    currency: str
    player_rate: int
    jackpot_rate: int


class Tickets(Struct, frozen=True, gc=False):
    """What a player has in a round of a raffle: tickets, and a part of the next one in the jackpot's currency.

    `entrant` numbers those who take part in the round, from 0.
    """

    round: int
    entrant: int
    count: int
    accumulated: int


class Player(Struct, frozen=True, gc=False):
    """A player's standing with one instance; `value` is in the jackpot's currency.

    `preferences` holds the chosen contribution for each currency, the latest choice last. `last` is kept only where a
    community is paid, or tickets are issued.
    """

    opted_in: bool
    preferences: tuple[tuple[str, int], ...]
    count: int
    value: int
    pots: tuple[PotCount, ...]
    updated_ms: int
    last: LastSeen | None = None
    tickets: Tickets | None = None


UNKNOWN_PLAYER = Player(opted_in=False, preferences=(), count=0, value=0, pots=(), updated_ms=0)
