"""Four eyes: requests that wait for a second person (R-CHG-4, contract §8), and their execution.

The first attempt is stored in the catalog as it was asked, and answers 202. Another account with the same right
approves it, by name or by making the same call; who asked cannot. What is approved is durable before it is executed,
and each execution can be done again without effect, so a crash in between leaves something to be finished, and nothing
is done twice.
"""

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
import structlog
import trio
from msgspec import Raw, Struct
from msgspec.structs import replace

from jackpotd.admin.context import AdminContext, conflict, not_found
from jackpotd.core.rejections import Rejection
from jackpotd.edge.exchange import Incoming, Outgoing, answer, page_of
from jackpotd.edge.guard import forbidden, require_reach
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.messages import Reply
from jackpotd.identity.principal import Principal, Resource, principal_of
from jackpotd.journal.group_commit import JournalFailed
from jackpotd.wire import admin_instances as wire
from jackpotd.wire import codec
from jackpotd.wire.catalog_records import Approval, ApprovalKind, CatalogEntity
from jackpotd.wire.errors import RequestRefused

WAITING_MAX = 1000
RETRY_MIN_S = 0.05
RETRY_MAX_S = 10.0

_REASON = codec.decoder(wire.ReasonDoc)
_EXACT = msgspec.json.Decoder(float_hook=Decimal)

_log = structlog.get_logger("jackpotd.approvals")


class Asked(Struct, frozen=True):
    """A request that is to be executed: its path by parts, its body, who answers for it.

    `id` is the approval's, empty where none was needed; what is executed under an id is done once.
    """

    path: Mapping[str, str]
    body: bytes
    by: str
    id: str = ""


Execute = Callable[[Asked], Awaitable[Outgoing]]
"""Does what was asked, or has been done before under the same id; refuses with RequestRefused."""


