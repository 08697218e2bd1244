"""What every admin handler stands on, and the questions that they all ask."""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Struct

from jackpotd.core import operating
from jackpotd.core.commands import OperatorCommand
from jackpotd.core.events import InstanceEvent
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Instance
from jackpotd.edge.exchange import Incoming, json_body, refused_by
from jackpotd.edge.guard import Guard, forbidden, require_reach
from jackpotd.engine.catalog import Catalog, CatalogOwner, Change
from jackpotd.engine.messages import Operated
from jackpotd.engine.owners import Owners
from jackpotd.identity.principal import Principal, Resource
from jackpotd.wire import codec
from jackpotd.wire.catalog_records import InstanceEntry
from jackpotd.wire.errors import RequestRefused, invalid

T = TypeVar("T")

KEY_RETENTION_MS = 7 * 86_400_000
"""How long keys live where nothing else was set."""
APPROVAL_LIFETIME_MS = 86_400_000
"""How long a request waits for a second person where nothing else was set."""


class AdminContext(Struct, frozen=True):
    """The catalog and its owner, the owners of the instances, and who may call."""

    owner: CatalogOwner
    owners: Owners
    guard: Guard
    clock: Callable[[], int]
    new_id: Callable[[], str]
    list_limit_max: int
    key_retention_ms: int = KEY_RETENTION_MS
    four_eyes: bool = False
    approval_lifetime_ms: int = APPROVAL_LIFETIME_MS

    @property
    def catalog(self) -> Catalog:
        return self.owner.catalog

    def reader(self, request: Incoming, resource: Resource) -> Principal:
        return self.guard.principal(request, resource)

    def writer(self, request: Incoming, resource: Resource) -> Principal:
        return self.guard.principal(request, resource, write=True)

    def body(self, decoder: msgspec.json.Decoder[T], request: Incoming) -> T:
        return codec.decode(decoder, json_body(request))

    async def change(self, principal: Principal, change: Change) -> None:
        """Writes to the catalog; returns when it is durable and everybody sees it."""
        await self.change_by(principal.username, change)

    async def change_by(self, by: str, change: Change) -> None:
        """The same, for whoever answers for it."""
        refused = await self.owner.change(by, change)
        if refused is not None:
            raise refused_by(refused)

    def require_owner(self, principal: Principal, owner: str, path: str) -> None:
        """Refuses an owner path that is not the caller's, or that names nobody."""
        require_reach(principal, owner)
        if not self.catalog.owner_exists(owner):
            raise invalid(path, f"names no operator or brand: {owner}")

    def entry(self, principal: Principal, instance_id: str) -> InstanceEntry:
        """An instance that the caller owns, as the catalog has it."""
        entry = self.catalog.instances.get(instance_id)
        if entry is None:
            raise RequestRefused(Code.JACKPOT_NOT_FOUND, instance_id)
        if not principal.reaches(entry.owner_id):
            raise forbidden(f"reach {instance_id}")
        return entry

    async def instance(self, principal: Principal, instance_id: str) -> Instance:
        """An instance that the caller owns, as it stands."""
        self.entry(principal, instance_id)
        state = await self.owners.instance(instance_id)
        if isinstance(state, Rejection):
            raise refused_by(state)
        return state


async def operated(owners: Owners, instance_id: str, command: OperatorCommand) -> Operated:
    """What a command has done to an instance; a refusal of its owner is raised."""
    outcome = await owners.operate(instance_id, command)
    if isinstance(outcome, Rejection):
        raise refused_by(outcome)
    return outcome


def previewed(state: Instance, command: OperatorCommand) -> list[InstanceEvent]:
    """What a command would do to an instance as it stands; a refusal is raised. Nothing happens."""
    events = operating.decide(state, command)
    if isinstance(events, Rejection):
        raise refused_by(events)
    return events


def not_found(what: str) -> RequestRefused:
    return RequestRefused("NOT_FOUND", what)


def conflict(message: str) -> Rejection:
    return Rejection(Code.INVALID_STATE, message)
