"""Results on their way to webhooks, and those that were given up, as rows of the feed's LMDB environment.

Deliveries lie in lanes, one for each origin that an operator's results are sent to, and there in the order of the time
at which they are due. So whoever delivers needs memory for what is under way alone, however many are waiting, and a
receiver that is away keeps nobody else's waiting. Dead letters lie in the order in which they were given up.

    w d LANE DUE ID  a delivery      w x OPERATOR DEAD ID  a dead letter
    w l LANE         how many        w o OPERATOR          how many
                                     w i OPERATOR ID       when it was given up

LANE and OPERATOR are digests of 16 bytes, ID is one of 12; times are Unix ms, 8 bytes, so that keys sort by them.
"""

import threading
from collections.abc import Collection, Iterable, Sequence
from hashlib import blake2b
from typing import Any

from msgspec import Struct

from jackpotd.wire.deliveries import DeadLetter, Delivery, decode, encode
from jackpotd.wire.webhook_urls import WebhookUrl, parse

Lane = bytes
Outcome = tuple[Delivery, Delivery | DeadLetter | None]
"""A delivery as it was, and what has become of it: due again, given up, or taken (None)."""

STEP_LETTERS = 256
"""Dead letters moved or forgotten in one transaction: the commits of others wait for no more than these."""

_DELIVERY = b"wd"
_LANE = b"wl"
_LETTER = b"wx"
_OPERATOR = b"wo"
_BY_ID = b"wi"
_GROUP_BYTES = 16
_ID_BYTES = 12
_NUMBER_BYTES = 8
_TOO_MANY = "too many results are waiting for this target"


class DeliveryLimits(Struct, frozen=True, kw_only=True):
    """How much is kept. What is one too many for a target becomes a dead letter at once; the oldest letters make room.

    `replay_letters_max` are put on their way again by one call.
    """

    pending_per_target_max: int = 1_000_000
    letters_per_operator_max: int = 100_000
    letter_age_max_ms: int = 90 * 86_400_000
    replay_letters_max: int = 10_000


class DeliveryStatistics(Struct, frozen=True):
    """Deliveries that are waiting or under way, the lanes that they lie in, and dead letters."""

    pending: int
    lanes: int
    dead_letters: int


def lane_of(delivery: Delivery) -> Lane:
    """The lane of an operator's results for one origin, however their URLs are spelt."""
    url = parse(delivery.url)
    origin = url.origin if isinstance(url, WebhookUrl) else ""
    return _group(f"{delivery.operator}\0{origin}")


def _group(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=_GROUP_BYTES).digest()


def _id(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=_ID_BYTES).digest()


def _number(value: int) -> bytes:
    return value.to_bytes(_NUMBER_BYTES, "big")


def _delivery_key(lane: Lane, delivery: Delivery) -> bytes:
    return _DELIVERY + lane + _number(delivery.next_ms) + _id(delivery.id)


def _letter_key(operator: bytes, letter: DeadLetter) -> bytes:
    return _LETTER + operator + _number(letter.dead_ms) + _id(letter.id)


