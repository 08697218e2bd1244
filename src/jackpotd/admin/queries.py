"""What calls of the admin listener take in their query, and how they may be refused."""

import re

from msgspec import Struct, field

from jackpotd.core.rejections import Code
from jackpotd.edge.exchange import Incoming
from jackpotd.wire.errors import RequestRefused

WRITE_ERRORS = (400, 401, 403, 404, 409, 413, 415)

_WHOLE = re.compile(r"[0-9]{1,15}")


class ListQuery(Struct, frozen=True):
    owner_id: str | None = None
    name: str | None = None
    sort_field: str | None = None
    sort_direction: int | None = None
    page: int | None = None
    limit: int | None = None


class PageQuery(Struct, frozen=True):
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


class ScheduleQuery(Struct, frozen=True):
    from_: int | None = field(name="from", default=None)
    to: int | None = None
    brand_id: str | None = None


class ScheduleRemovalQuery(Struct, frozen=True):
    brand_id: str | None = None
    reason: str | None = None


class RoundsQuery(Struct, frozen=True):
    limit: int | None = None
    before: int | None = None


def whole(request: Incoming, name: str, low: int, high: int) -> int | None:
    """A whole number from the query, such as a time in milliseconds; None where it was left out.

    Raises:
        RequestRefused: 400, it is none, or it is out of its bounds.
    """
    text = request.query.get(name)
    if not text:
        return None
    value = int(text) if _WHOLE.fullmatch(text) else low - 1
    if not low <= value <= high:
        message = f"query parameter {name} must be a whole number, {low} to {high}"
        raise RequestRefused(Code.INVALID_REQUEST, message)
    return value
