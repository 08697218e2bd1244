"""What the echo peers decode and encode: a v2 contribution and its answer, as plain as they can be.

Amounts are floats and nothing is checked, so an echo does less for its messages than any server could that takes money.
"""

import socket

import msgspec
from msgspec import Struct


class Target(Struct):
    type: str
    id: str


class Player(Struct):
    id: str
    token: str
    country: str
    brand_id: str
    segments: list[str] | None = None


class Wager(Struct):
    currency: str
    value: float


class Round(Struct):
    type: str
    id: str


class Options(Struct):
    idempotency_key: str
    allow_linked_contributions: bool = True


class Contribution(Struct):
    target: Target
    operator_id: str
    player: Player
    base_wager: Wager
    source: Round
    options: Options


class Received(Struct):
    """The answer for one jackpot, with the documented fields."""

    instance_id: str
    gameround_id: str
    contribution_currency: str
    contribution_amount: float
    timestamp: int = 1_795_000_000_000
    win_amount: float = 0.0
    win_pot_id: str | None = None
    tickets_awarded: int | None = None
    win_withheld: bool = False
    metadata: None = None


decode = msgspec.json.Decoder(Contribution).decode
encode = msgspec.json.Encoder().encode


def answer(contribution: Contribution, pot: float = 0.0) -> bytes:
    """The body of an answer: an array of one."""
    return encode(
        [
            Received(
                instance_id=contribution.target.id,
                gameround_id=contribution.source.id,
                contribution_currency=contribution.base_wager.currency,
                contribution_amount=contribution.base_wager.value * 0.01 + pot,
            )
        ]
    )


def listening() -> tuple[socket.socket, str]:
    """A listening socket on a free port of loopback, and the `ready` line that tells where it is."""
    opened = socket.create_server(("127.0.0.1", 0), backlog=1024)
    return opened, f"ready gateway=http://127.0.0.1:{opened.getsockname()[1]}"
