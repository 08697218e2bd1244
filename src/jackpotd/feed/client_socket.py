"""One reader's socket, as its session and the hub see it."""

import trio
import trio_websocket

from jackpotd.feed import frames
from jackpotd.feed.pushed_stream import PushedStream
from jackpotd.feed.socket_limits import Place, too_many

_PING = frames.ping()


class SocketClosed(Exception):
    """The socket is closing, or closed: nothing more comes, and nothing more is sent."""


class Socket:
    """A reader's socket, after the handshake; `peer` is the client's address."""

    __slots__ = ("_connection", "_place", "_receiving", "_stream", "peer", "pinged_at")

    def __init__(
        self,
        peer: str,
        stream: PushedStream,
        connection: trio_websocket.WebSocketConnection,
        place: Place,
    ) -> None:
        self.peer = peer
        self.pinged_at = stream.heard_at
        self._stream = stream
        self._connection = connection
        self._place = place
        self._receiving: trio.CancelScope | None = None

    async def receive(self) -> str:
        """The next message of the client.

        Raises:
            SocketClosed: there will be none; a client that sends bytes instead of text is closed with 1003.
        """
        message: str | bytes | None = None
        if not self._stream.is_dismissed:
            with trio.CancelScope() as self._receiving:
                try:
                    message = await self._connection.get_message()
                except trio_websocket.ConnectionClosed:
                    raise SocketClosed from None
        self._receiving = None
        if isinstance(message, str):
            return message
        if message is not None:
            self.dismiss(frames.UNSUPPORTED_DATA, "messages are text")
        await trio.lowlevel.checkpoint()
        raise SocketClosed

    def send(self, message: bytes) -> None:
        """Sends a text message, UTF-8, without waiting; a reader that is too far behind is closed with 1013."""
        self.push(frames.text(message))

    async def close(self, code: int, reason: str = "") -> None:
        """Says goodbye, and waits until the client has closed, too, or its time for that is over."""
        self.dismiss(code, reason)
        await self._stream.ended.wait()

    def belongs_to(self, account: str) -> None:
        """Says whose socket it is, where the handshake could not.

        Raises:
            SocketClosed: the account has too many sockets; this one is closed with 1008.
        """
        if not self._place.belong_to(account):
            self.dismiss(frames.POLICY_VIOLATION, too_many("this account").body.message)
            raise SocketClosed

    # -- for the hub

    @property
    def is_closing(self) -> bool:
        """Whether nothing more can be sent."""
        return self._stream.is_closing

    @property
    def is_behind(self) -> bool:
        """Whether the client has not taken all that was sent."""
        return self._stream.has_unsent

    @property
    def unsent_bytes(self) -> int:
        """What waits for the client in this process."""
        return self._stream.unsent_bytes

    @property
    def heard_at(self) -> float:
        """When the client gave its last sign of life, in Trio's time: it said something, or took what had waited."""
        return self._stream.heard_at

    def push(self, block: bytes) -> None:
        """Sends frames that must not be lost, without waiting; a reader that is too far behind is closed with 1013."""
        if not self._stream.push(block):
            self.dismiss(frames.TRY_AGAIN_LATER, "the reader is too far behind")

    def push_updates(self, block: bytes) -> None:
        """Sends frames that later ones replace, to a reader that is not behind; they are no part of its backlog."""
        self._stream.push(block, is_counted=False)

    def ping(self) -> None:
        """Asks the client whether it is still there; not where it has not taken the last question yet."""
        self.pinged_at = trio.current_time()
        if not self.is_behind:
            self._stream.push(_PING)

    def dismiss(self, code: int, reason: str = "") -> None:
        """Says goodbye without waiting; what the client has not begun to take is thrown away."""
        self._stream.say_goodbye(code, reason)
        if self._receiving is not None:
            self._receiving.cancel()

    def cut(self) -> None:
        """Ends it at once, without a word."""
        self._stream.cut()

    async def caught_up(self) -> None:
        """Returns when the client has taken all that was sent.

        Raises:
            SocketClosed: it never will.
        """
        await self._stream.drained()
        if self.is_closing:
            raise SocketClosed
