"""WebSockets of readers, each from the bytes of its handshake to its end, on trio-websocket.

trio-websocket shakes hands, parses what a client sends and answers its pings and closes; what we send goes into the
stream below it, in frames that are ready (`pushed_stream`). A socket costs two tasks: one reads, one is its session.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from math import inf
from typing import Protocol

import structlog
import trio
import trio_websocket
from msgspec import Struct
from msgspec.structs import replace

from jackpotd.edge.exchange import DEFECT, Incoming, Outgoing, completed, refuse
from jackpotd.engine.ports import Clock
from jackpotd.feed import frames, upgrades
from jackpotd.feed.client_socket import Socket, SocketClosed
from jackpotd.feed.pushed_stream import PushedStream
from jackpotd.feed.socket_limits import Place, Places, SocketLimits, too_many
from jackpotd.feed.upgrades import Upgrade, UpgradeRefused
from jackpotd.wire.errors import RequestRefused

__all__ = ["Admission", "Admitted", "Session", "Socket", "SocketClosed", "SocketServer", "Upgrade"]

_log = structlog.get_logger("jackpotd.feed")

_RECEIVE_BYTES = 4096
_STOPPING = "the server is stopping"


Session = Callable[[Socket], Awaitable[None]]
"""What is done with a socket, until it is closed: a session that returns closes it with 1000."""


class Admitted(Struct, frozen=True):
    """A client that is let in: what is done with its socket, and its account; empty where that is not known yet."""

    session: Session
    account: str = ""


Admission = Callable[[Upgrade], Awaitable[Admitted | Outgoing]]
"""Decides on a handshake; an `Outgoing` refuses it before the upgrade."""


class Keeper(Protocol):
    """Who looks after all sockets that there are: the hub."""

    def joined(self, socket: Socket) -> None: ...

    def left(self, socket: Socket) -> None: ...


class SocketServer:
    """Serves the sockets of one listener.

    Args:
        admission: who is let in.
        keeper: who hears of every socket that comes and goes.
        limits: what a socket may take.
        places: how many there may be, of all listeners together.
        clock: Unix milliseconds, for the date of a refusal.
        new_trace_id: the id of a refusal.
    """

    def __init__(
        self,
        admission: Admission,
        keeper: Keeper,
        *,
        limits: SocketLimits,
        places: Places,
        clock: Clock,
        new_trace_id: Callable[[], str],
    ) -> None:
        self._admission = admission
        self._keeper = keeper
        self._limits = limits
        self._places = places
        self._clock = clock
        self._new_trace_id = new_trace_id
        self._refusing = 0
        self._sockets: set[Socket] = set()
        self._none = trio.Event()
        self._is_draining = False

    async def drain(self) -> None:
        """Lets nobody in any more, and says goodbye to all; returns when they are gone, after `linger_s` at most."""
        self._is_draining = True
        for socket in list(self._sockets):
            socket.dismiss(frames.GOING_AWAY, _STOPPING)
        with trio.move_on_after(self._limits.linger_s):
            await self._all_gone()
        for socket in list(self._sockets):
            socket.cut()
        await self._all_gone()

    async def _all_gone(self) -> None:
        while self._sockets:
            self._none = trio.Event()
            await self._none.wait()

    async def serve(self, stream: trio.abc.Stream, peer: str) -> None:
        """Serves one connection, of which nothing was answered yet, to its end; closes it in any case.

        Args:
            stream: its bytes, from those of the handshake on.
            peer: the client's address.
        """
        if self._is_draining:
            await self._turn_away(stream, RequestRefused("OVERLOADED", _STOPPING, status=503))
            return
        try:
            place = self._places.take(peer)
        except RequestRefused as refused:
            await self._turn_away(stream, refused)
            return
        try:
            async with trio.open_nursery() as nursery:
                await self._serve(stream, peer, place, nursery)
                nursery.cancel_scope.cancel()
        except* Exception:  # noqa: BLE001 - a socket fails alone
            _log.exception("a socket has failed")
        finally:
            place.give_back()
            await trio.aclose_forcefully(stream)

    async def _serve(
        self, stream: trio.abc.Stream, peer: str, place: Place, nursery: trio.Nursery
    ) -> None:
        pushed = PushedStream(stream, nursery, self._limits)
        with trio.move_on_after(self._limits.handshake_timeout_s) as scope:
            pushed.bind(scope)
            entered = await self._enter(stream, pushed, peer, place)
            if entered is None:
                return
            session, rest = entered
            if self._is_draining:
                return
            connection = await self._accept(pushed, nursery)
            scope.deadline = inf
            pushed.open(rest, partial(_closed, connection))
            socket = Socket(peer, pushed, connection, place)
            self._sockets.add(socket)
            self._keeper.joined(socket)
            try:
                await self._converse(socket, pushed, session)
            finally:
                self._keeper.left(socket)
                self._leave(socket)
                pushed.say_goodbye(frames.GOING_AWAY, _STOPPING)
                pushed.cut()

    def _leave(self, socket: Socket) -> None:
        self._sockets.discard(socket)
        if not self._sockets:
            self._none.set()

    async def _accept(
        self, pushed: PushedStream, nursery: trio.Nursery
    ) -> trio_websocket.WebSocketConnection:
        request = await trio_websocket.wrap_server_stream(
            nursery,
            pushed,
            message_queue_size=self._limits.message_queue_length_max,
            max_message_size=self._limits.message_bytes_max,
            receive_buffer_size=_RECEIVE_BYTES,
        )
        return await request.accept()

    @staticmethod
    async def _converse(socket: Socket, pushed: PushedStream, session: Session) -> None:
        """Runs the session; whoever ends it first, the other one is given a moment to end it, too."""
        try:
            await session(socket)
        except* SocketClosed:
            pass
        except* Exception:  # noqa: BLE001 - a session fails alone
            _log.exception("a session has failed")
            pushed.say_goodbye(frames.INTERNAL_ERROR, "the server has failed")
        pushed.say_goodbye(*pushed.closed())
        await pushed.ended.wait()
        await pushed.drained()

    # -- handshakes

    async def _enter(
        self, stream: trio.abc.Stream, pushed: PushedStream, peer: str, place: Place
    ) -> tuple[Session, bytes] | None:
        """What a client that is let in came for, and what it has sent too early; None where it was refused."""
        headers: Mapping[str, str] = {}
        try:
            head, rest = await upgrades.read_head(stream, self._limits.head_bytes_max)
            if not head:
                return None
            upgrade = upgrades.upgrade_in(head, peer)
            headers = upgrade.headers
            decided = await self._admission(upgrade)
            if isinstance(decided, Admitted):
                if not decided.account or place.belong_to(decided.account):
                    pushed.begin(head)
                    return decided.session, rest
                decided = self._refusal(too_many("this account"), headers)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return None
        except UpgradeRefused as wrong:
            decided = self._refusal(wrong.refused, headers, wrong.headers)
        except RequestRefused as refused:
            decided = self._refusal(refused, headers)
        except Exception:  # noqa: BLE001 - a handshake fails alone
            _log.exception("a handshake has failed")
            decided = self._refusal(DEFECT, headers)
        await upgrades.refuse(stream, self._completed(decided), self._limits.linger_s)
        return None

    def _refusal(
        self,
        refused: RequestRefused,
        headers: Mapping[str, str],
        more: tuple[tuple[str, str], ...] = (),
    ) -> Outgoing:
        outgoing = refuse(refused, headers.get("accept", ""))
        return replace(outgoing, headers=(*outgoing.headers, *more))

    def _completed(self, outgoing: Outgoing) -> Outgoing:
        return completed(
            outgoing,
            Incoming({}, trace_id=self._new_trace_id(), received_ms=self._clock()),
        )

    async def _turn_away(self, stream: trio.abc.Stream, refused: RequestRefused) -> None:
        """Says that there is no place, if not too many others are being told so."""
        try:
            if self._refusing < self._limits.refusing_max:
                self._refusing += 1
                try:
                    with trio.move_on_after(self._limits.linger_s):
                        await upgrades.read_head(stream, self._limits.head_bytes_max)
                        outgoing = self._completed(self._refusal(refused, {}))
                        await upgrades.refuse(stream, outgoing, self._limits.linger_s)
                finally:
                    self._refusing -= 1
        except (UpgradeRefused, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(stream)


def _closed(connection: trio_websocket.WebSocketConnection) -> tuple[int, str]:
    """Why trio-websocket has closed, if it has."""
    reason = connection.closed
    return (frames.NORMAL, "") if reason is None else (reason.code, reason.reason or "")
