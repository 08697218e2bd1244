"""HTTP/1.1 without I/O: bytes in through `feed`, answers out through a port, in the order of the requests.

Requests of fast routes may overlap on a connection; any other request has the connection to itself. Once something was
refused, nothing that follows on the connection is looked at.
"""

from collections import deque
from urllib.parse import parse_qsl

from jackpotd.core.rejections import Code
from jackpotd.edge.exchange import DirectHandler, Incoming
from jackpotd.front.bodies import ChunkReader, SizedReader
from jackpotd.front.exchanges import Exchange
from jackpotd.front.head import Head
from jackpotd.front.head_reader import HeadReader
from jackpotd.front.rendering import CONTINUE
from jackpotd.front.site import Port, Site, log
from jackpotd.front.turns import Turn
from jackpotd.wire.errors import RequestRefused

_HEAD, _HELD, _BODY, _BUSY, _DONE = range(5)
# A head is read · a request waits for the answers before it · its body is read · an exchange runs on after its body ·
# nothing is read any more.

_NO_PATH: dict[str, str] = {}
_NO_QUERY: dict[str, str] = {}


class Http1:
    """The protocol of one connection."""

    __slots__ = (
        "_body",
        "_exchange",
        "_head",
        "_heads",
        "_is_feeding",
        "_is_paused",
        "_limits",
        "_pieces",
        "_position",
        "_rest",
        "_site",
        "_state",
        "_turns",
        "body_bytes",
        "is_lost",
        "port",
        "requests",
    )

    def __init__(self, site: Site, port: Port) -> None:
        self._site = site
        self._limits = site.limits
        self.port = port
        self._heads = HeadReader(site)
        self._rest = b""
        self._position = 0
        self._state = _HEAD
        self._turns: deque[Turn] = deque()
        self._is_feeding = False
        self._is_paused = False
        self._head: Head | None = None
        self._body: ChunkReader | SizedReader | None = None
        self._pieces: list[bytes] = []
        self._exchange: Exchange | None = None
        self.is_lost = False
        self.requests = 0
        self.body_bytes = 0

    # -- the port calls these

    def feed(self, data: bytes) -> None:
        """Takes what arrived."""
        if self._state == _DONE:
            return
        self._rest = self._rest + data if self._rest else data
        self._advance()

    def pump(self) -> None:
        """Goes on where it had to wait: for answers, for room, or for the turn of the event loop."""
        if not self.is_lost:
            self._advance()

    def on_drained(self) -> None:
        """The client has taken everything."""
        if self._exchange is not None:
            self._exchange.drained()
        elif self._rest or self._is_paused:
            self.port.soon()

    def eof(self) -> bool:
        """The client sends no more; whether there is still something to answer."""
        exchange = self._exchange
        if exchange is not None:
            if not exchange.is_body_whole:
                exchange.disconnected()
            exchange.no_keep_alive()
            return True
        self._rest = b""
        if self._state != _DONE:
            self._state = _DONE
            if self._turns:
                self._turns[-1].keep_alive = False
        if not self._turns:
            self.port.close()
        return bool(self._turns)

    def lost(self) -> None:
        """The connection is gone."""
        self.is_lost = True
        self._state = _DONE
        self._rest = b""
        self._turns.clear()
        self._heads.forget()
        if self._exchange is not None:
            self._exchange.disconnected()

    def disconnected(self) -> None:
        """The client did not stay for the answer of a request that a task is answering."""
        if self._exchange is not None:
            self._exchange.disconnected()

    def stop(self) -> None:
        """Answers what is running and takes nothing more in."""
        if self._exchange is not None:
            self._exchange.no_keep_alive()
        elif self._turns:
            self._turns[-1].keep_alive = False
            self._state = _DONE
            self._rest = b""
        elif self._rest or self._state == _BODY:
            message = "the server is stopping"
            self._refuse(RequestRefused(Code.OVERLOADED, message, status=503))
        elif self._state != _DONE:
            self._state = _DONE
            self.port.close()

    def time_out(self) -> None:
        """The client is too slow with its request."""
        message = "the request did not arrive in time"
        refused = RequestRefused("REQUEST_TIMEOUT", message, status=408)
        self._refuse(refused)

    @property
    def doing(self) -> str:
        """What the connection is at, as far as its time is limited: head, body, idle, or running."""
        if self._state == _BODY and not self._is_paused:
            return "body"
        if self._state == _HEAD and self._rest and not self._is_paused:
            return "head"
        is_running = self._rest or self._turns or self._exchange is not None
        return "running" if is_running else "idle"

    # -- reading

    def _advance(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self.port.resume()
        self._is_feeding = True
        try:
            while self._step():
                pass
        except RequestRefused as refused:
            self._refuse(refused)
        finally:
            self._is_feeding = False
        if self._state == _DONE:
            self._rest, self._position = b"", 0
        elif self._position:
            self._rest, self._position = self._rest[self._position :], 0
        if self._turns:
            self._flush()

    def _step(self) -> bool:
        """Reads on; whether there may be more to read."""
        state = self._state
        if state == _HEAD:
            if self._position >= len(self._rest):
                return False
            if self._is_choked:
                self._flush()
                return not self._is_choked or self._pause()
            return self._read_head()
        if state == _BODY:
            return self._read_body()
        if state == _HELD:
            self._flush()
            if self._turns or self.port.unsent_bytes:
                return self._pause()
            self._state = _HEAD
            return True
        if state == _BUSY and len(self._rest) - self._position > self._limits.buffer_bytes_max:
            self._pause()
        return False

    @property
    def _is_choked(self) -> bool:
        """Whether the connection has more in hand than it may."""
        return (
            len(self._turns) >= self._limits.pipelined_requests_max
            or self.port.unsent_bytes > self._limits.unsent_bytes_max
        )

    def _pause(self) -> bool:
        self._is_paused = True
        self.port.pause()
        return False

    def _read_head(self) -> bool:
        data, reader = self._rest, self._heads
        head = reader.read(data, self._position, is_first=not self.requests)
        if head is None:
            return reader.has_preface and self._hand_over()
        line, length, end = head.line, head.length, reader.end
        is_alone = line.direct is None or head.expects_continue or head.is_upgrade
        if line.direct is not None and length is not None and not is_alone:
            stop = end + length
            if stop <= len(data):
                body = data[end:stop]
                if length:
                    reader.pass_body(body)
                self._position = stop
                return self._dispatch(line.direct, head, body)
        reader.forget()
        if is_alone and (self._turns or self.port.unsent_bytes):
            self._state = _HELD  # and is read once more, when its turn has come
            return True
        return self._hand_over(head) if head.is_upgrade else self._begin(head, end)

    def _begin(self, head: Head, end: int) -> bool:
        """Begins a request whose body is not there yet, or that has the connection to itself."""
        self.requests += 1
        self._position = end
        self._head = head
        self._state = _BODY
        # A streamed body has no limit: its handler bounds what it holds.
        size_max = None if head.line.stream else self._limits.body_bytes_max
        self._body = (
            ChunkReader(self._limits, size_max) if head.length is None else SizedReader(head.length)
        )
        self.body_bytes = 0
        self._pieces = []
        if head.line.direct is None:
            self._exchange = Exchange(
                head, self, self.port, buffer_bytes_max=self._limits.buffer_bytes_max
            )
            self._site.start(self._exchange)
        elif head.expects_continue and end >= len(self._rest):
            self._site.admit(head.line, head.headers)
            self.port.write(CONTINUE)
        return True

    def _read_body(self) -> bool:
        exchange = self._exchange
        if exchange is not None and exchange.is_full:
            return self._pause()
        data, start = self._rest, self._position
        body = self._body
        if body is None:
            raise RuntimeError("a body without its reader")
        pieces, self._position = body.read(data, start)
        self.body_bytes += self._position - start
        if exchange is None:
            self._pieces += pieces
        else:
            for piece in pieces:
                exchange.put(piece)
        return body.is_done and self._body_is_whole()

    def _body_is_whole(self) -> bool:
        if self._exchange is not None:
            self._state = _BUSY
            self._exchange.body_is_whole()
            return True
        head, self._head = self._head, None
        if head is None or head.line.direct is None:
            raise RuntimeError("a body without its request")
        body, self._pieces = b"".join(self._pieces), []
        self._state = _HEAD
        return self._dispatch(head.line.direct, head, body)

    # -- answering

    def _dispatch(self, handler: DirectHandler, head: Head, body: bytes) -> bool:
        line, keep_alive = head.line, head.keep_alive
        site = self._site
        self.requests += 1
        turn = Turn(self, site, line, keep_alive=keep_alive)
        self._turns.append(turn)
        if not keep_alive:
            self._state = _DONE
        if not site.entrance.is_open():
            turn.turn_away(head.headers.get("accept", ""))
            return keep_alive
        query = dict(parse_qsl(line.query.decode("latin-1"))) if line.query else _NO_QUERY
        incoming = Incoming(head.headers, body, _NO_PATH, query, site.new_trace_id(), site.clock())
        try:
            handler(incoming, turn.answer)
        except Exception:  # noqa: BLE001 - a handler's defect is that request's alone
            log.exception("request failed", listener=site.name, route=line.route)
            turn.fail()
        return keep_alive

    def answered(self) -> None:
        """One of the turns has its answer."""
        if self._is_feeding or not self._turns:
            return  # what is read in one go is answered in one go
        if len(self._turns) > 1:
            self.port.soon()
            return
        self._flush()
        if self._rest or self._is_paused:
            self.port.soon()

    def _flush(self) -> None:
        """Sends the answers whose turn it is, in one piece."""
        turns = self._turns
        ready: list[bytes] = []
        keep_alive = True
        while keep_alive and turns and (data := turns[0].data) is not None:
            ready.append(data)
            keep_alive = turns.popleft().keep_alive
        if ready:
            self.port.write(ready[0] if len(ready) == 1 else b"".join(ready))
        if not keep_alive:
            self._state = _DONE
            turns.clear()
            self.port.close()

    def _refuse(self, refused: RequestRefused) -> None:
        """Answers what cannot be read, and reads nothing more."""
        self._state = _DONE
        if self._exchange is not None:
            self._exchange.body_refused(refused)
            return
        turn = Turn(self, self._site, None, keep_alive=False)
        self._turns.append(turn)
        turn.refuse(self._site.refusal(refused, self._heads.headers.get("accept", "")))

    def _hand_over(self, head: Head | None = None) -> bool:
        data = self._rest[self._position :]
        self._state = _DONE
        self.is_lost = True
        is_socket = head is not None and head.headers["upgrade"].lower() == "websocket"
        self.port.hand_over(data, head.line.path if head is not None and is_socket else b"")
        return False

    # -- an exchange calls these

    def send(self, data: bytes) -> None:
        self.port.write(data)

    @property
    def unsent_bytes(self) -> int:
        return self.port.unsent_bytes

    def body_taken(self) -> None:
        self.port.soon()

    def finish(self, *, keep_alive: bool) -> None:
        """The exchange's answer is complete."""
        self._exchange = self._head = None
        if self.is_lost:
            return
        if not keep_alive or self._site.is_stopping or self._state == _DONE:
            self._state = _DONE
            self.port.close()
            return
        self._state = _HEAD
        if self._rest or self._is_paused:
            self.port.soon()

    def fail(self) -> None:
        """The exchange's answer cannot be completed."""
        self._exchange = None
        self.port.abort()
