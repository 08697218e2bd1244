"""What is known of one target while something is pending for it: what is under way, and how it has answered of late."""

from enum import Enum, auto

import trio

from jackpotd.outbound.sending import Answer, Receiver
from jackpotd.wire.deliveries import Delivery

PAUSE_FIRST_MS = 100
PAUSE_MAX_MS = 5_000
HOLD_MAX_MS = 300_000
"""A target that asks to be left alone is asked again after this by another delivery, if that one is due."""

UNSETTLED_PER_ATTEMPT_MAX = 8
QUICK_S = 1.0


class Standing(Enum):
    """How a target has answered of late: quickly; slowly or not at all; nobody has asked."""

    QUICK = auto()
    BAD = auto()
    NEW = auto()


class Lane:
    """One target.

    Attributes:
        key: the lane in the store.
        receiver: its connections.
        changed: set when there may be more to do than was seen last.
        active: attempts under way.
        unsettled: ids of deliveries that are under way, or whose outcome is not durable yet.
    """

    def __init__(self, key: bytes, receiver: Receiver, attempts_max: int) -> None:
        self.key = key
        self.receiver = receiver
        self.changed = trio.Event()
        self.active = 0
        self.unsettled: set[str] = set()
        self._attempts_max = attempts_max
        self._failures = 0
        self._has_answered = False
        self._is_quick = False
        self._held_from_ms = self._held_until_ms = 0

    @property
    def is_failing(self) -> bool:
        return self._failures > 0

    @property
    def standing(self) -> Standing:
        """What is to be expected of the next attempt."""
        if not (self._has_answered or self.is_failing):
            return Standing.NEW
        return Standing.QUICK if self._is_quick and not self.is_failing else Standing.BAD

    @property
    def is_idle(self) -> bool:
        return not self.active and not self.unsettled

    def room(self) -> int:
        """How many attempts may begin: one at a time where the target fails, or has not answered yet."""
        at_once = self._attempts_max if self._has_answered and not self.is_failing else 1
        waiting_max = UNSETTLED_PER_ATTEMPT_MAX * self._attempts_max
        return min(at_once - self.active, waiting_max - len(self.unsettled))

    def held_ms(self, now_ms: int) -> int:
        """How long the target is to be left alone; not at all if the clock was set back meanwhile."""
        if not self._held_from_ms <= now_ms < self._held_until_ms:
            return 0
        return self._held_until_ms - now_ms

    def began(self, delivery: Delivery) -> None:
        self.active += 1
        self.unsettled.add(delivery.id)

    def answered(self, answer: Answer, now_ms: int, took_s: float) -> bool:
        """Takes note of how an attempt ended; whether that has changed what is thought of the target."""
        was_failing = self.is_failing
        self._has_answered = self._has_answered or not answer.is_away
        self._is_quick = took_s <= QUICK_S
        self._failures = self._failures + 1 if answer.is_away else 0
        if answer.is_away:
            # After the first failure the next delivery is tried at once: it may have been the one result.
            exponent = min(self._failures - 2, 16)
            pause_ms = PAUSE_FIRST_MS << exponent if exponent >= 0 else 0
            hold_ms = max(min(pause_ms, PAUSE_MAX_MS), min(answer.retry_after_ms, HOLD_MAX_MS))
            self._held_from_ms, self._held_until_ms = now_ms, now_ms + hold_ms
        else:
            self._held_until_ms = 0
        return was_failing != self.is_failing

    def ended(self) -> None:
        self.active -= 1
        self.changed.set()

    def settled(self, delivery: Delivery) -> None:
        self.unsettled.discard(delivery.id)
        self.changed.set()
