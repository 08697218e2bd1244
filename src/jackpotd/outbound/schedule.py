"""When a result is tried again, and when it is given up: the schedule of Standard Webhooks 1.0 (contract §3)."""

from msgspec import structs

from jackpotd.outbound.sending import Answer
from jackpotd.wire.deliveries import DeadLetter, Delivery

DELAYS_S = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""What each attempt waits for after the one before it."""

JITTER = 0.1
"""The part of a delay that may be added to it, so that what failed together is not tried together."""


def outcome(
    delivery: Delivery, answer: Answer, now_ms: int, chance: float
) -> Delivery | DeadLetter | None:
    """What becomes of a delivery after an attempt: nothing is left to do, it is due again, or it is given up.

    Args:
        delivery: as it was before the attempt.
        answer: how the attempt ended.
        now_ms: when it ended, Unix ms.
        chance: in [0, 1), decides how much later than the schedule's the next one is.
    """
    if answer.is_taken:
        return None
    attempts = delivery.attempts + 1
    if answer.is_gone or attempts >= len(DELAYS_S):
        return given_up(structs.replace(delivery, attempts=attempts), answer.reason, now_ms)
    delay_ms = int(DELAYS_S[attempts] * 1000 * (1 + JITTER * chance))
    return structs.replace(
        delivery,
        attempts=attempts,
        next_ms=now_ms + max(delay_ms, answer.retry_after_ms),
        last=answer.reason,
    )


def given_up(delivery: Delivery, reason: str, now_ms: int) -> DeadLetter:
    """The dead letter of a delivery that is not tried any more."""
    return DeadLetter(
        id=delivery.id,
        operator=delivery.operator,
        url=delivery.url,
        body=delivery.body,
        created_ms=delivery.created_ms,
        dead_ms=now_ms,
        attempts=delivery.attempts,
        reason=reason,
    )
