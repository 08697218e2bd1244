"""Updates of all jackpots, at a steady interval, at once after a win, and at once for who has just come.

An update's id holds the position of the last event before it, so that it can be resumed from: it is only told to who
has heard all events so far, and none after them. Who is behind gets none; the next tick says the same and more.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence

import trio

from jackpotd.feed import frames
from jackpotd.feed.board import Board
from jackpotd.feed.event_ids import EventIds
from jackpotd.feed.pace import Pace
from jackpotd.feed.subscriptions import Audience, Group, Subscriber, Subscriptions
from jackpotd.wire.feed_events import Kind, LoggedEvent

GREETING_DELAY_S = 0.05
"""Sockets that come within this time share their first updates."""


class Updates:
    """Tells the subscribers what tickers show.

    Args:
        board: what they show.
        ids: the ids of the log.
        subscriptions: who wants it.
        telling: held while anything is told to all.
        position: the last event that was told.
        interval_s: from one tick to the next.
    """

    def __init__(
        self,
        board: Board,
        ids: EventIds,
        subscriptions: Subscriptions,
        *,
        telling: trio.Lock,
        position: Callable[[], int],
        interval_s: float,
    ) -> None:
        self._board = board
        self._ids = ids
        self._subscriptions = subscriptions
        self._telling = telling
        self._position = position
        self._interval_s = interval_s
        self._won: set[str] = set()
        self._has_won = trio.Event()
        self._newcomers: list[Subscriber] = []
        self._has_newcomers = trio.Event()

    async def run(self) -> None:
        """Tells until it is cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_ticks, nursery)
            nursery.start_soon(self._tell_winners)
            nursery.start_soon(self._greet)

    def follow(self, won: set[str]) -> None:
        """Instances that were won, which everybody has been told by now."""
        if won:
            self._won |= won
            self._has_won.set()

    def greet(self, subscriber: Subscriber) -> None:
        """Somebody has come who does not wait for the next tick; nobody comes twice within two of them."""
        now = trio.current_time()
        if (
            Kind.UPDATE in subscriber.wanted.kinds
            and now - subscriber.greeted_at >= self._interval_s
        ):
            subscriber.greeted_at, subscriber.is_new = now, True
            self._newcomers.append(subscriber)
            self._has_newcomers.set()

    async def _tell_ticks(self, nursery: trio.Nursery) -> None:
        next_at = trio.current_time()
        while True:
            await self._board.refresh(nursery)
            over = self._board.newly_over()
            await self._tell([*self._board.live(), *over], over)
            next_at = max(next_at + self._interval_s, trio.current_time())
            await trio.sleep_until(next_at)

    async def _tell_winners(self) -> None:
        """After a win: the worker is asked at once, and the instance's update follows the event."""
        while True:
            await self._has_won.wait()
            self._has_won = trio.Event()
            won, self._won = self._won, set()
            await self._board.refresh_of(won)
            over = self._board.newly_over()
            changed = [each for each in won if not self._board.is_over(each)]
            await self._tell([*changed, *over], over, are_all=False)

    async def _greet(self) -> None:
        """Newcomers do not wait for the next tick."""
        while True:
            await self._has_newcomers.wait()
            await trio.sleep(GREETING_DELAY_S)
            self._has_newcomers = trio.Event()
            newcomers, self._newcomers = self._newcomers, []
            groups = {each.group: None for each in newcomers if each.group is not None}
            await self._tell(self._board.live(), (), only_new=groups)

    async def _tell(
        self,
        instance_ids: Sequence[str],
        over: Iterable[str],
        *,
        are_all: bool = True,
        only_new: Iterable[Group] | None = None,
    ) -> None:
        """Tells these instances to everybody, or to who is new in these groups.

        Args:
            instance_ids: what is told of.
            over: those of them of which this is the last word.
            are_all: whether a newcomer has been told everything with it.
            only_new: groups with newcomers, where nobody else is to be told.
        """
        pace, last_words = Pace(), frozenset(over)
        async with self._telling:
            updates = await self._updates_of(instance_ids, pace)
            rendered: dict[Hashable, bytes] = {}
            groups = self._subscriptions.groups.values() if only_new is None else only_new
            for group in list(groups):
                if Kind.UPDATE not in group.kinds:
                    continue
                block = rendered.get(group.audience.key)
                if block is None:
                    block = await self._block(group.audience, updates, pace)
                    rendered[group.audience.key] = block
                for subscriber in list(group.members):
                    if subscriber.group is group and (only_new is None or subscriber.is_new):
                        self._tell_one(subscriber, block, last_words, are_all=are_all)
                    if pace.is_due:
                        await pace.rest()

    def _tell_one(
        self, subscriber: Subscriber, block: bytes, last_words: frozenset[str], *, are_all: bool
    ) -> None:
        """Where it is behind, the next tick says it all again, but for the last words, which it is owed."""
        if subscriber.socket.is_behind or subscriber.position > self._position():
            subscriber.owed |= last_words
            return
        if subscriber.owed:
            owed = [self._board.update_of(each) for each in subscriber.owed - last_words]
            subscriber.owed = frozenset()
            # By itself: the block is one for all, and must not be copied for each of them.
            subscriber.socket.push_updates(
                b"".join([self._frame(subscriber.audience, each) for each in owed if each])
            )
        subscriber.is_new = subscriber.is_new and not are_all
        if block:
            subscriber.socket.push_updates(block)

    async def _updates_of(self, instance_ids: Iterable[str], pace: Pace) -> list[LoggedEvent]:
        found = []
        for instance_id in instance_ids:
            update = self._board.update_of(instance_id)
            if update is not None:
                found.append(update)
            if pace.is_due:
                await pace.rest()
        return found

    async def _block(self, audience: Audience, updates: Iterable[LoggedEvent], pace: Pace) -> bytes:
        """All frames of an audience, in one."""
        found = []
        for update in updates:
            found.append(self._frame(audience, update))
            if pace.is_due:
                await pace.rest()
        return b"".join(found)

    def _frame(self, audience: Audience, update: LoggedEvent) -> bytes:
        """Nothing where the audience does not see it."""
        if not audience.sees(update):
            return b""
        return frames.text(audience.render(self._ids.fresh(self._position()), update))
