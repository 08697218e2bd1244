"""What can be asked over a socket of Connect beside events: opt-ins V1 and V2, and raffle tickets (contract §7).

A request is checked before anything is done for it; its handler then answers with messages, or with none: an opt-in
that was taken is seen by its OptInEvent.
"""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from jackpotd.connect.node import ConnectNode
from jackpotd.connect.roles import Role, Whom, whom
from jackpotd.core.raffle import current_round
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Instance, Player
from jackpotd.edge.exchange import refused_by
from jackpotd.engine.messages import OptInRequest, Target
from jackpotd.engine.raffle_reads import running_tickets
from jackpotd.wire import codec
from jackpotd.wire import connect_messages as wire
from jackpotd.wire.errors import ErrorBody, RequestRefused, error_body, invalid

PLAYER_ID_BYTES_MAX = 255


class Said(Struct, frozen=True):
    """A message to be sent, but for when and to whom; it is an error if it holds one."""

    msg_name: str
    data: Any


Answers = Awaitable[list[Said]]


class Understood(Struct, frozen=True):
    """A request that may be served: what its errors are named after, whom it is about, and how it is done.

    What is answered by an event has to be listened for.
    """

    error_name: str
    about: Whom
    serve: Callable[[], Answers]
    is_answered_by_event: bool = False


class Requests:
    """Reads the requests of sockets, and serves them."""

    def __init__(self, node: ConnectNode) -> None:
        self._node = node
        self._readers: Mapping[str, Callable[[Role, msgspec.Raw], Understood]] = MappingProxyType(
            {
                "PlayerOptInRequest": self._opt_in,
                "PlayerOptInRequestV2": self._opt_in_v2,
                "PlayerRaffleTicketsRequest": self._tickets,
            }
        )

    def knows(self, name: str) -> bool:
        """Whether there is a request of that name."""
        return name in self._readers

    def understood(self, role: Role, name: str, body: msgspec.Raw) -> Understood:
        """A request as its sender may make it.

        Raises:
            RequestRefused: 400 where it cannot be read, 403 where the sender may not.
        """
        return self._readers[name](role, body)

    def _opt_in(self, role: Role, body: msgspec.Raw) -> Understood:
        name = "PlayerOptInRequest"
        message = decoded(_OPT_IN, body, name)
        about = _checked(role, whom(message.brand_id, message.player_id), name, write=True)
        preferred = message.contribution_value
        request = OptInRequest(
            target=Target("instance", message.instance_id),
            brand=message.brand_id,
            player_id=message.player_id,
            country=role.country(message.player_country),
            opt_in=message.opt_in,
            preferred=None if preferred is None else preferred.units,
            preferred_currency=message.contribution_currency,
            with_links=False,
        )
        return _opting_in(name, about, lambda: self._opted_in(name, request, is_v2=False))

    def _opt_in_v2(self, role: Role, body: msgspec.Raw) -> Understood:
        name = "PlayerOptInRequestV2"
        message = decoded(_OPT_IN_V2, body, name)
        operator_id = _operator(role, message, name)
        player = Whom(operator_id, message.player.brand_id, message.player.id)
        about = _checked(role, player, name, write=True)
        preference = message.contribution_preference
        request = OptInRequest(
            target=Target(message.target.type, message.target.id),
            brand=about.brand,
            player_id=message.player.id,
            country=role.country(message.player.country),
            opt_in=message.opt_in,
            preferred=None if preference is None else preference.value.units,
            preferred_currency=None if preference is None else preference.currency,
            with_links=bool(message.opt_linked),
        )
        return _opting_in(name, about, lambda: self._opted_in(name, request, is_v2=True))

    async def _opted_in(self, name: str, request: OptInRequest, *, is_v2: bool) -> list[Said]:
        """One error for each instance that refused; the others are heard of by their events."""
        result = await self._node.opt_in(request)
        if isinstance(result, Rejection):
            raise refused_by(result)
        return [
            Said(name, _error(error_body(refused), instance_id if is_v2 else UNSET))
            for instance_id, refused in result.instances
            if refused is not None
        ]

    def _tickets(self, role: Role, body: msgspec.Raw) -> Understood:
        name = "PlayerRaffleTicketsRequest"
        message = decoded(_TICKETS, body, name)
        about = _checked(role, whom(message.brand_id, message.player_id), name, write=False)
        instance_id = message.instance_id

        def serve() -> Answers:
            if not self._node.catalog.brand_exists(about.brand):
                raise RequestRefused(Code.UNSUPPORTED_BRAND, about.brand)
            if instance_id is None:
                return self._ticket_list(about)
            return self._tickets_of(instance_id, about)

        return Understood(ERROR_NAMES[name], about, serve)

    async def _tickets_of(self, instance_id: str, about: Whom) -> list[Said]:
        entry = self._node.catalog.instances.get(instance_id)
        # What a brand takes no part in is not there for its players.
        if entry is None or about.brand not in entry.brands:
            raise RequestRefused(Code.JACKPOT_NOT_FOUND, instance_id)
        found = await self._node.owners.standing(instance_id, about.brand, _player_id(about))
        if isinstance(found, Rejection):
            raise refused_by(found)
        state, player = found
        if state.rules.raffle is None:
            raise RequestRefused(Code.JACKPOT_NOT_FOUND, f"{instance_id} is no raffle")
        return [Said("PlayerRaffleTicketResponse", _instance_tickets(state, player))]

    async def _ticket_list(self, about: Whom) -> list[Said]:
        found = await self._node.owners.held_tickets(about.brand, _player_id(about))
        if isinstance(found, Rejection):
            raise refused_by(found)
        tickets = [
            wire.InstanceTickets(each.instance_id, each.tickets.count, each.starts_ms, each.ends_ms)
            for each in found
        ]
        return [Said("PlayerRaffleTicketListResponse", wire.TicketList(tickets))]


