"""Administration of the origins whose pages may call (contract §7): listed, added, replaced, forgotten, at once.

Every operator has a list of its own, and so has the platform, whose pages may call for all operators. Accounts of an
operator see and change that operator's, but not if they are limited to brands.
"""

from collections.abc import Iterable, Sequence
from typing import cast

from jackpotd.connect.node import ConnectNode
from jackpotd.core.rejections import Rejection
from jackpotd.edge.exchange import Incoming, Outgoing, answer, json_body, refused_by
from jackpotd.edge.guard import Guard, forbidden
from jackpotd.edge.origin_patterns import BadPattern, entry
from jackpotd.edge.origins import PLATFORM
from jackpotd.identity.principal import Principal, Resource
from jackpotd.wire import codec, feed_messages
from jackpotd.wire import connect_messages as wire
from jackpotd.wire.errors import RequestRefused, invalid

ORIGINS_MAX = 200
EXPRESSIONS_MAX = 20

_ORIGINS = codec.decoder(wire.CorsOrigins)
_REMOVAL = codec.decoder(wire.CorsRemoval)


class OriginDesk:
    """The handlers of the origin calls."""

    def __init__(self, node: ConnectNode, guard: Guard) -> None:
        self._node = node
        self._guard = guard

    async def listed(self, request: Incoming) -> Outgoing:
        """List the origins whose pages may call: those of the account's operator, or of the platform."""
        principal = self._administrator(request)
        return answer(wire.CorsOrigins(_documents(self._known(principal))))

    async def add(self, request: Incoming) -> Outgoing:
        """Add origins; a pattern that is listed already gets the match mode that is given now."""
        principal = self._administrator(request)
        asked = codec.decode(_ORIGINS, json_body(request)).cors_origin_list
        added = _checked(asked, self._known(principal))
        changed = await self._change(principal, added, ())
        return answer(wire.CorsOrigins(_documents(changed.origins)))

    async def replace(self, request: Incoming) -> Outgoing:
        """Replace all origins of the list."""
        principal = self._administrator(request)
        listed = _checked(codec.decode(_ORIGINS, json_body(request)).cors_origin_list, ())
        gone = [pattern for pattern, _ in self._known(principal)]
        changed = await self._change(principal, listed, gone)
        return answer(wire.CorsOrigins(_documents(changed.origins)))

    async def remove(self, request: Incoming) -> Outgoing:
        """Remove origins by their patterns; what is not listed is passed over."""
        principal = self._administrator(request)
        asked = codec.decode(_REMOVAL, json_body(request)).cors_origin_list
        changed = await self._change(principal, (), list(dict.fromkeys(asked)))
        return answer(wire.CorsRemoved(changed.removed, _documents(changed.origins)))

    async def _change(
        self, principal: Principal, add: Sequence[tuple[str, str]], remove: Sequence[str]
    ) -> feed_messages.Origins:
        operator = principal.org_id or PLATFORM
        changed = await self._node.change_origins(principal.username, add, remove, operator)
        if isinstance(changed, Rejection):
            raise refused_by(changed)
        return changed

    def _known(self, principal: Principal) -> list[tuple[str, str]]:
        """The list of the caller's operator."""
        return [
            (origin.pattern, origin.match_mode)
            for origin in self._node.catalog.origins
            if origin.operator_id == (principal.org_id or PLATFORM)
        ]

    def _administrator(self, request: Incoming) -> Principal:
        """The caller: a service that may write jackpots, or who may write operators; not of single brands."""
        try:
            principal = self._guard.principal(request, Resource.JACKPOTS, write=True)
        except RequestRefused as refused:
            if refused.body.status_code != 403:
                raise
            principal = self._guard.principal(request, Resource.OPERATORS, write=True)
        if principal.unit_ids:
            raise forbidden("change what counts for more than its brands")
        return principal


def _checked(
    asked: Sequence[wire.CorsOriginDoc], known: Iterable[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    """Origins that can be listed beside known ones, each pattern once, as it was named last.

    Raises:
        RequestRefused: 400, with the path of the one that cannot, or because there would be too many.
    """
    added = {origin.pattern: origin.match_mode for origin in asked}
    modes = list({**dict(known), **added}.values())
    if len(modes) > ORIGINS_MAX or modes.count("Regex") > EXPRESSIONS_MAX:
        message = f"would make more than {ORIGINS_MAX} origins, or {EXPRESSIONS_MAX} as Regex"
        raise invalid("$.cors_origin_list", message)
    for index, origin in enumerate(asked):
        try:
            entry(origin.pattern, origin.match_mode)
        except BadPattern as bad:
            raise invalid(f"$.cors_origin_list[{index}].pattern", str(bad)) from None
    return tuple(added.items())


def _documents(origins: Iterable[tuple[str, str]]) -> list[wire.CorsOriginDoc]:
    return [wire.CorsOriginDoc(pattern, cast("wire.MatchMode", mode)) for pattern, mode in origins]
