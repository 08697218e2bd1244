"""Connect's WebSockets: who is let in, before the upgrade, and as what (contract §7).

Players come with their wallet's token to their brand's path, services with a token of ours to their own. A browser says
whose page it shows, and only pages of allowed origins, or of this listener itself, may open a socket; whoever names no
origin is no browser.
"""

from collections.abc import Callable, Mapping

import trio
from msgspec import Struct

from jackpotd.connect.audiences import PlayerAudience, ServiceAudience
from jackpotd.connect.conversation import Conversation, Surroundings
from jackpotd.connect.node import ConnectNode
from jackpotd.connect.players import AuthenticatedPlayer, PlayerAuthority
from jackpotd.connect.requests import Requests
from jackpotd.connect.roles import PlayerRole, ServiceRole
from jackpotd.core.rejections import Code
from jackpotd.edge.guard import forbidden
from jackpotd.edge.origins import PLATFORM, AllowedOrigins, check_socket
from jackpotd.edge.standing_tokens import StandingTokens
from jackpotd.feed.hub import Hub
from jackpotd.feed.sockets import Admitted, Session, Socket, Upgrade
from jackpotd.identity.principal import Principal, Resource
from jackpotd.identity.tokens import InvalidToken
from jackpotd.wire.errors import RequestRefused

TOKEN_VOID = 4401
"""The code that a socket is closed with when its token has become void, or its account another one."""
CURRENCY_LENGTH = range(3, 9)
TOKEN_LENGTH_MAX = 4096

NOT_READY = RequestRefused(Code.OVERLOADED, "the server is starting or stopping")


class SocketParts(Struct, frozen=True):
    """What Connect's sockets stand on; `scheme` is the listener's own, http or https."""

    node: ConnectNode
    hub: Hub
    players: PlayerAuthority
    tokens: StandingTokens
    origins: AllowedOrigins
    clock: Callable[[], int]
    scheme: str


class ConnectSockets:
    """Admits sockets, and holds their conversations while it runs."""

    def __init__(self, parts: SocketParts) -> None:
        self._parts = parts
        self._requests = Requests(parts.node)
        self._around: Surroundings | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves the requests of all sockets until cancelled; nobody is let in before it is started."""
        async with trio.open_nursery() as nursery:
            self._around = Surroundings(self._parts.hub, self._requests, nursery, self._parts.clock)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._around = None

    async def admit(self, upgrade: Upgrade) -> Admitted:
        """Decides on a handshake (an `Admission`).

        Raises:
            RequestRefused: 400, 401, 403, 404; or what the player's wallet says.
        """
        around = self._running()
        match upgrade.path.removeprefix("/v1").split("/")[1:]:
            case ["events", "service"]:
                return self._admit_service(around, upgrade)
            case ["events", operator_id, brand_id]:
                return await self._admit_player(around, upgrade, operator_id, brand_id)
            case _:
                raise RequestRefused("NOT_FOUND", f"GET {upgrade.path}: Not Found")

    def _check_origin(self, upgrade: Upgrade, operator: str) -> None:
        """Refuses pages of strangers, and of other operators."""
        check_socket(self._parts.origins, upgrade.headers, self._parts.scheme, operator)

    async def _admit_player(
        self, around: Surroundings, upgrade: Upgrade, operator_id: str, brand_id: str
    ) -> Admitted:
        self._check_origin(upgrade, operator_id)
        brand = f"{operator_id}:{brand_id}"
        if ":" in operator_id or not self._parts.node.catalog.brand_exists(brand):
            raise RequestRefused("NOT_FOUND", f"there is no brand {brand_id} of {operator_id}")
        token, currency = _token(upgrade), _currency(upgrade.query)
        player = await self._parts.players.authenticate(operator_id, brand_id, token, currency)
        if not isinstance(player, AuthenticatedPlayer):
            raise RequestRefused(player.code, player.message, status=player.status_code)
        role = PlayerRole(operator_id, brand_id, player)
        audience = PlayerAudience(
            self._parts.node.catalog, operator_id, brand_id, self._parts.clock
        )

        async def session(socket: Socket) -> None:
            await Conversation(around, socket, role, audience).hold()

        return Admitted(session, f"player {brand} {player.ids[0]}")

    def _admit_service(self, around: Surroundings, upgrade: Upgrade) -> Admitted:
        token = _token(upgrade)
        try:
            principal = self._parts.tokens.reader(token)
        except InvalidToken as invalid:
            raise RequestRefused("UNAUTHORIZED", str(invalid)) from None
        if principal is None:
            raise forbidden(f"read {Resource.JACKPOTS}")
        self._check_origin(upgrade, principal.org_id or PLATFORM)
        return Admitted(self._service(around, token, principal), f"account {principal.username}")

    def _service(self, around: Surroundings, token: str, principal: Principal) -> Session:
        async def session(socket: Socket) -> None:
            role, audience = ServiceRole(principal), ServiceAudience(principal, self._parts.clock)
            conversation = Conversation(around, socket, role, audience)
            with (
                trio.CancelScope() as scope,
                self._parts.tokens.watched(token, principal, scope.cancel),
            ):
                await conversation.hold()
            if scope.cancelled_caught:
                await socket.close(TOKEN_VOID, "the token is void")

        return session

    def _running(self) -> Surroundings:
        if self._around is None:
            raise NOT_READY
        return self._around


def _token(upgrade: Upgrade) -> str:
    """The token of the query, else that of the `Authorization` header, which browsers cannot send here."""
    scheme, _, bearer = upgrade.headers.get("authorization", "").partition(" ")
    token = upgrade.query.get("token") or (bearer.strip() if scheme.lower() == "bearer" else "")
    if not 1 <= len(token) <= TOKEN_LENGTH_MAX:
        raise RequestRefused("UNAUTHORIZED", "a token is needed")
    return token


def _currency(query: Mapping[str, str]) -> str:
    currency = query.get("currency", "")
    if not currency:
        raise RequestRefused(Code.INVALID_REQUEST, "query parameter currency is missing")
    is_code = currency.isascii() and currency.isalnum() and currency == currency.upper()
    if len(currency) not in CURRENCY_LENGTH or not is_code:
        raise RequestRefused(Code.INVALID_REQUEST, "query parameter currency is no currency code")
    return currency
