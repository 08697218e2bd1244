"""Delivery of results to webhooks: at least once, each target by itself, in memory only what is under way.

A target is the origin that an operator's results are sent to; its deliveries lie in a lane of the store. A task for
each lane takes those that are due and makes attempts side by side. What has become of them is written in groups; until
that is durable nothing else happens to them, so a crash repeats attempts and loses none.

A target that fails is tried by one delivery at a time, with growing pauses, until it answers again: its waiting results
stay with the store, and neither fall upon it together when it comes back nor use up their attempts meanwhile. Attempts
have three budgets: for targets that answer quickly, for those that nobody has tried of late, which begin with one
attempt, and for those that fail or are slow; of each an operator has a half at the most. So any number of targets that
hang does not keep those waiting that answer, nor one operator's targets those of another.
"""

import random
import ssl
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from math import inf
from typing import Protocol

import structlog
import trio
from msgspec import Struct

from jackpotd.outbound.budgets import Budget
from jackpotd.outbound.lanes import Lane, Standing
from jackpotd.outbound.resolving import Resolve, SystemResolver
from jackpotd.outbound.schedule import given_up, outcome
from jackpotd.outbound.sending import Answer, Post, Receiver
from jackpotd.outbound.signing import signature_headers
from jackpotd.outbound.targets import Targets
from jackpotd.wire.deliveries import DeadLetter, Delivery
from jackpotd.wire.webhook_urls import Unusable, parse

LOOK_AGAIN_MS = 10_000
LINGER_MS = 10_000
TRIM_INTERVAL_S = 3_600.0
OUTCOMES_MAX = 1_024
"""What is written in one transaction."""

LOOKUPS_PER_ATTEMPT_MAX = 4

_log = structlog.get_logger("jackpotd.webhooks")

Outcome = tuple[Delivery, Delivery | DeadLetter | None]


class Deliveries(Protocol):
    """The store of what is to be delivered; see `journal.delivery_store`."""

    def lanes(self) -> Sequence[bytes]: ...

    def fresh_lanes(self) -> Sequence[bytes]: ...

    def earliest(
        self, lane: bytes, limit: int, skip: Collection[str] = ()
    ) -> Sequence[Delivery]: ...

    def settle(self, outcomes: Iterable[Outcome]) -> None: ...

    def trim(self, now_ms: int) -> None: ...


class DispatcherStatistics(Struct, frozen=True):
    """Totals since the start, but for `under_way` and `targets_failing`, which are as of now."""

    delivered: int
    attempts_failed: int
    dead: int
    under_way: int
    targets_failing: int


