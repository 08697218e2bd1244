"""The clients: each sends one operation after the other, whatever becomes of the server.

A client lives through all lives of the server. What a crash left unanswered it sends again by its
key, before anything new; what was answered it repeats now and then.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import trio

from .book import TURNED_AWAY
from .calls import CutOffError, UnansweredError, open_caller
from .operations import Contribute, Maker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .book import Book
    from .calls import Answer, Caller
    from .operations import Kind, Operation, OptInOut

REPEAT_SHARE: Final = 0.06
RETRY_S: Final = 0.05
REPRESENTATION: Final = {"Prefer": "return=representation"}


class Trigger:
    """Fires when so many requests have been sent, or answered."""

    def __init__(self, *, sent: int | None = None, answered: int | None = None) -> None:
        self.fired = trio.Event()
        self.is_outlived = False  # what ends is one worker: the others answer, and it comes back
        self.is_over = False
        self._sent_left = sent
        self._answered_left = answered

    def on_sent(self) -> None:
        self._sent_left = self._count_down(self._sent_left)

    def on_answered(self) -> None:
        self._answered_left = self._count_down(self._answered_left)

    def _count_down(self, left: int | None) -> int | None:
        if left is None:
            return None
        if left <= 1:
            self.fired.set()
        return left - 1


class Client:
    """One sender with players of its own, one request at a time."""

    def __init__(self, name: str, seed: str, book: Book, kinds: Sequence[Kind]) -> None:
        self._rng = Random(f"{seed} {name}")
        self._maker = Maker(name, self._rng, kinds)
        self._book = book
        self._pending: list[Contribute] = []
        self._done: list[Contribute] = []
        self.players: Final = self._maker.players

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    async def run(self, url: str, token: str, trigger: Trigger) -> None:
        """Send until the server is gone, which it must not be before its time."""
        async with open_caller(url, token) as gateway:
            while not trigger.is_over:
                if await self._serve(gateway, self._next(), trigger):
                    continue
                if not trigger.is_outlived:
                    break
                await trio.sleep(RETRY_S)  # as a client would, that is told to come back later
        assert trigger.fired.is_set(), "a connection broke, and nobody has ended the server"

    async def finish(self, url: str, token: str) -> None:
        """Ask for everything that is still open."""
        async with open_caller(url, token) as gateway:
            while self._pending:
                assert await self._serve(gateway, self._pending[0], Trigger())

    def _next(self) -> Operation:
        if self._pending:
            return self._rng.choice(self._pending)
        if self._done and self._rng.random() < REPEAT_SHARE:
            return self._rng.choice(self._done)
        return self._maker.operation()

    async def _serve(self, gateway: Caller, operation: Operation, trigger: Trigger) -> bool:
        """Whether the server is still there."""
        if isinstance(operation, Contribute):
            return await self._contribute(gateway, operation, trigger)
        return await self._opt(gateway, operation, trigger)

    async def _contribute(
        self, gateway: Caller, contribution: Contribute, trigger: Trigger
    ) -> bool:
        self._book.sending(contribution)
        trigger.on_sent()
        prefer = self._rng.random() < 0.6
        try:
            answer = await gateway.post(
                contribution.path, contribution.body, headers=REPRESENTATION if prefer else None
            )
        except (UnansweredError, CutOffError) as broken:
            self._broken(contribution, broken)
            return False
        if answer.status == TURNED_AWAY and trigger.fired.is_set():
            self._broken(contribution, None)
            return False
        assert (answer.status == 200) == prefer or not answer.is_replay, answer
        self._book.answered(contribution, answer)
        self._put_away(contribution, answer)
        trigger.on_answered()
        return True

    def _broken(self, contribution: Contribute, broken: Exception | None) -> None:
        """No answer, or 503 from a server that is about to end: its key is asked another time."""
        status = broken.status if isinstance(broken, CutOffError) else None
        contribution.was_begun_to_answer |= status == 200
        self._book.unanswered(contribution, cut_off=status)
        if contribution.is_pending and contribution not in self._pending:
            self._pending.append(contribution)

    def _put_away(self, contribution: Contribute, answer: Answer) -> None:
        if contribution in self._pending:
            self._pending.remove(contribution)
            self._book.tally["retried" if answer.is_replay else "retried afresh"] += 1
        if contribution.key is not None and len(contribution.answers) == 1 and not answer.refusal:
            self._done.append(contribution)

    async def _opt(self, gateway: Caller, operation: OptInOut, trigger: Trigger) -> bool:
        self._book.opting(operation)
        trigger.on_sent()
        try:
            answer = await gateway.post(operation.path, operation.body)
        except (UnansweredError, CutOffError):
            self._book.opt_in_unanswered(operation)
            return False
        if trigger.fired.is_set() and _is_turned_away(answer):
            self._book.opt_in_unanswered(operation)
            return False
        self._book.opted(operation, answer)
        trigger.on_answered()
        return True


def _is_turned_away(answer: Answer) -> bool:
    """As a whole, or by the worker of one of the instances: it may have happened there all the same."""
    if answer.status == 200 and answer.body is not None:
        return any(each["status_code"] == TURNED_AWAY for each in answer.body["failed"])
    return answer.status == TURNED_AWAY
