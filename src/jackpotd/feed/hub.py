"""The fan-out: what happens is told to every socket that wants to hear it, once and in the order of the log.

All that sockets with the same eyes get is rendered and framed once, and written once to each. What a client does not
take at once waits for it, up to a bound; updates (`updates`) do not wait, for a later one says the same and more.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Protocol

import trio
from msgspec import Struct

from jackpotd.feed import frames
from jackpotd.feed.board import Board
from jackpotd.feed.client_socket import Socket, SocketClosed
from jackpotd.feed.event_ids import EventIds
from jackpotd.feed.heartbeats import Heartbeats
from jackpotd.feed.pace import Pace
from jackpotd.feed.subscriptions import Audience, Subscriber, Subscriptions, Wanted
from jackpotd.feed.updates import Updates
from jackpotd.wire.feed_events import Kind, LoggedEvent

__all__ = ["Audience", "Hub", "HubCounts", "Wanted"]

EVENTS_AT_ONCE = 100
BYTES_AT_ONCE = 131_072
RESUME_PAUSE_S = 0.001
"""After as many events, one at a time of all who read the log: it costs others little, whatever is wanted of it."""
LARGE_PAUSE_S = 0.005
"""After so many bytes readers are given time to take them: a burst of large events would use up anybody's backlog."""
_WINS = (Kind.WIN, Kind.RAFFLE_WIN)

Told = tuple[int, LoggedEvent]


class Log(Protocol):
    """The events that are kept, by positions without gaps from 1."""

    first_position: int
    last_position: int

    def events_after(self, position: int, limit: int) -> list[Told]: ...


class Chunks:
    """Reads a log forward in parts that are neither too many events nor too many bytes.

    The last one was full where there may be more, large where it was the bytes.
    """

    __slots__ = ("_events_max", "_log", "is_full", "is_large")

    def __init__(self, log: Log) -> None:
        self.is_full = self.is_large = False
        self._log = log
        self._events_max = EVENTS_AT_ONCE

    def after(self, position: int) -> list[Told]:
        """The next events behind a position; none at the end of the log."""
        self.is_large = False
        events, size = self._log.events_after(position, self._events_max), 0
        self.is_full = len(events) == self._events_max
        for count, (_, event) in enumerate(events, 1):
            size += len(event.data)
            if size >= BYTES_AT_ONCE:
                # The next ones are probably as large: not more shall be read than are told.
                self._events_max, self.is_large = count, True
                return events[:count]
        self._events_max = min(self._events_max * 2, EVENTS_AT_ONCE)
        return events


class HubCounts(Struct, frozen=True):
    """Sockets, those of them that have subscribed, groups of these, and the last event that was told."""

    sockets: int
    subscribers: int
    groups: int
    position: int