class Dispatcher:
    """Delivers what is in a store, from `run`, which is called once, until it is cancelled.

    Args:
        store: durable; what is in it at the start is delivered, too.
        targets: what is allowed to whom, asked at each attempt.
        secrets: what an operator's results are signed with.
        clock: Unix ms.
        timeout_s: how long a receiver may take for one attempt.
        concurrency_max: attempts at once, to targets that answer quickly; as many to new ones, and to all others.
        target_concurrency_max: attempts at once to one target.
        tls: what certificates are checked with; None is the system's authorities.
        resolve: addresses of hosts; None is the system's resolver.
        chance: a number in [0, 1), for the schedule's jitter.
    """

    def __init__(
        self,
        store: Deliveries,
        targets: Targets,
        secrets: Callable[[str], Sequence[str]],
        clock: Callable[[], int],
        *,
        timeout_s: float = 15.0,
        concurrency_max: int = 64,
        target_concurrency_max: int = 4,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._targets = targets
        self._secrets = secrets
        self._clock = clock
        self._timeout_s = timeout_s
        self._target_concurrency_max = target_concurrency_max
        self._tls = tls or ssl.create_default_context()
        self._resolve = resolve or SystemResolver(
            threads_max=LOOKUPS_PER_ATTEMPT_MAX * concurrency_max
        )
        self._chance = chance
        self._budgets = {standing: Budget(concurrency_max) for standing in Standing}
        self._writers = trio.CapacityLimiter(1)
        self._lanes: dict[bytes, Lane] = {}
        self._woken = trio.Event()
        # Each lane bounds what it has in here.
        self._told, self._to_write = trio.open_memory_channel[tuple[Lane, Outcome]](inf)
        self._delivered = self._attempts_failed = self._dead = 0

    def wake(self) -> None:
        """Tells that durable deliveries are new in the store."""
        self._woken.set()

    def statistics(self) -> DispatcherStatistics:
        lanes = self._lanes.values()
        return DispatcherStatistics(
            delivered=self._delivered,
            attempts_failed=self._attempts_failed,
            dead=self._dead,
            under_way=sum(lane.active for lane in lanes),
            targets_failing=sum(lane.is_failing for lane in lanes),
        )

    async def run(self) -> None:
        """Delivers until it is cancelled; an attempt that is cut off then is repeated after the next start.

        Raises:
            StorageError: what has become of deliveries could not be written; in an exception group.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write_outcomes)
            # At the end, what was taken is written down after the last attempt has stopped: that spares repetitions.
            with self._told:
                await self._serve_all()

    async def _serve_all(self) -> None:
        """Opens a lane for each target that has something pending."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._trim)
            lanes = self._store.lanes()
            while True:
                self._woken = trio.Event()
                for key in (*lanes, *self._store.fresh_lanes()):
                    if key in self._lanes:
                        self._lanes[key].changed.set()
                    else:
                        lane = self._lanes[key] = self._new_lane(key)
                        nursery.start_soon(self._serve, lane)
                lanes = ()
                await self._woken.wait()

    def _new_lane(self, key: bytes) -> Lane:
        at_once = self._target_concurrency_max
        receiver = Receiver(
            self._resolve, self._tls, timeout_s=self._timeout_s, connections_max=at_once
        )
        return Lane(key, receiver, at_once)

    # A lane.

    async def _serve(self, lane: Lane) -> None:
        """Delivers what is in a lane until there was nothing for a while."""
        is_lingering = False
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    lane.changed = trio.Event()
                    wait_ms = self._begin(lane, nursery)
                    if wait_ms is None and is_lingering:
                        break
                    is_lingering = wait_ms is None
                    wait_ms = LINGER_MS if wait_ms is None else wait_ms
                    if lane.is_idle and wait_ms >= LINGER_MS:
                        await lane.receiver.close()
                    # Not for long in one go: the clock that says what is due may be set.
                    with trio.move_on_after(min(wait_ms, LOOK_AGAIN_MS) / 1000):
                        await lane.changed.wait()
                        is_lingering = False
                # Without a pause since the lane was found empty: what comes now opens it again.
                del self._lanes[lane.key]
        finally:
            await lane.receiver.close()

    def _begin(self, lane: Lane, nursery: trio.Nursery) -> float | None:
        """Begins attempts that are due, as many as may be made; how long to wait then, None where nothing is left."""
        now_ms = self._clock()
        room = lane.room()
        if room <= 0:
            return LOOK_AGAIN_MS
        if held_ms := lane.held_ms(now_ms):
            return held_ms
        found = self._store.earliest(lane.key, room + 1, lane.unsettled)
        for delivery in found[:room]:
            if delivery.next_ms > now_ms:
                return delivery.next_ms - now_ms
            lane.began(delivery)
            nursery.start_soon(self._attempt, lane, delivery)
        return LOOK_AGAIN_MS if found or lane.unsettled else None

    async def _attempt(self, lane: Lane, delivery: Delivery) -> None:
        async with self._budgets[lane.standing].of(delivery.operator):
            after = await self._tried(lane, delivery)
        self._told.send_nowait((lane, (delivery, after)))
        lane.ended()

    async def _tried(self, lane: Lane, delivery: Delivery) -> Delivery | DeadLetter | None:
        """Makes an attempt, if it is still permitted; what becomes of the delivery."""
        operator, now_ms = delivery.operator, self._clock()
        refusal = self._targets.refusal(operator, delivery.url)
        url = parse(delivery.url)
        if refusal is not None or isinstance(url, Unusable):
            return self._not_permitted(delivery, refusal or "", now_ms)
        body = bytes(delivery.body)
        headers = {
            "content-type": "application/json",
            **signature_headers(delivery.id, now_ms // 1000, body, self._secrets(operator)),
        }

        def may_connect(address: str) -> bool:
            return self._targets.may_connect(operator, delivery.url, address)

        began_s = trio.current_time()
        answer = await lane.receiver.send(Post(url, headers, body), may_connect, now_ms)
        now_ms, took_s = self._clock(), trio.current_time() - began_s
        if lane.answered(answer, now_ms, took_s):
            self._tell_change(lane, operator, url.origin, answer)
        after = outcome(delivery, answer, now_ms, self._chance())
        self._delivered += after is None
        self._attempts_failed += after is not None
        return self._gave_up(after) if isinstance(after, DeadLetter) else after

    def _not_permitted(
        self, delivery: Delivery, refusal: str, now_ms: int
    ) -> Delivery | DeadLetter | None:
        """What is on no list is given up; a new one is looked at twice: this node may hear of its prefix after it."""
        if delivery.attempts:
            return self._gave_up(given_up(delivery, refusal, now_ms))
        self._attempts_failed += 1
        return outcome(delivery, Answer(None, refusal), now_ms, self._chance())

    def _gave_up(self, letter: DeadLetter) -> DeadLetter:
        self._dead += 1
        # Its URL may hold a token of the operator's: that is not for the log.
        _log.warning(
            "a result was given up",
            id=letter.id,
            operator=letter.operator,
            attempts=letter.attempts,
            reason=letter.reason,
        )
        return letter

    @staticmethod
    def _tell_change(lane: Lane, operator: str, origin: str, answer: Answer) -> None:
        if lane.is_failing:
            _log.warning(
                "webhooks are not taken", operator=operator, target=origin, reason=answer.reason
            )
        else:
            _log.info("webhooks are taken again", operator=operator, target=origin)

    # The store.

    async def _write_outcomes(self) -> None:
        """Writes what has become of deliveries, all that is there in one transaction, until nothing more will come."""
        with trio.CancelScope(shield=True):
            async for first in self._to_write:
                told = [first, *self._ready()]
                outcomes = [each for _, each in told]
                await trio.to_thread.run_sync(self._store.settle, outcomes, limiter=self._writers)
                for lane, (delivery, _) in told:
                    lane.settled(delivery)

    def _ready(self) -> list[tuple[Lane, Outcome]]:
        found: list[tuple[Lane, Outcome]] = []
        with suppress(trio.WouldBlock, trio.EndOfChannel):
            while len(found) < OUTCOMES_MAX:
                found.append(self._to_write.receive_nowait())
        return found

    async def _trim(self) -> None:
        while True:
            now_ms = self._clock()
            await trio.to_thread.run_sync(self._store.trim, now_ms, limiter=self._writers)
            await trio.sleep(TRIM_INTERVAL_S)
