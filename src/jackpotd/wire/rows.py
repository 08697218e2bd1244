"""The rows of the checkpoint: what the journal's fold looks like on disk, and the keys that order it.

A row carries `as_of`, the sequence number of the last record that it reflects, so a fold that starts earlier skips what
a row already holds. Same rules of evolution as the journal's records.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from jackpotd.core.state import Status
from jackpotd.wire import parts


class _Row(Struct, frozen=True, gc=False, array_like=True):
    pass


class PotRow(_Row, frozen=True, gc=False):
    value: int
    reserve: int
    cycle: int
    is_open: bool
    hits: int
    paid: int


class InstanceRow(_Row, frozen=True, gc=False, tag="i"):
    """An instance: `created` is its birth record as it stands in the journal.

    `rare` is missing in rows of version 0.1, which had none of it: no seals, and nothing but the first windows.
    """

    as_of: int
    created: Raw
    status: Status
    version: int
    updated_ms: int
    pots: tuple[PotRow, ...]
    carried: tuple[int, ...]
    contributions: int
    contributed: int
    operator: int
    deficit: int
    house: int
    payouts: int
    rare: parts.Rare | None = None


class PotCountRow(_Row, frozen=True, gc=False):
    cycle: int
    count: int
    value: int


class PlayerRow(_Row, frozen=True, gc=False, tag="p"):
    """A player's standing with one instance."""

    as_of: int
    opted_in: bool
    preferences: tuple[tuple[str, int], ...]
    count: int
    value: int
    pots: tuple[PotCountRow, ...]
    updated_ms: int
    last: parts.LastSeen | None = None
    tickets: parts.Tickets | None = None


class WinnerRow(_Row, frozen=True, gc=False, tag="w"):
    """What a player won of one pot, in the jackpot's currency.

    `community`: as one of the community, not by a contribution of their own. `win_withheld`: the money was held back at
    first; what has become of it since, the instance knows. A raffle's winner has the `raffle_round`, the tier of the
    prize, and the `win` in the player's `currency`.
    """

    at_ms: int
    pot: int
    brand: str
    player_id: str
    paid: int
    round_id: str
    community: bool = False
    win_withheld: bool = False
    raffle_round: int = 0
    tier: int = 0
    currency: str = ""
    win: int = 0


class RoundRow(_Row, frozen=True, gc=False, tag="n"):
    """A round of a raffle that is over: its tickets, what the pot held, what of the prizes was paid from it.

    `order` leads to its winners: it orders them among those of all rounds.
    """

    number: int
    starts_ms: int
    ends_ms: int
    resolved_ms: int
    tickets: int
    entrants: int
    counted: int
    pot: int
    prizes: int
    paid: int
    seed_deficit: int
    order: int


class CreditRow(_Row, frozen=True, gc=False, tag="c"):
    """A prize of a raffle that a wallet has still to be told of, in the player's currency: an entry of the outbox.

    One that is withheld waits for a person first.
    """

    at_ms: int
    raffle_round: int
    brand: str
    player_id: str
    currency: str
    amount: int
    round_id: str
    is_withheld: bool = False


class PropagationRow(_Row, frozen=True, gc=False, tag="l"):
    """A linked request whose links have not all answered: 0 where a result is still missing."""

    links: tuple[str, ...]
    results: tuple[int, ...]
    key_digest: bytes | None
    accepted_ms: int


class ReceivedRow(_Row, frozen=True, gc=False, tag="r"):
    """What an instance answered to a link of another worker's, as journalled; until that worker has settled."""

    worker: int
    cause: int
    place: int
    instance_id: str
    record: Raw


class DepartureRow(_Row, frozen=True, gc=False, tag="d"):
    """An instance that leaves or has left, `departed_seq` then above 0; kept until it comes back."""

    instance_id: str
    to_worker: int
    departing_seq: int
    departed_seq: int


class ImportRow(_Row, frozen=True, gc=False, tag="m"):
    """An import under way."""

    instance_id: str
    from_worker: int
    departing_seq: int


class ArrivalRow(_Row, frozen=True, gc=False, tag="a"):
    """How an instance that was not born here came here; `moves` counts all of its moves so far."""

    instance_id: str
    from_worker: int
    departing_seq: int
    moves: int


class DroppingRow(_Row, frozen=True, gc=False, tag="x"):
    """Rows of an instance are being dropped since this record: it departed, or its import was abandoned."""

    instance_id: str
    since_seq: int


class ViewRow(_Row, frozen=True, gc=False, tag="v"):
    """Another worker's keys are looked into, for as long as keys of that time live."""

    worker: int
    since_ms: int


