"""What the nodes of one jackpotd ask each other about raffles; in the frames of the mesh, like all its messages."""

from typing import Literal

from msgspec import Struct

from jackpotd.wire import parts


class _Message(Struct, frozen=True, array_like=True):
    pass


class AskEntrants(_Message, frozen=True, tag=60):
    """A page of those who take part in a raffle's running round, of these brands or (None) of all: Entrants."""

    instance_id: str
    brands: tuple[str, ...] | None
    by: Literal["entrant", "ticket_count", "player_id"]
    descending: bool
    skip: int
    limit: int


class Entrants(_Message, frozen=True, tag=61):
    """The instance's row, and the entrants: brand, id and tickets."""

    instance: bytes
    entrants: tuple[tuple[str, str, parts.Tickets], ...]


class AskTickets(_Message, frozen=True, tag=62):
    """What a player has in the running rounds of these raffles: HeldTickets."""

    instance_ids: tuple[str, ...]
    brand: str
    player_id: str


class HeldTickets(_Message, frozen=True, tag=63):
    """Of each raffle in which the player takes part: its id, start and end of the round, the tickets.

    `missing` are those that do not live with the worker.
    """

    held: tuple[tuple[str, int, int, parts.Tickets], ...]
    missing: tuple[str, ...]


class AskRounds(_Message, frozen=True, tag=64):
    """The latest rounds of a raffle that were resolved, with numbers below `before`: ResolvedRounds."""

    instance_id: str
    limit: int
    before: int | None


class ResolvedRounds(_Message, frozen=True, tag=65):
    """Rows of rounds."""

    rows: tuple[bytes, ...]


class AskRound(_Message, frozen=True, tag=66):
    """One round that was resolved: ResolvedRound."""

    instance_id: str
    number: int


class ResolvedRound(_Message, frozen=True, tag=67):
    """The rows of the instance, of the round, of its winners and of the credits that are still open."""

    instance: bytes
    row: bytes
    winners: tuple[bytes, ...]
    credits: tuple[bytes, ...]


RaffleMessage = (
    AskEntrants
    | Entrants
    | AskTickets
    | HeldTickets
    | AskRounds
    | ResolvedRounds
    | AskRound
    | ResolvedRound
)
