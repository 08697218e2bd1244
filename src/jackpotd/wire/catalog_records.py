"""The record format of the catalog's journal: each change holds the whole new entities, with who made it and when.

Same rules of evolution as the journal of contributions: fields are added last with a default.
"""

from functools import lru_cache
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from jackpotd.core.rules import Rules
from jackpotd.core.state import Status
from jackpotd.wire.parts import Schedule
from jackpotd.wire.template import DECODER, rules_in

COMPILED_AT_HAND = 1024


class _Entity(Struct, frozen=True, tag_field="kind", kw_only=True):
    pass


class Brand(Struct, frozen=True, kw_only=True):
    """A brand of an operator; its path is `operator:brand`."""

    id: str
    name: str
    enabled: bool
    created_ms: int


class Operator(_Entity, frozen=True, tag="operator", kw_only=True):
    """An organisation with its brands."""

    id: str
    name: str
    enabled: bool
    created_ms: int
    brands: tuple[Brand, ...] = ()


class Assignment(Struct, frozen=True, kw_only=True):
    """A jackpot mapped to a source; the lowest priority is tried first."""

    instance_id: str
    priority: int


class Former(Struct, frozen=True, kw_only=True):
    """A jackpot that was mapped to a source until `removed_ms`: keys of that time may lie with its worker."""

    instance_id: str
    removed_ms: int


class Source(_Entity, frozen=True, tag="source", kw_only=True):
    """Where contributions come from; `jackpots` in the order of resolution.

    `former` names those that were mapped before, for as long as keys live.
    """

    owner_id: str
    source_id: str
    name: str
    jackpots: tuple[Assignment, ...] = ()
    former: tuple[Former, ...] = ()


class Template(_Entity, frozen=True, tag="template", kw_only=True):
    """A rule set as it was written; published ones can be instantiated."""

    owner_id: str
    id: str
    document: Raw
    published: bool
    created_ms: int


class InstanceEntry(_Entity, frozen=True, tag="instance", kw_only=True):
    """An instance that shall exist: its shard gives birth to it if it has not yet."""

    instance_id: str
    name: str
    owner_id: str
    template_id: str
    template_owner_id: str
    document: Raw
    brands: tuple[str, ...]
    status: Status
    created_ms: int
    by: str
    schedule: Schedule | None = None


class Placement(_Entity, frozen=True, tag="placement", kw_only=True):
    """The worker that an instance shall live in, where it is not the one that its hash says."""

    instance_id: str
    worker: int


class Links(_Entity, frozen=True, tag="links", kw_only=True):
    """The instances that receive when this one does."""

    instance_id: str
    linked: tuple[str, ...]


class Currencies(_Entity, frozen=True, tag="currencies", kw_only=True):
    """Multipliers of a brand, or of `default`, in units of 1e-8."""

    brand_id: str
    base_currency: str
    rates: dict[str, int]
    updated_ms: int


class Permission(Struct, frozen=True, kw_only=True):
    """A right on a resource; `*` is every resource, `Write` includes `Read`."""

    resource_id: str
    permission: str


class Account(_Entity, frozen=True, tag="account", kw_only=True):
    """Who may call. `org_id` None is the platform itself; no `unit_ids` means every brand of the operator.

    `generation` grows when the password changes: older tokens are then void.
    """

    id: str
    username: str
    password_hash: str
    account_type: str
    org_id: str | None
    unit_ids: tuple[str, ...]
    permissions: tuple[Permission, ...]
    enabled: bool
    created_ms: int
    generation: int = 0


ApprovalKind = Literal[
    "publish",
    "adjustment",
    "release",
    "rejection",
    "termination",
    "decommission",
    "switchmodel",
    "schedule",
]
ApprovalState = Literal["Waiting", "Approved", "Executed", "Failed", "Rejected"]


class Approval(_Entity, frozen=True, tag="approval", kw_only=True):
    """A request that waits for a second person, as it was asked: the parts of its path by name, and its body.

    `owner_id` is who owns what it is about. Approved is durable before it is executed, so a crash in between leaves
    something to be done; `note` says why it was rejected, or how it failed.
    """

    id: str
    what: ApprovalKind
    owner_id: str
    path: dict[str, str]
    body: Raw
    asked_by: str
    asked_ms: int
    expires_ms: int
    state: ApprovalState = "Waiting"
    decided_by: str = ""
    decided_ms: int = 0
    note: str = ""


class SwitchPart(Struct, frozen=True, kw_only=True):
    """A share of what a pot holds, in units of 1e-8, for a pot of the new instance."""

    pot: int
    to_pot: str
    share: int


class Switching(_Entity, frozen=True, tag="switching", kw_only=True):
    """An instance that becomes another one, of another template; the new one stands in the catalog as Pending.

    Begun: its money and its opt-ins are being moved. Remapped: sources and links lead to the new one, which is to be
    started if `starts`. Done; or called off, because the old one did not let its money go.
    """

    id: str
    source: str
    target: str
    parts: tuple[SwitchPart, ...]
    with_opt_ins: bool
    starts: bool
    by: str
    reason: str
    at_ms: int
    stage: Literal["Begun", "Remapped", "Done", "CalledOff"] = "Begun"


class Origin(Struct, frozen=True, kw_only=True):
    """Whose pages may call Connect from a browser; `operator_id` says whose list it is in, empty the platform's."""

    pattern: str
    match_mode: Literal["Exact", "Suffix", "Regex"]
    operator_id: str = ""


class Origins(_Entity, frozen=True, tag="origins", kw_only=True):
    """All origins that are allowed; each change holds all of them."""

    origins: tuple[Origin, ...] = ()


class Webhooks(_Entity, frozen=True, tag="webhooks", kw_only=True):
    """An operator's webhook targets, as prefixes of URLs, and the secrets that its results are signed with."""

    operator_id: str
    allow: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


class Unmapped(_Entity, frozen=True, tag="unmapped", kw_only=True):
    """A source that a brand used keys with when it gave no jackpot: they lie where the oldest instance is.

    An empty `source_id` stands for every source of the brand.
    """

    brand: str
    source_id: str


CatalogEntity = (
    Operator
    | Source
    | Template
    | InstanceEntry
    | Placement
    | Links
    | Currencies
    | Account
    | Approval
    | Switching
    | Origins
    | Webhooks
    | Unmapped
)


class Change(Struct, frozen=True, kw_only=True):
    """Entities that took effect together."""

    at_ms: int
    by: str
    entities: tuple[CatalogEntity, ...]


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Change)


def encode(change: Change) -> bytes:
    return _ENCODER.encode(change)


def decode(data: bytes) -> Change:
    return _DECODER.decode(data)


def compile_document(document: bytes, brands: list[str]) -> Rules:
    """The rules of a stored template; it was checked when it was created, by the version of that time.

    Instances of one template share their rules: thousands of them take less memory and less of the processor's cache.
    """
    return _compiled(bytes(document), tuple(brands))


@lru_cache(maxsize=COMPILED_AT_HAND)
def _compiled(document: bytes, brands: tuple[str, ...]) -> Rules:
    return rules_in(DECODER.decode(document), list(brands))
