"""Webhooks of operators (contract §3, "Asynchronous"): where results may be sent, what they are signed with, and those
that were given up.
"""

import base64
import secrets as randomness
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Protocol

from msgspec import Raw

from jackpotd.admin.context import AdminContext, not_found
from jackpotd.core.rejections import Code, Rejection
from jackpotd.edge.exchange import Incoming, Outgoing, answer, integer, refused_by
from jackpotd.edge.guard import forbidden, require_reach
from jackpotd.engine.catalog import Catalog
from jackpotd.identity.principal import Principal, Resource
from jackpotd.outbound.addresses import is_public
from jackpotd.outbound.signing import check_secret
from jackpotd.outbound.targets import check_prefix
from jackpotd.wire import admin_webhooks as wire
from jackpotd.wire import codec
from jackpotd.wire.admin_messages import BatchAnswer
from jackpotd.wire.catalog_records import CatalogEntity
from jackpotd.wire.catalog_records import Webhooks as WebhooksEntity
from jackpotd.wire.deliveries import DeadLetter
from jackpotd.wire.errors import invalid
from jackpotd.wire.webhook_urls import Unusable, parse

SECRET_BYTES_MADE = 32
LETTERS_PER_PAGE_MAX = 200
"""Each has the metadata of its contribution, which may be large, and a page is one message between processes."""

_LOCALHOST = "localhost"

_NO_FEED = Rejection(Code.INVALID_STATE, "events are switched off: nothing is sent to webhooks")

_WEBHOOKS = codec.decoder(wire.WebhooksDoc)
_REPLAY = codec.decoder(wire.ReplayDoc)

SecretsOf = Callable[[str], Sequence[str]]
"""The secrets that an operator's results are signed with as it stands, whether it has set them or not."""


class DeadLetterDesk(Protocol):
    """Whoever keeps the results that were given up; a Rejection where that cannot be asked now."""

    async def dead_letters(
        self, operator: str, skip: int, limit: int
    ) -> tuple[DeadLetter, ...] | Rejection:
        """An operator's, the latest first."""

    async def replay(self, operator: str, ids: tuple[str, ...]) -> tuple[str, ...] | Rejection:
        """Tries these again, or all of the operator's where none is named; the ids of those that are on their way."""


class NoFeed:
    """The desk of a server without a feed: nothing is sent there, so nothing can be given up or tried again."""

    async def dead_letters(
        self,
        operator: str,  # noqa: ARG002 - of nobody
        skip: int,  # noqa: ARG002
        limit: int,  # noqa: ARG002
    ) -> tuple[DeadLetter, ...] | Rejection:
        return _NO_FEED

    async def replay(
        self,
        operator: str,  # noqa: ARG002
        ids: tuple[str, ...],  # noqa: ARG002
    ) -> tuple[str, ...] | Rejection:
        return _NO_FEED


