"""What calls of the admin listener take in their query, and how they may be refused."""

from msgspec import Struct

WRITE_ERRORS = (400, 401, 403, 404, 409, 413, 415)


class ListQuery(Struct, frozen=True):
    owner_id: str | None = None
    name: str | None = None
    sort_field: str | None = None
    sort_direction: int | None = None
    page: int | None = None
    limit: int | None = None


class InstancesQuery(ListQuery, frozen=True):
    status: str | None = None


class TemplateQuery(Struct, frozen=True):
    owner_id: str | None = None


class ApprovalsQuery(Struct, frozen=True):
    state: str | None = None
    sort_field: str | None = None
    sort_direction: int | None = None
    page: int | None = None
    limit: int | None = None
