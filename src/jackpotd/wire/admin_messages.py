"""Bodies of the admin listener. Unknown fields are refused with their path: a mistyped setting must not pass for one.

Paths and shapes are those of the later documents (`later-facts` §1, §5); where they have none, ours.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct, field

from jackpotd.wire.gateway_messages import END, PLAIN_ID, Currency, Text
from jackpotd.wire.template import Key, OwnerPath, Strict

Name = Annotated[str, Meta(min_length=1, max_length=256)]
PlainId = Annotated[str, Meta(pattern=f"^{PLAIN_ID}{END}")]
Username = Annotated[str, Meta(pattern=rf"^[A-Za-z0-9_.@\-]{{1,128}}{END}")]


class LoginDoc(Strict, frozen=True):
    """`POST /accounts/auth`."""

    username: Text
    password: Text


class RefreshDoc(Strict, frozen=True):
    """`POST /accounts/refresh`; `token` is the refresh token."""

    token: str


class AccessTo(Struct, frozen=True):
    """What an account reaches."""

    org_id: str | None
    unit_ids: list[str]
    brandpath_list: list[str]


class SessionAnswer(Struct, frozen=True):
    """Tokens and reach of an account that has logged in."""

    token: str
    refresh_token: str
    access_to: AccessTo
    properties: dict[str, Any]
    services: dict[str, Any]


class PermissionDoc(Strict, frozen=True):
    """A right on a resource; `*` is every resource, `Write` includes `Read`."""

    resource_id: Literal[
        "*",
        "contributions",
        "optins",
        "jackpots",
        "templates",
        "instances",
        "operators",
        "sources",
        "currencies",
        "accounts",
    ]
    permission: Literal["Read", "Write"]


class AccountDoc(Strict, frozen=True):
    """`POST /admin/accounts`. `org_id` null is the platform; no `unit_ids` means every brand of the operator."""

    username: Username
    password: Annotated[str, Meta(min_length=8, max_length=1024)]
    permissions: list[PermissionDoc]
    account_type: Literal["User", "Service"] = "User"
    org_id: PlainId | None = None
    unit_ids: list[PlainId] = field(default_factory=list)
    enabled: bool = True


class AccountChangeDoc(Strict, frozen=True):
    """`PUT /admin/accounts/{username}`; what is left out stays."""

    enabled: bool | None = None
    password: Annotated[str, Meta(min_length=8, max_length=1024)] | None = None
    permissions: list[PermissionDoc] | None = None


class AccountAnswer(Struct, frozen=True):
    """An account, without its password."""

    id: str
    username: str
    account_type: str
    org_id: str | None
    unit_ids: list[str]
    permissions: list[PermissionDoc]
    enabled: bool
    created_on: int


class NamedDoc(Strict, frozen=True):
    """An operator or a brand to add, or to rename."""

    id: PlainId
    name: Name


class ChangeDoc(Strict, frozen=True):
    """What to change about an operator or a brand; what is left out stays."""

    name: Name | None = None
    enabled: bool | None = None


class BrandAnswer(Struct, frozen=True):
    """A brand."""

    id: str
    path: str
    name: str
    enabled: bool
    created_timestamp: int


class OperatorAnswer(Struct, frozen=True):
    """An operator with its brands."""

    id: str
    path: str
    name: str
    enabled: bool
    created_timestamp: int
    brands: list[BrandAnswer]


class BatchAnswer(Struct, frozen=True):
    """Which items of a batch were written; a failed one says why."""

    success: list[str]
    failed: list[str]


class SourceDoc(Strict, frozen=True):
    """A contribution source to add, or to rename."""

    owner_id: OwnerPath
    source_name: Name
    source_id: Key


class AssignDoc(Strict, frozen=True):
    """`POST /config/sources/assignjackpot`: one instance to several sources; priority by default last."""

    owner_id: OwnerPath
    source_id: list[Key]
    instance_id: str
    priority: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None


class UnassignDoc(Strict, frozen=True):
    """`POST /config/sources/unassignjackpot`."""

    owner_id: OwnerPath
    source_id: list[Key]
    instance_id: str


class CurrenciesDoc(Strict, frozen=True):
    """`PUT /config/currencies/{brand_id}` and `…/default`; the base currency counts 1."""

    base_currency: Currency
    multipliers: dict[Currency, Raw]