class Webhooks:
    """The handlers of `/config/operators/{operator_id}/webhooks` and what is below.

    They are about the operator as a whole: an account of some of its brands does not reach them.

    Args:
        context: the catalog, and who may call.
        desk: keeps what was given up.
        secrets_of: what results are signed with.
    """

    def __init__(self, context: AdminContext, desk: DeadLetterDesk, secrets_of: SecretsOf) -> None:
        self._context = context
        self._desk = desk
        self._secrets_of = secrets_of

    async def get(self, request: Incoming) -> Outgoing:
        """Get the targets that an operator's webhooks may have, and the secrets that results are signed with."""
        operator_id, principal = self._reached(request)
        return answer(self._answer(operator_id, principal))

    async def put(self, request: Incoming) -> Outgoing:
        """Set the targets that an operator's webhooks may have, and the secrets that results are signed with."""
        operator_id, principal = self._reached(request, write=True)
        document = self._context.body(_WEBHOOKS, request)
        self._require_targets(principal, operator_id, document.allow)
        given = tuple(document.secrets or ())
        _require_secrets(given)

        def change(catalog: Catalog) -> list[CatalogEntity] | Rejection:
            known = catalog.webhooks.get(operator_id)
            kept: tuple[str, ...] = ()
            if document.secrets is None:  # what results are signed with already, set or not
                kept = known.secrets if known is not None else tuple(self._secrets_of(operator_id))
            return [
                WebhooksEntity(
                    operator_id=operator_id,
                    allow=tuple(dict.fromkeys(document.allow)),
                    secrets=given or kept or (_new_secret(),),
                )
            ]

        await self._context.change(principal, change)
        return answer(self._answer(operator_id, principal))

    async def dead_letters(self, request: Incoming) -> Outgoing:
        """List the results for an operator's webhooks that were given up, the latest first."""
        operator_id, _ = self._reached(request)
        limit_max = min(self._context.list_limit_max, LETTERS_PER_PAGE_MAX)
        limit = integer(request, "limit", limit_max, 0, limit_max)
        page = integer(request, "page", 0, 0, 1_000_000)
        found = await self._desk.dead_letters(operator_id, page * limit, limit)
        if isinstance(found, Rejection):
            raise refused_by(found)
        return answer([_letter(each) for each in found])

    async def replay(self, request: Incoming) -> Outgoing:
        """Try results again that were given up: those named, or all of the operator's."""
        operator_id, _ = self._reached(request, write=True)
        # A call without a body means all, as one without ids does.
        body = self._context.body(_REPLAY, request) if request.body else wire.ReplayDoc()
        ids = tuple(dict.fromkeys(body.ids))
        done = await self._desk.replay(operator_id, ids)
        if isinstance(done, Rejection):
            raise refused_by(done)
        begun = frozenset(done)
        return answer(BatchAnswer(list(done), [each for each in ids if each not in begun]))

    def _reached(self, request: Incoming, *, write: bool = False) -> tuple[str, Principal]:
        """The operator of the path, for a caller who may."""
        principal = self._context.guard.principal(request, Resource.OPERATORS, write=write)
        operator_id = request.path["operator_id"]
        require_reach(principal, operator_id)
        if operator_id not in self._context.catalog.operators:
            raise not_found(f"operator {operator_id}")
        return operator_id, principal

    def _require_targets(
        self, principal: Principal, operator_id: str, allow: Sequence[str]
    ) -> None:
        """Refuses what is no prefix, and addresses of our own network from anybody but the platform: an operator must
        not be able to open what only our own network sees.
        """
        known = self._context.catalog.webhooks.get(operator_id)
        standing = known.allow if known is not None else ()
        for index, prefix in enumerate(allow):
            if problem := check_prefix(prefix):
                raise invalid(f"$.allow[{index}]", f"cannot be allowed: {problem}")
            if _is_inside(prefix) and not principal.is_platform and prefix not in standing:
                raise forbidden(f"allow an address that is not public, as $.allow[{index}] is")

    def _answer(self, operator_id: str, principal: Principal) -> wire.WebhooksAnswer:
        known = self._context.catalog.webhooks.get(operator_id)
        may_see = principal.may(Resource.OPERATORS, write=True)
        return wire.WebhooksAnswer(
            operator_id=operator_id,
            allow=list(known.allow) if known is not None else [],
            secrets=list(self._secrets_of(operator_id)) if may_see else None,
        )


def _is_inside(prefix: str) -> bool:
    """Whether an entry names an address that is not the public internet's."""
    parsed = parse(prefix)
    if isinstance(parsed, Unusable):
        return False
    try:
        return parsed.host == _LOCALHOST or not is_public(ip_address(parsed.host))
    except ValueError:
        return False  # a name; what it resolves to is looked at before each connection


def _require_secrets(given: Sequence[str]) -> None:
    """Refuses what is no secret of Standard Webhooks; the message never repeats what was sent."""
    for index, text in enumerate(given):
        path = f"$.secrets[{index}]"
        if text in given[:index]:
            raise invalid(path, "is there twice")
        if problem := check_secret(text):
            raise invalid(path, f"cannot be used: {problem}")


def _new_secret() -> str:
    made = base64.b64encode(randomness.token_bytes(SECRET_BYTES_MADE))
    return f"whsec_{made.decode()}"


def _letter(letter: DeadLetter) -> wire.DeadLetterAnswer:
    return wire.DeadLetterAnswer(
        id=letter.id,
        url=letter.url,
        payload=Raw(letter.body),
        attempts=letter.attempts,
        reason=letter.reason,
        created_timestamp=letter.created_ms,
        dead_timestamp=letter.dead_ms,
    )