class PositionRow(_Row, frozen=True, gc=False, tag="@"):
    """Every row reflects the journal at least up to this sequence number."""

    seq: int


Row = (
    InstanceRow
    | PlayerRow
    | WinnerRow
    | RoundRow
    | CreditRow
    | PropagationRow
    | ReceivedRow
    | DepartureRow
    | ImportRow
    | ArrivalRow
    | DroppingRow
    | ViewRow
    | PositionRow
)

POSITION_KEY = b"@"
INSTANCES = b"i"
PLAYERS = b"p"
WINNERS = b"w"
ROUNDS = b"n"
CREDITS = b"c"
PROPAGATIONS = b"l"
RECEIVED = b"r"
DEPARTURES = b"d"
IMPORTS = b"m"
ARRIVALS = b"a"
DROPPINGS = b"x"
VIEWS = b"v"

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Row)


def encode(row: Row) -> bytes:
    return _ENCODER.encode(row)


def decode(data: bytes) -> Any:
    """The row; its kind is that of the key's prefix."""
    return _DECODER.decode(data)


def instance_key(instance_id: str) -> bytes:
    return INSTANCES + instance_id.encode()


def player_prefix(instance_id: str) -> bytes:
    return f"p{instance_id}\0".encode()


def player_key(instance_id: str, brand: str, player_id: str) -> bytes:
    """Ids of instances and brands hold no NUL; a player's id stands last, so it may hold anything."""
    return f"p{instance_id}\0{brand}\0{player_id}".encode()


def player_of(key: bytes) -> tuple[str, str]:
    """Brand and player id of a player's key."""
    _, brand, player_id = key.decode().split("\0", 2)
    return brand, player_id


def winners_prefix(instance_id: str) -> bytes:
    return f"w{instance_id}\0".encode()


def winner_prefix(instance_id: str, pot: int) -> bytes:
    return winners_prefix(instance_id) + pot.to_bytes(2, "big")


def winner_key(instance_id: str, pot: int, seq: int, place: int) -> bytes:
    """Winners of one pot stand together, in the order of the journal."""
    return winner_prefix(instance_id, pot) + winner_order(seq, place)


def winner_order(seq: int, place: int) -> bytes:
    return seq.to_bytes(8, "big") + place.to_bytes(2, "big")


WINNER_ORDER_BYTES = 10


def winner_of(key: bytes) -> tuple[int, int, int]:
    """Pot, order and place of a winner's key."""
    pot, order, place = key[-12:-10], key[-10:-2], key[-2:]
    return int.from_bytes(pot, "big"), int.from_bytes(order, "big"), int.from_bytes(place, "big")


# Winners of an instance that has moved come after all from before the move, though another journal numbers them.
MOVE_BITS = 48
MOVES_MAX = (1 << 16) - 1


def order_after_moves(moves: int) -> int:
    """What is added to a journal's numbers, so that winners of an instance stay in order over its moves."""
    return moves << MOVE_BITS


def propagation_key(cause: int) -> bytes:
    return PROPAGATIONS + cause.to_bytes(8, "big")


def rounds_prefix(instance_id: str) -> bytes:
    return f"n{instance_id}\0".encode()


def round_key(instance_id: str, number: int) -> bytes:
    return rounds_prefix(instance_id) + number.to_bytes(8, "big")


def credits_prefix(instance_id: str) -> bytes:
    return f"c{instance_id}\0".encode()


def round_credits_prefix(instance_id: str, number: int) -> bytes:
    return credits_prefix(instance_id) + number.to_bytes(8, "big")


def credit_key(instance_id: str, number: int, round_id: str) -> bytes:
    """Credits of a round stand together."""
    return round_credits_prefix(instance_id, number) + round_id.encode()


def prefixes_of(instance_id: str) -> tuple[bytes, ...]:
    """What the keys of an instance's many rows begin with, in the order of the keys."""
    return (
        credits_prefix(instance_id),
        rounds_prefix(instance_id),
        player_prefix(instance_id),
        winners_prefix(instance_id),
    )


def received_key(worker: int, cause: int, place: int) -> bytes:
    return (
        RECEIVED + worker.to_bytes(2, "big") + cause.to_bytes(8, "big") + place.to_bytes(2, "big")
    )


def departure_key(instance_id: str) -> bytes:
    return DEPARTURES + instance_id.encode()


def import_key(instance_id: str) -> bytes:
    return IMPORTS + instance_id.encode()


def arrival_key(instance_id: str) -> bytes:
    return ARRIVALS + instance_id.encode()


def dropping_key(instance_id: str) -> bytes:
    return DROPPINGS + instance_id.encode()


def view_key(worker: int) -> bytes:
    return VIEWS + worker.to_bytes(2, "big")
