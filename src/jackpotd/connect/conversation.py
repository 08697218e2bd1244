"""One socket of Connect, from its first message to its last: subscriptions, requests, and what is said to bad ones.

Messages are read in their order, and a subscription counts before the next one is read. Requests are served side by
side, so many at once for each socket; with more of them nothing more is read until one is answered. A message that
cannot be understood is answered by an error; too many of them end the conversation.
"""

from collections.abc import Callable

import msgspec
import structlog
import trio

from jackpotd.connect.requests import ERROR_NAMES, Requests, Said, Understood, decoded, refusal
from jackpotd.connect.roles import Role, Whom
from jackpotd.connect.subscriptions import kinds_of
from jackpotd.edge.exchange import DEFECT
from jackpotd.feed.frames import POLICY_VIOLATION
from jackpotd.feed.hub import Hub
from jackpotd.feed.socket_limits import Rate
from jackpotd.feed.sockets import Socket
from jackpotd.feed.subscriptions import Audience, Wanted
from jackpotd.wire import codec
from jackpotd.wire import connect_messages as wire
from jackpotd.wire.errors import RequestRefused, invalid
from jackpotd.wire.feed_events import Kind

REQUESTS_AT_ONCE_MAX = 8
SUBSCRIPTIONS_PER_S_MAX = 5.0
SUBSCRIPTIONS_PER_RESUME = 5
"""A resume counts for so many: it may have the whole window looked through."""
BAD_MESSAGES_MAX = 20
NAME_LENGTH_MAX = 64
PLAYERS_HEARD_MAX = 256

SUBSCRIBE = "SubscribeRequest"
UNKNOWN = "Unknown"
"""What an error is named after where a message has no name."""

_log = structlog.get_logger("jackpotd.connect")
_TAGGED = codec.decoder(dict[str, msgspec.Raw])
_SUBSCRIBE = codec.decoder(wire.SubscribeRequest)


class Surroundings(msgspec.Struct, frozen=True):
    """What all conversations share. Requests are served in `nursery`, which outlives their sockets."""

    hub: Hub
    requests: Requests
    nursery: trio.Nursery
    clock: Callable[[], int]


class Listening:
    """What a socket hears: what it has subscribed to, and the opt-ins that it has asked for itself.

    These are answered by their events, whatever the subscription is: from its first one on a player hears of all of
    their own, a service of those of the players for whom it asked last.

    Args:
        own: the names of the player, at a player's socket.
    """

    __slots__ = ("_asked", "_own", "kinds")

    def __init__(self, own: frozenset[str] | None) -> None:
        self.kinds: frozenset[Kind] = frozenset()
        self._own = own
        self._asked: dict[str, None] = {}

    def has_to_hear(self, about: Whom) -> bool:
        """Takes note that an opt-in is asked for; whether more has to be heard for its answer."""
        asked = about.player_id
        if asked is None or asked in self._asked or Kind.OPT_IN in self.kinds:
            return False
        for player_id in self._own or (asked,):
            self._asked[player_id] = None
        while len(self._asked) > PLAYERS_HEARD_MAX:
            del self._asked[next(iter(self._asked))]
        return True

    def wanted(self) -> Wanted:
        if Kind.OPT_IN in self.kinds or not self._asked:
            return Wanted(self.kinds, self._own)
        return Wanted(self.kinds | {Kind.OPT_IN}, frozenset(self._asked))


class Conversation:
    """A socket, and who is at its other end."""

    __slots__ = (
        "_around",
        "_audience",
        "_bad",
        "_listening",
        "_role",
        "_running",
        "_socket",
        "_subscribing",
    )

    def __init__(
        self, around: Surroundings, socket: Socket, role: Role, audience: Audience
    ) -> None:
        self._around = around
        self._socket = socket
        self._role = role
        self._audience = audience
        self._bad = 0
        self._listening = Listening(role.players)
        self._running: trio.Semaphore | None = None
        self._subscribing: Rate | None = None

    async def hold(self) -> None:
        """Until the other end is gone, or has said too much that makes no sense.

        Raises:
            SocketClosed: the other end is gone.
        """
        while self._bad < BAD_MESSAGES_MAX:
            name = UNKNOWN
            try:
                name, body = _named(await self._socket.receive())
                await self._take(name, body)
            except RequestRefused as refused:
                self._bad += refused.body.status_code == 400
                self._say_error(name, self._role.itself, refused)
        await self._socket.close(POLICY_VIOLATION, "too many messages that make no sense")

    async def _take(self, name: str, body: msgspec.Raw) -> None:
        if name == SUBSCRIBE:
            await self._subscribe(decoded(_SUBSCRIBE, body, name))
        elif self._around.requests.knows(name):
            understood = self._around.requests.understood(self._role, name, body)
            if self._running is None:
                self._running = trio.Semaphore(REQUESTS_AT_ONCE_MAX)
            if understood.is_answered_by_event and self._listening.has_to_hear(understood.about):
                await self._listen()
            await self._running.acquire()
            self._around.nursery.start_soon(self._serve, understood, self._running)
        else:
            raise invalid("$", "is no message that is known here")

    async def _subscribe(self, message: wire.SubscribeRequest) -> None:
        """Takes the place of the subscription before it, which stands if this one is refused.

        Each of them has things told again that others have to wait for, so there may be only so many in a second.
        """
        now_s = trio.current_time()
        if self._subscribing is None:
            self._subscribing = Rate(SUBSCRIPTIONS_PER_S_MAX, now_s)
        kinds = kinds_of(message)
        count = 1 if message.last_event_id is None else SUBSCRIPTIONS_PER_RESUME
        if not self._subscribing.allows(count, now_s):
            raise RequestRefused("TOO_MANY_REQUESTS", "too many subscriptions", status=429)
        self._listening.kinds = kinds
        await self._listen(message.last_event_id)

    async def _listen(self, last_event_id: str | None = None) -> None:
        await self._around.hub.subscribe(
            self._socket, self._audience, self._listening.wanted(), last_event_id
        )

    async def _serve(self, request: Understood, running: trio.Semaphore) -> None:
        """Serves a request to its end, also where nobody waits for its answer any more."""
        try:
            for said in await request.serve():
                self._say(said, request.about)
        except RequestRefused as refused:
            self._say_error(request.error_name, request.about, refused)
        except Exception:  # noqa: BLE001 - a request fails alone
            _log.exception("a request over a socket failed", request=request.error_name)
            self._say_error(request.error_name, request.about, DEFECT)
        finally:
            running.release()

    def _say_error(self, name: str, about: Whom, refused: RequestRefused) -> None:
        self._say(Said(ERROR_NAMES.get(name, name), refusal(refused)), about)

    def _say(self, said: Said, about: Whom) -> None:
        is_error = isinstance(said.data, wire.MessageError)
        self._socket.send(
            codec.encode(
                wire.Envelope(
                    msg_type="Error" if is_error else "Message",
                    msg_name=said.msg_name,
                    operator_id=about.operator_id,
                    brand_id=about.brand_id,
                    player_id=about.player_id,
                    data=said.data,
                    timestamp=self._around.clock(),
                )
            )
        )


def _named(text: str) -> tuple[str, msgspec.Raw]:
    """The tag of a message, and what stands behind it.

    Raises:
        RequestRefused: 400; it is no message with one tag.
    """
    tagged = codec.decode(_TAGGED, text.encode())
    if len(tagged) != 1:
        raise invalid("$", "must hold one message under its name")
    ((name, body),) = tagged.items()
    return (name if len(name) <= NAME_LENGTH_MAX else UNKNOWN), body
