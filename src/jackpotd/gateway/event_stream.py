"""The gateway's event stream, WS `/events` (contract §6): who reads it, what they see, and how it reads.

Everybody is let in, and says who they are in the first message. Then everything is sent that the account may see, as it
happens; with the id of an event that was seen before, what came after it is sent first.
"""

from collections.abc import Hashable
from functools import partial

import trio
from msgspec import Raw

from jackpotd.edge.event_reach import may_see
from jackpotd.edge.origins import PLATFORM, AllowedOrigins, check_socket
from jackpotd.edge.standing_tokens import StandingTokens
from jackpotd.feed.frames import POLICY_VIOLATION
from jackpotd.feed.hub import Hub
from jackpotd.feed.sockets import Admitted, Socket, Upgrade
from jackpotd.feed.subscriptions import Wanted
from jackpotd.identity.principal import Principal
from jackpotd.identity.tokens import InvalidToken
from jackpotd.wire import codec
from jackpotd.wire.errors import RequestRefused
from jackpotd.wire.feed_events import Kind, LoggedEvent
from jackpotd.wire.stream_messages import (
    RESUME_GAP,
    Authenticate,
    Gap,
    StreamEvent,
    StreamRequest,
)

PATH = "/events"
AUTHENTICATION_TIMEOUT_S = 10.0
LATER_MESSAGES_MAX = 100

NOT_AUTHENTICATED = 4401
"""A first message that is none, a bad token, or one that has become void."""
MAY_NOT_READ = 4403
"""A good token without the right to read jackpots, or on a page that its operator does not allow."""
TOO_LATE = 4408
"""No first message in time."""

_REQUEST = codec.decoder(StreamRequest)
_EVERYTHING = Wanted(frozenset(Kind), None)


class AccountAudience:
    """What an account may see: all jackpots that it reaches, and opt-ins at the brands that it reaches."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    @property
    def key(self) -> Hashable:
        return "accounts", self._principal.org_id, self._principal.unit_ids

    def sees(self, event: LoggedEvent) -> bool:
        return may_see(self._principal, event)

    def render(self, event_id: str, event: LoggedEvent) -> bytes:
        return codec.encode(StreamEvent(event.kind, event_id, event.data))

    def gap(self, event_id: str, last_event_id: str) -> bytes:
        data = Raw(codec.encode(Gap(last_event_id)))
        return codec.encode(StreamEvent(RESUME_GAP, event_id, data))


class _Goodbye(Exception):
    """A socket is to be closed, with a code and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class EventStream:
    """Admits readers of the stream.

    Args:
        hub: sends the events.
        tokens: tells whose a token is, and when it becomes void.
        origins: whose pages may read it in a browser.
        scheme: of the listener, http or https.
        timeout_s: how long a reader may take to say who they are.
    """

    def __init__(
        self,
        hub: Hub,
        tokens: StandingTokens,
        origins: AllowedOrigins,
        *,
        scheme: str,
        timeout_s: float = AUTHENTICATION_TIMEOUT_S,
    ) -> None:
        self._hub = hub
        self._tokens = tokens
        self._origins = origins
        self._scheme = scheme
        self._timeout_s = timeout_s

    async def admit(self, upgrade: Upgrade) -> Admitted:
        """Decides on a handshake (an `Admission`); whose it is comes with the first message.

        Raises:
            RequestRefused: 404, another path; 403, a page of a stranger.
        """
        if upgrade.path != PATH:
            raise RequestRefused("NOT_FOUND", f"GET {upgrade.path}: Not Found")
        check_socket(self._origins, upgrade.headers, self._scheme)
        await trio.lowlevel.checkpoint()
        return Admitted(partial(self._session, upgrade))

    async def _session(self, upgrade: Upgrade, socket: Socket) -> None:
        try:
            await self._serve(upgrade, socket)
        except _Goodbye as goodbye:
            await socket.close(goodbye.code, goodbye.reason)

    async def _serve(self, upgrade: Upgrade, socket: Socket) -> None:
        asked = await self._first_message(socket)
        principal = self._reader(asked.auth_token)
        try:
            check_socket(self._origins, upgrade.headers, self._scheme, principal.org_id or PLATFORM)
        except RequestRefused as refused:
            raise _Goodbye(MAY_NOT_READ, refused.body.message) from None
        socket.belongs_to(f"account {principal.username}")
        with (
            trio.CancelScope() as scope,
            self._tokens.watched(asked.auth_token, principal, scope.cancel),
        ):
            await self._hub.subscribe(
                socket, AccountAudience(principal), _EVERYTHING, asked.last_event_id
            )
            await _ignore(socket)
        if scope.cancelled_caught:
            raise _Goodbye(NOT_AUTHENTICATED, "the token is void")

    async def _first_message(self, socket: Socket) -> Authenticate:
        with trio.move_on_after(self._timeout_s):
            text = await socket.receive()
            try:
                return codec.decode(_REQUEST, text.encode()).action.authenticate
            except RequestRefused as refused:
                raise _Goodbye(NOT_AUTHENTICATED, refused.body.message) from None
        raise _Goodbye(TOO_LATE, "no Authenticate message came in time")

    def _reader(self, token: str) -> Principal:
        try:
            principal = self._tokens.reader(token)
        except InvalidToken as invalid:
            raise _Goodbye(NOT_AUTHENTICATED, str(invalid)) from None
        if principal is None:
            raise _Goodbye(MAY_NOT_READ, "this account may not read jackpots")
        return principal


async def _ignore(socket: Socket) -> None:
    """Reads on, to hear of the end; what a reader says beside is nobody's business, within limits."""
    for _ in range(LATER_MESSAGES_MAX):
        await socket.receive()
    raise _Goodbye(POLICY_VIOLATION, "this stream takes one message")
