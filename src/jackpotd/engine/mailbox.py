"""A bounded mailbox: many senders, one owner that drains whatever is waiting at each wake-up."""

from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class MailboxFull(Exception):
    """The owner is behind by `length_max` messages; the sender should shed load."""


class Mailbox(Generic[T]):
    """Posting never waits, so a sender cannot be held up by an owner."""

    __slots__ = ("_arrived", "_length_max", "_messages")

    def __init__(self, length_max: int) -> None:
        self._length_max = length_max
        self._messages: list[T] = []  # an empty deque takes as much as a jackpot
        self._arrived = trio.Event()

    def __len__(self) -> int:
        return len(self._messages)

    def post(self, message: T) -> None:
        """Leaves a message.

        Raises:
            MailboxFull: shed this load.
        """
        if len(self._messages) >= self._length_max:
            raise MailboxFull
        self.post_due(message)

    def post_due(self, message: T) -> None:
        """Leaves a message that must be delivered: its sender has already acted, and bounds how many there are."""
        self._messages.append(message)
        self._arrived.set()

    def take(self) -> list[T]:
        """All messages that are waiting, none of which the owner will see."""
        messages, self._messages = self._messages, []
        return messages

    async def drain(self) -> list[T]:
        """All messages that are waiting; waits for the first."""
        await self._arrived.wait()
        messages, self._messages = self._messages, []
        self._arrived = trio.Event()
        return messages