class Hub:
    """Tells all sockets.

    Args:
        log: what has happened.
        ids: the ids of that log.
        board: what tickers show.
        update_interval_s: from one tick to the next.
        heartbeat_interval_s: the silence after which a client is pinged; after two of them it is gone.
    """

    def __init__(
        self,
        log: Log,
        ids: EventIds,
        board: Board,
        *,
        update_interval_s: float = 2.0,
        heartbeat_interval_s: float = 20.0,
    ) -> None:
        self._log = log
        self._ids = ids
        self._heartbeats = Heartbeats(heartbeat_interval_s)
        self._position = log.last_position
        self._subscriptions = Subscriptions()
        self._sockets: dict[Socket, None] = {}
        self._telling = trio.Lock()
        self._resuming = trio.Lock()
        self._has_happened = trio.Event()
        self._updates = Updates(
            board,
            ids,
            self._subscriptions,
            telling=self._telling,
            position=lambda: self._position,
            interval_s=update_interval_s,
        )

    def statistics(self) -> HubCounts:
        return HubCounts(
            sockets=len(self._sockets),
            subscribers=len(self._subscriptions),
            groups=len(self._subscriptions.groups),
            position=self._position,
        )

    async def run(self) -> None:
        """Tells until it is cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_events)
            nursery.start_soon(self._updates.run)
            nursery.start_soon(self._heartbeats.run, self._sockets)

    def happened(self, events: Sequence[Told]) -> None:
        """Has events told that are in the log by now: they are read back from it, so that a burst takes no memory."""
        if events:
            self._has_happened.set()

    def joined(self, socket: Socket) -> None:
        """A socket has come; it is told nothing before it subscribes."""
        self._sockets[socket] = None

    def left(self, socket: Socket) -> None:
        """A socket has gone."""
        self._sockets.pop(socket, None)
        self._subscriptions.remove(socket)

    # -- subscribing

    async def subscribe(
        self, socket: Socket, audience: Audience, wanted: Wanted, last_event_id: str | None
    ) -> None:
        """Has a socket told what it wants from now on, instead of what it wanted before; returns when that has begun.

        With the id of the last event that the client saw it is first told what it has missed since, as fast as it takes
        that; where some of it is not kept any more, it is first told so. Without one it goes on where it stood.

        Raises:
            SocketClosed: the socket is closing.
        """
        if socket not in self._sockets:
            raise SocketClosed
        position, is_gap = self._start(socket, last_event_id)
        subscriber = Subscriber(socket, audience, wanted, position)
        if (earlier := self._subscriptions.of(socket)) is not None:
            subscriber.inherit(earlier)
        self._subscriptions.put(subscriber)
        if is_gap:
            self._tell_gap(subscriber, last_event_id or "")
        if wanted.kinds <= {Kind.UPDATE}:  # the log holds none
            subscriber.position = max(position, self._log.last_position)
        chunks = Chunks(self._log)
        while not subscriber.is_gone:
            self._skip_lost(subscriber, subscriber.position)
            missed = chunks.after(subscriber.position)
            if not missed:
                self._subscriptions.make_live(subscriber)
                self._updates.greet(subscriber)
                break
            self._tell_alone(subscriber, missed)
            async with self._resuming:
                await trio.sleep(RESUME_PAUSE_S if chunks.is_full else 0)
            await socket.caught_up()
        await trio.lowlevel.checkpoint()
        if socket.is_closing:
            raise SocketClosed

    def _start(self, socket: Socket, last_event_id: str | None) -> tuple[int, bool]:
        """Behind which event a socket begins, and whether some before it are missing."""
        log = self._log
        if last_event_id is not None:
            position = self._ids.position(last_event_id)
            if position is not None and log.first_position - 1 <= position <= log.last_position:
                return position, False
            return log.first_position - 1, True
        earlier = self._subscriptions.of(socket)
        if earlier is None:
            return log.last_position, False
        if earlier.group is None:
            return earlier.position, False
        return max(earlier.position, self._position), False

    def _skip_lost(self, subscriber: Subscriber, stood: int) -> None:
        """Tells a subscriber, who has heard all before a position, where the window has overtaken it."""
        lost = self._log.first_position - 1
        if stood < lost:
            subscriber.position = lost
            self._tell_gap(subscriber, self._ids.of(stood))

    def _tell_gap(self, subscriber: Subscriber, last_event_id: str) -> None:
        own_id = self._ids.fresh(subscriber.position)
        subscriber.socket.send(subscriber.audience.gap(own_id, last_event_id))

    # -- events

    async def _tell_events(self) -> None:
        chunks = Chunks(self._log)
        while True:
            await self._has_happened.wait()
            self._has_happened = trio.Event()
            while True:
                async with self._telling:
                    self._skip_all_lost()
                    events = chunks.after(self._position)
                    if not events:
                        break
                    await self._tell_all(events)
                    self._position = events[-1][0]
                won = {event.instance_id for _, event in events if event.kind in _WINS}
                self._updates.follow(won)
                if chunks.is_large:
                    await trio.sleep(LARGE_PAUSE_S)

    def _skip_all_lost(self) -> None:
        """Where the window is so small that it has overtaken us, everybody is told so."""
        lost = self._log.first_position - 1
        if self._position < lost:
            for group in self._subscriptions.groups.values():
                for subscriber in group.members:
                    self._skip_lost(subscriber, max(subscriber.position, self._position))
            self._position = lost

    async def _tell_all(self, events: list[Told]) -> None:
        """Tells everybody who is live; whoever joins meanwhile has read these events from the log."""
        pace, first, last = Pace(), events[0][0], events[-1][0]
        rendered: dict[tuple[Hashable, int], bytes] = {}
        alone = self._named_in(events)
        for group in list(self._subscriptions.groups.values()):
            theirs = [told for told in events if group.wants(told[1])]
            if not theirs:
                continue
            block = b"".join([self._frame(group.audience, told, rendered) for told in theirs])
            for subscriber in list(group.members):
                if subscriber.group is not group or subscriber in alone:
                    continue
                if subscriber.position < first:
                    subscriber.socket.push(block)
                    subscriber.position = last
                elif subscriber.position < last:
                    alone[subscriber] = None
                if pace.is_due:
                    await pace.rest()
        for subscriber in alone:
            if subscriber.group is not None:
                self._tell_alone(subscriber, events, rendered)
            if pace.is_due:
                await pace.rest()

    def _named_in(self, events: Iterable[Told]) -> dict[Subscriber, None]:
        """Those who want an opt-in because they have named its player."""
        found: dict[Subscriber, None] = {}
        for _, event in events:
            if event.kind is Kind.OPT_IN:
                for subscriber in self._subscriptions.with_player(event.player_id):
                    if subscriber.audience.sees(event):
                        found[subscriber] = None
        return found

    def _tell_alone(
        self,
        subscriber: Subscriber,
        events: list[Told],
        rendered: dict[tuple[Hashable, int], bytes] | None = None,
    ) -> None:
        """Tells a subscriber what it wants of these, if it has not been told yet."""
        known = {} if rendered is None else rendered
        block = b"".join(
            [
                self._frame(subscriber.audience, told, known)
                for told in events
                if told[0] > subscriber.position and subscriber.wants(told[1])
            ]
        )
        if block:
            subscriber.socket.push(block)
        subscriber.position = max(subscriber.position, events[-1][0])

    def _frame(
        self, audience: Audience, told: Told, rendered: dict[tuple[Hashable, int], bytes]
    ) -> bytes:
        position, event = told
        frame = rendered.get((audience.key, position))
        if frame is None:
            frame = frames.text(audience.render(self._ids.of(position), event))
            rendered[audience.key, position] = frame
        return frame
