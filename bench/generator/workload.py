"""The one workload of all benches: seeded players and wagers of the demo's operator, as bytes ready to be sent.

A run is its seed: the same players stake the same amounts in the same order. Only idempotency keys and round ids carry
the run's own name, so that no run repeats another one's keys. Bodies are encoded once, in `VARIANTS` variants with a
hole of fixed width for the request's number, because a generator that encodes JSON is as slow as what it measures.
"""

import random

import msgspec
from msgspec import Struct

OPERATOR = "thrilltech"
BRANDS = ("brand1", "brand2")
SLOTS = "casino-slots"
V1_PATH = "/jackpots/contribute/source"
V2_PATH = "/v2/jackpots/contribute"
BATCH_PATH = "/v2/jackpots/contribute/batch"
VARIANTS = 4096

_NUMBER_DIGITS = 12
_HOLE = "#" * _NUMBER_DIGITS
_CURRENCIES = {"EUR": "MT", "USD": "USA", "GBP": "UK", "SEK": "SE"}
_WAGERS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 25)
_WEIGHTS = (10, 20, 25, 20, 12, 8, 4, 1)
_SEGMENTS = (["regular"], ["regular", "vip-1"], None)


class Workload(Struct, frozen=True):
    """What is sent.

    Attributes:
        seed: the run; the same seed is the same traffic.
        sources: the demo's sources, one chosen for each contribution. The default is one jackpot of three pots without
            links: every request is one contribution to one hot row.
        instances: where given, these are addressed directly instead of sources (v2 only).
        players: how many different players there are.
        v1_share: the part of requests, 0 to 1, that use the v1 call.
        batch: contributions in one request to the batch endpoint; 0 uses the calls for single ones.
        is_ndjson: a batch is lines of JSON instead of an array.
    """

    seed: int = 1
    sources: tuple[str, ...] = (SLOTS,)
    instances: tuple[str, ...] = ()
    players: int = 10_000
    v1_share: float = 0.0
    batch: int = 0
    is_ndjson: bool = False


class Requests:
    """Makes the bytes of one request after the other, without an end.

    Args:
        workload: what is sent.
        host: for the Host header.
        token: the service token, sent as it is.
        run: a name that no other run on the same data has.
    """

    def __init__(self, workload: Workload, *, host: str, token: str, run: str) -> None:
        self._number = 0
        self._batch = workload.batch
        self._separator = b"\n" if workload.is_ndjson else b","
        self._brackets = (b"", b"\n") if workload.is_ndjson else (b"[", b"]")
        media = "application/x-ndjson" if workload.is_ndjson else "application/json"
        self._heads = {
            path: (
                f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
                f"Content-Type: {media if path == BATCH_PATH else 'application/json'}\r\n"
                "Content-Length: "
            ).encode()
            for path in (V1_PATH, V2_PATH, BATCH_PATH)
        }
        draw = random.Random(workload.seed)
        self._variants = [self._variant(workload, draw, run) for _ in range(VARIANTS)]

    @property
    def contributions_each(self) -> int:
        """Contributions in one request."""
        return max(1, self._batch)

    def _variant(
        self, workload: Workload, draw: random.Random, run: str
    ) -> tuple[bytes, bytes, bytes]:
        """A request around the two places of its number; of a batch, an element without a head."""
        is_v1 = not workload.instances and draw.random() < workload.v1_share
        body = _contribution(workload, draw, run, is_v1=is_v1 and not self._batch)
        encoded = msgspec.json.encode(body)
        if self._batch:
            whole = encoded
        else:
            head = self._heads[V1_PATH if is_v1 else V2_PATH]
            whole = b"%b%d\r\n\r\n%b" % (head, len(encoded), encoded)
        start, middle, end = whole.split(_HOLE.encode())
        return start, middle, end

    def next(self) -> bytes:
        """The next request."""
        if self._batch:
            return self._next_batch()
        self._number += 1
        number = b"%012d" % self._number
        start, middle, end = self._variants[self._number % VARIANTS]
        return b"".join((start, number, middle, number, end))

    def _next_batch(self) -> bytes:
        elements = []
        for _ in range(self._batch):
            self._number += 1
            number = b"%012d" % self._number
            start, middle, end = self._variants[self._number % VARIANTS]
            elements.append(b"".join((start, number, middle, number, end)))
        opened, closed = self._brackets
        body = b"".join((opened, self._separator.join(elements), closed))
        return b"%b%d\r\n\r\n%b" % (self._heads[BATCH_PATH], len(body), body)


def _contribution(
    workload: Workload, draw: random.Random, run: str, *, is_v1: bool
) -> dict[str, object]:
    number = draw.randrange(workload.players)
    currency = draw.choice(tuple(_CURRENCIES))
    (wager,) = draw.choices(_WAGERS, _WEIGHTS)
    segments = draw.choice(_SEGMENTS)
    brand = BRANDS[number % len(BRANDS)]
    player = {"id": f"player_{number:08d}", "token": f"token_{number:08d}"}
    if is_v1:
        return {
            "token": player["token"],
            "brand_id": f"{OPERATOR}:{brand}",
            "player_id": player["id"],
            "player_country": _CURRENCIES[currency],
            "base_wager": wager,
            "currency": currency,
            "gameround_id": f"round-{_HOLE}",
            "source_id": draw.choice(workload.sources),
            "segments": segments,
            "idempotency_key": f"{run}-{_HOLE}",
        }
    kind = "instance" if workload.instances else "source"
    return {
        "target": {"type": kind, "id": draw.choice(workload.instances or workload.sources)},
        "operator_id": OPERATOR,
        "player": {
            **player,
            "country": _CURRENCIES[currency],
            "brand_id": brand,
            "segments": segments,
        },
        "base_wager": {"currency": currency, "value": wager},
        "source": {"type": "gameround", "id": f"gameround-{_HOLE}"},
        "options": {"idempotency_key": f"{run}-{_HOLE}", "allow_linked_contributions": True},
    }