class Approvals:
    """The desk where requests wait, and the handlers of `/approvals`."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context
        self._executors: dict[ApprovalKind, Execute] = {}
        self._waiting: dict[str, list[Reply[Outgoing | RequestRefused]]] = {}
        self._wake = trio.Event()

    def register(self, what: ApprovalKind, execute: Execute) -> None:
        """Who executes requests of a kind."""
        self._executors[what] = execute

    async def ask(
        self,
        principal: Principal,
        what: ApprovalKind,
        owner: str,
        path: Mapping[str, str],
        body: bytes,
    ) -> Outgoing:
        """Executes a request that its handler has checked; or lets it wait, or approves what somebody else asked."""
        if not self._context.four_eyes:
            return await self._executors[what](Asked(path, body, principal.username))
        fresh = self._fresh(principal, what, owner, path, body)
        found: list[Approval] = []

        def change(catalog: Catalog) -> list[CatalogEntity] | Rejection:
            same = [known for known in catalog.approvals.values() if self._is_same(known, fresh)]
            others = [known for known in same if known.asked_by != principal.username]
            found[:] = others or same or [fresh]
            if same:
                return []
            waiting = [known for known in catalog.approvals.values() if known.state == "Waiting"]
            alive = sum(known.expires_ms > fresh.asked_ms for known in waiting)
            return (
                conflict("too many requests wait for approval") if alive >= WAITING_MAX else [fresh]
            )

        await self._context.change(principal, change)
        if found[0].asked_by != principal.username:
            return await self._approve(principal, found[0].id)
        return answer(self._answer(found[0]), 202)

    def _fresh(
        self,
        principal: Principal,
        what: ApprovalKind,
        owner: str,
        path: Mapping[str, str],
        body: bytes,
    ) -> Approval:
        now_ms = self._context.clock()
        return Approval(
            id=self._context.new_id(),
            what=what,
            owner_id=owner,
            path=dict(path),
            body=Raw(body),
            asked_by=principal.username,
            asked_ms=now_ms,
            expires_ms=now_ms + self._context.approval_lifetime_ms,
        )

    def _is_same(self, known: Approval, fresh: Approval) -> bool:
        """Whether a request waits already: the same call, and a body of the same content."""
        return (
            known.state == "Waiting"
            and known.expires_ms > fresh.asked_ms
            and (known.what, known.owner_id, known.path) == (fresh.what, fresh.owner_id, fresh.path)
            and bool(_EXACT.decode(known.body) == _EXACT.decode(fresh.body))
        )

    async def _approve(self, principal: Principal, approval_id: str) -> Outgoing:
        """Makes a request due, and waits for what comes of it."""

        def change(catalog: Catalog) -> list[CatalogEntity] | Rejection:
            known = catalog.approvals[approval_id]
            refused = self._not_waiting(known) or self._no_longer_entitled(catalog, known)
            if refused is not None:
                return refused
            return [self._decided(known, principal, "Approved")]

        reply: Reply[Outgoing | RequestRefused] = Reply()
        self._waiting.setdefault(approval_id, []).append(reply)
        try:
            await self._context.change(principal, change)
            self._wake.set()
            outcome = await reply.wait()
        finally:
            self._waiting[approval_id].remove(reply)
            if not self._waiting[approval_id]:
                del self._waiting[approval_id]
        if isinstance(outcome, RequestRefused):
            raise outcome
        return outcome

    def _decided(
        self, known: Approval, principal: Principal, state: Any, note: str = ""
    ) -> Approval:
        return replace(
            known,
            state=state,
            decided_by=principal.username,
            decided_ms=self._context.clock(),
            note=note,
        )

    def _not_waiting(self, known: Approval) -> Rejection | None:
        state = self._state(known)
        return None if state == "Waiting" else conflict(f"approval {known.id} is {state}")

    def _no_longer_entitled(self, catalog: Catalog, known: Approval) -> Rejection | None:
        """Who asked must still be somebody who may."""
        account = catalog.accounts.get(known.asked_by)
        if account is not None and account.enabled:
            principal = principal_of(account)
            resource = _resource(known)
            if principal.may(resource, write=True) and principal.reaches(known.owner_id):
                return None
        return conflict(f"{known.asked_by}, who asked for it, may not do this any more")

    async def run(self) -> None:
        """Executes what is approved, also what an earlier life left, until cancelled.

        Raises:
            JournalFailed: the catalog's journal does not take writes any more.
        """
        delay_s = RETRY_MIN_S
        while True:
            self._wake = trio.Event()
            due = [
                known
                for known in self._context.catalog.approvals.values()
                if known.state == "Approved"
            ]
            is_done = all([await self._execute(known) for known in due])
            if is_done:
                delay_s = RETRY_MIN_S
                await self._wake.wait()
            else:
                with trio.move_on_after(delay_s):
                    await self._wake.wait()
                delay_s = min(2 * delay_s, RETRY_MAX_S)

    async def _execute(self, approval: Approval) -> bool:
        """Executes a request and notes how it ended; False where it is to be tried again."""
        by = f"{approval.asked_by}, approved by {approval.decided_by}"
        asked = Asked(approval.path, bytes(approval.body), by, approval.id)
        outcome: Outgoing | RequestRefused
        try:
            outcome = await self._executors[approval.what](asked)
            ended = replace(approval, state="Executed")
        except RequestRefused as refused:
            outcome = refused
            ended = replace(approval, state="Failed", note=refused.body.message)
        except JournalFailed:
            raise
        except Exception:  # noqa: BLE001 - one bad request must not keep all others waiting
            _log.exception("an approved request failed", approval=approval.id)
            outcome = RequestRefused("SYSTEM_ERROR", "the request failed; look at what it has done")
            ended = replace(approval, state="Failed", note=outcome.body.message)
        # Where a worker is not there, the request stays due; who waits is told.
        is_over = not (isinstance(outcome, RequestRefused) and outcome.body.status_code == 503)
        if is_over:
            await self._context.owner.change(by, lambda _: [ended])
            _log.info("approved", approval=approval.id, kind=approval.what, state=ended.state)
        for reply in self._waiting.get(approval.id, ()):
            reply.resolve(outcome)
        return is_over

    # The handlers of `/approvals`.

    async def listing(self, request: Incoming) -> Outgoing:
        """List the requests that wait for a second person, or have waited."""
        principal = self._reader(request)
        status = request.query.get("state")
        found = [
            shown
            for known in self._context.catalog.approvals.values()
            if principal.reaches(known.owner_id) and principal.may(_resource(known))
            for shown in [self._answer(known)]
            if not status or status == shown.state
        ]
        fields = {
            "asked_at": lambda shown: shown.asked_at,
            "asked_by": lambda shown: shown.asked_by,
            "kind": lambda shown: shown.kind,
            "state": lambda shown: shown.state,
        }
        return answer(page_of(request, found, fields, self._context.list_limit_max))

    def _reader(self, request: Incoming) -> Principal:
        """Who may read instances, or templates."""
        try:
            return self._context.reader(request, Resource.INSTANCES)
        except RequestRefused as refused:
            if refused.body.status_code != 403:
                raise
        return self._context.reader(request, Resource.TEMPLATES)

    async def get(self, request: Incoming) -> Outgoing:
        """Get a request that waits for a second person, or has waited."""
        _, approval = self._named(request, write=False)
        return answer(self._answer(approval))

    async def approve(self, request: Incoming) -> Outgoing:
        """Approve what another account has asked for; the answer is that of the request."""
        principal, approval = self._named(request, write=True)
        if approval.asked_by == principal.username:
            raise forbidden("approve what it has asked for itself")
        return await self._approve(principal, approval.id)

    async def reject(self, request: Incoming) -> Outgoing:
        """Reject what waits for a second person, or take it back."""
        principal, approval = self._named(request, write=True)
        document = self._context.body(_REASON, request)

        def change(catalog: Catalog) -> list[CatalogEntity] | Rejection:
            known = catalog.approvals[approval.id]
            return self._not_waiting(known) or [
                self._decided(known, principal, "Rejected", document.reason)
            ]

        await self._context.change(principal, change)
        return answer(self._answer(self._context.catalog.approvals[approval.id]))

    def _named(self, request: Incoming, *, write: bool) -> tuple[Principal, Approval]:
        """The approval of the path, for a caller who holds the right that it needs."""
        approval_id = request.path["approval_id"]
        approval = self._context.catalog.approvals.get(approval_id)
        resource = Resource.INSTANCES if approval is None else _resource(approval)
        principal = self._context.guard.principal(request, resource, write=write)
        if approval is None:
            raise not_found(f"approval {approval_id}")
        require_reach(principal, approval.owner_id)
        return principal, approval

    def _state(self, known: Approval) -> Any:
        is_expired = known.state == "Waiting" and known.expires_ms <= self._context.clock()
        return "Expired" if is_expired else known.state

    def _answer(self, known: Approval) -> wire.ApprovalAnswer:
        return wire.ApprovalAnswer(
            approval_id=known.id,
            kind=known.what,
            state=self._state(known),
            owner_id=known.owner_id,
            path=known.path,
            request=known.body,
            asked_by=known.asked_by,
            asked_at=known.asked_ms,
            expires_at=known.expires_ms,
            decided_by=known.decided_by or None,
            decided_at=known.decided_ms or None,
            note=known.note,
        )


def _resource(approval: Approval) -> Resource:
    return Resource.TEMPLATES if approval.what == "publish" else Resource.INSTANCES