ERROR_NAMES = MappingProxyType({"PlayerRaffleTicketsRequest": "PlayerRaffleTicketRequest"})
"""What errors are named after where it is not the request's own name (contract §7)."""

_OPT_IN = codec.decoder(wire.PlayerOptInRequest)
_OPT_IN_V2 = codec.decoder(wire.PlayerOptInRequestV2)
_TICKETS = codec.decoder(wire.PlayerRaffleTicketsRequest)


def decoded(decoder: msgspec.json.Decoder[codec.T], body: msgspec.Raw, name: str) -> codec.T:
    """What stands behind the tag of a message.

    Raises:
        RequestRefused: 400; the path of the field begins with the tag.
    """
    try:
        return codec.decode(decoder, body)
    except RequestRefused as refused:
        message = refused.body.message
        if not message.startswith("$"):
            raise
        raise RequestRefused(refused.body.code, f"$.{name}{message[1:]}") from None


def refusal(refused: RequestRefused) -> wire.MessageError:
    """A refusal as the data of a message."""
    return _error(refused.body)


def _opting_in(name: str, about: Whom, serve: Callable[[], Answers]) -> Understood:
    return Understood(name, about, serve, is_answered_by_event=True)


def _error(body: ErrorBody, instance_id: str | UnsetType = UNSET) -> wire.MessageError:
    return wire.MessageError(body.status_code, body.code, body.message, instance_id)


def _checked(role: Role, player: Whom, name: str, *, write: bool) -> Whom:
    """A player whom the sender may act for, by a name that can be kept."""
    role.check(player, write=write)
    if len(_player_id(player).encode()) > PLAYER_ID_BYTES_MAX:
        raise invalid(f"$.{name}", f"names a player by more than {PLAYER_ID_BYTES_MAX} bytes")
    return player


def _player_id(about: Whom) -> str:
    assert about.player_id is not None  # noqa: S101 - narrows the type: requests name their player
    return about.player_id


def _operator(role: Role, message: wire.PlayerOptInRequestV2, name: str) -> str:
    """`operator_id`, or its older name `owner_id`; who names none means their own."""
    operator_id = message.operator_id or message.owner_id or role.operator_id()
    if message.owner_id not in (None, operator_id):
        raise invalid(f"$.{name}.owner_id", "is an alias of operator_id and differs from it")
    if operator_id is None:
        raise invalid(f"$.{name}.operator_id", "is missing")
    return operator_id


def _instance_tickets(state: Instance, player: Player) -> wire.InstanceTickets:
    round_, held = current_round(state), running_tickets(state, player)
    return wire.InstanceTickets(
        instance_id=state.definition.instance_id,
        ticket_count=0 if held is None else held.count,
        timestamp_start=None if round_ is None else round_.starts_ms,
        timestamp_end=None if round_ is None else round_.ends_ms,
    )