class DeliveryStore:
    """The deliveries of one feed. Reads are short and may be done in any thread; whatever writes says so.

    Args:
        env: the feed's environment.
        writing: held by whoever writes to it.
        limits: how much is kept.
    """

    def __init__(
        self, env: Any, writing: threading.Lock, limits: DeliveryLimits | None = None
    ) -> None:
        self._env = env
        self._writing = writing
        self._limits = limits or DeliveryLimits()
        # Lanes that got deliveries, each with the transaction that brought the last of them.
        self._fresh: dict[Lane, int] = {}
        self._noting = threading.Lock()

    # Pending.

    def put(self, txn: Any, deliveries: Sequence[Delivery]) -> None:
        """Adds deliveries, within a write transaction of the environment that the caller commits."""
        for delivery in deliveries:
            lane = lane_of(delivery)
            if not self._put(txn, lane, delivery):
                self._bury(
                    txn,
                    DeadLetter(
                        id=delivery.id,
                        operator=delivery.operator,
                        url=delivery.url,
                        body=delivery.body,
                        created_ms=delivery.created_ms,
                        dead_ms=delivery.next_ms,
                        attempts=delivery.attempts,
                        reason=_TOO_MANY,
                    ),
                )

    def _put(self, txn: Any, lane: Lane, delivery: Delivery) -> bool:
        """Adds one; False where its lane is full."""
        pending = int.from_bytes(txn.get(_LANE + lane, b""), "big")
        if pending >= self._limits.pending_per_target_max:
            return False
        if txn.put(_delivery_key(lane, delivery), encode(delivery), overwrite=False):
            txn.put(_LANE + lane, _number(pending + 1))
            with self._noting:
                self._fresh[lane] = txn.id()
        return True

    def lanes(self) -> list[Lane]:
        """All lanes in which something is pending."""
        with self._env.begin() as txn:
            return [key[len(_LANE) :] for key, _ in _below(txn, _LANE)]

    def fresh_lanes(self) -> list[Lane]:
        """Lanes that got deliveries since the last call, by transactions that are durable."""
        with self._env.begin() as txn:
            durable = txn.id()
        with self._noting:
            lanes = [lane for lane, at in self._fresh.items() if at <= durable]
            for lane in lanes:
                del self._fresh[lane]
        return lanes

    def earliest(self, lane: Lane, limit: int, skip: Collection[str] = ()) -> list[Delivery]:
        """The deliveries of a lane that are due first, without those whose ids are to be skipped."""
        found: list[Delivery] = []
        with self._env.begin() as txn:
            for _, data in _below(txn, _DELIVERY + lane):
                delivery = decode(data)
                if isinstance(delivery, Delivery) and delivery.id not in skip:
                    found.append(delivery)
                    if len(found) >= limit:
                        break
        return found

    def settle(self, outcomes: Iterable[Outcome]) -> None:
        """Writes what has become of deliveries, in one durable transaction; each counts once, however often it is told.

        Raises:
            StorageError: disk full, I/O error; nothing was written.
        """
        with self._writing, self._env.begin(write=True) as txn:
            for delivery, outcome in outcomes:
                lane = lane_of(delivery)
                if not txn.delete(_delivery_key(lane, delivery)):
                    continue
                if isinstance(outcome, Delivery):
                    txn.put(_delivery_key(lane, outcome), encode(outcome))
                    continue
                _count(txn, _LANE + lane, -1)
                if outcome is not None:
                    self._bury(txn, outcome)

    # Dead letters.

    def _bury(self, txn: Any, letter: DeadLetter) -> None:
        """Keeps a dead letter; the operator's oldest make room for it."""
        operator = _group(letter.operator)
        self._unbury(txn, operator, _id(letter.id))
        key = _letter_key(operator, letter)
        txn.put(key, encode(letter))
        txn.put(_BY_ID + operator + key[-_ID_BYTES:], _number(letter.dead_ms))
        count = _count(txn, _OPERATOR + operator, 1)
        for _ in range(count - self._limits.letters_per_operator_max):
            with txn.cursor() as cursor:
                cursor.set_range(_LETTER + operator)
                oldest = cursor.key()
            self._unbury(txn, operator, oldest[-_ID_BYTES:])

    @staticmethod
    def _unbury(txn: Any, operator: bytes, letter_id: bytes) -> DeadLetter | None:
        """Takes a dead letter out; None where there is none with this id."""
        dead = txn.pop(_BY_ID + operator + letter_id)
        if dead is None:
            return None
        letter = decode(txn.pop(_LETTER + operator + dead + letter_id))
        _count(txn, _OPERATOR + operator, -1)
        return letter if isinstance(letter, DeadLetter) else None

    def dead_letters(self, operator: str, skip: int, limit: int) -> list[DeadLetter]:
        """An operator's dead letters, the latest first."""
        prefix = _LETTER + _group(operator)
        found: list[DeadLetter] = []
        with self._env.begin() as txn, txn.cursor() as cursor:
            is_there = _before(cursor, prefix + b"\xff" * (_NUMBER_BYTES + _ID_BYTES))
            while is_there and len(found) < limit and cursor.key().startswith(prefix):
                letter = decode(cursor.value()) if skip <= 0 else None
                if isinstance(letter, DeadLetter):
                    found.append(letter)
                skip -= 1
                is_there = cursor.prev()
        return found

    def replay(self, operator: str, ids: Collection[str], now_ms: int) -> list[str]:
        """Makes an operator's dead letters deliveries again, due now: those named, or its oldest where none is named.

        It writes, in small transactions. What its target has no room for stays a dead letter.

        Returns:
            The ids of those that are on their way again, at most `replay_letters_max`.

        Raises:
            StorageError: disk full, I/O error; what is on its way again already stays so.
        """
        group = _group(operator)
        wanted = [_id(each) for each in ids] or self._oldest(group)
        wanted = wanted[: self._limits.replay_letters_max]
        replayed: list[str] = []
        for first in range(0, len(wanted), STEP_LETTERS):
            with self._writing, self._env.begin(write=True) as txn:
                for letter_id in wanted[first : first + STEP_LETTERS]:
                    letter = self._unbury(txn, group, letter_id)
                    if letter is None:
                        continue
                    if self._revive(txn, letter, now_ms):
                        replayed.append(letter.id)
                    else:
                        self._bury(txn, letter)
        return replayed

    def _revive(self, txn: Any, letter: DeadLetter, now_ms: int) -> bool:
        delivery = Delivery(
            id=letter.id,
            operator=letter.operator,
            url=letter.url,
            body=letter.body,
            created_ms=letter.created_ms,
            next_ms=now_ms,
        )
        return self._put(txn, lane_of(delivery), delivery)

    def _oldest(self, operator: bytes) -> list[bytes]:
        """The ids of an operator's dead letters, as many as are replayed at once."""
        ids: list[bytes] = []
        with self._env.begin() as txn:
            for key, _ in _below(txn, _LETTER + operator):
                ids.append(key[-_ID_BYTES:])
                if len(ids) >= self._limits.replay_letters_max:
                    break
        return ids

    def trim(self, now_ms: int) -> None:
        """Forgets dead letters that are too old. It writes, in small transactions."""
        before = _number(max(0, now_ms - self._limits.letter_age_max_ms))
        with self._env.begin() as txn:
            operators = [key[len(_OPERATOR) :] for key, _ in _below(txn, _OPERATOR)]
        for operator in operators:
            while self._trim_step(operator, before) == STEP_LETTERS:
                pass

    def _trim_step(self, operator: bytes, before: bytes) -> int:
        """Forgets some of an operator's letters; how many."""
        start = len(_LETTER) + _GROUP_BYTES
        with self._env.begin() as txn:
            old: list[bytes] = []
            for key, _ in _below(txn, _LETTER + operator):
                if key[start : start + _NUMBER_BYTES] >= before or len(old) >= STEP_LETTERS:
                    break
                old.append(key[-_ID_BYTES:])
        if old:
            with self._writing, self._env.begin(write=True) as txn:
                for letter_id in old:
                    self._unbury(txn, operator, letter_id)
        return len(old)

    def statistics(self) -> DeliveryStatistics:
        with self._env.begin() as txn:
            pending = [int.from_bytes(data, "big") for _, data in _below(txn, _LANE)]
            letters = sum(int.from_bytes(data, "big") for _, data in _below(txn, _OPERATOR))
        return DeliveryStatistics(sum(pending), len(pending), letters)


def _below(txn: Any, prefix: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Rows with a prefix in ascending order; whoever asks takes few, or rows of which there are few."""
    with txn.cursor() as cursor:
        is_there = cursor.set_range(prefix)
        while is_there and cursor.key().startswith(prefix):
            yield cursor.key(), cursor.value()
            is_there = cursor.next()


def _before(cursor: Any, key: bytes) -> bool:
    """Moves to the last row that is not behind a key; False where there is none."""
    if not cursor.set_range(key):
        return bool(cursor.last())
    return bool(cursor.key() == key or cursor.prev())


def _count(txn: Any, key: bytes, change: int) -> int:
    """Adds to a count, which has no row where it is 0."""
    count = int.from_bytes(txn.get(key, b""), "big") + change
    if count:
        txn.put(key, _number(count))
    else:
        txn.delete(key)
    return count
