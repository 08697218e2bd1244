"""Errors as clients see them: `{"status_code", "code", "message"}`.

Or as RFC 9457 where `Accept` asks for it (contract §3).
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from msgspec import Struct

from jackpotd.core.rejections import Code, Rejection

STATUS_BY_CODE: Mapping[str, int] = MappingProxyType(
    {
        Code.CONTRIBUTION_REJECTED: 400,
        Code.GAME_NOT_FOUND: 404,
        Code.SOURCE_JACKPOT_NOT_FOUND: 404,
        Code.SOURCE_JACKPOTS_NOT_ALLOWED: 403,
        Code.UNSUPPORTED_BRAND: 403,
        Code.CURRENCY_MULTIPLIERS_NOT_FOUND: 404,
        Code.OPTIN_ERROR: 400,
        Code.SYSTEM_ERROR: 500,
        Code.INVALID_REQUEST: 400,
        Code.JACKPOT_NOT_FOUND: 404,
        Code.INVALID_STATE: 409,
        Code.IDEMPOTENCY_KEY_REUSED: 422,
        Code.OVERLOADED: 503,
        Code.WALLET_NOT_CONFIGURED: 409,
        "UNAUTHORIZED": 401,
        "FORBIDDEN": 403,
        "NOT_FOUND": 404,
        "METHOD_NOT_ALLOWED": 405,
        "PAYLOAD_TOO_LARGE": 413,
        "UNSUPPORTED_MEDIA_TYPE": 415,
    }
)

_EXCLUDED = re.compile(r"\bq\s*=\s*0(\.0*)?\s*(;|$)")
PROBLEM_JSON = "application/problem+json"
OVERLOADED_RETRY_AFTER_S = 1


class ErrorBody(Struct, frozen=True):
    """The documented error."""

    status_code: int
    code: str
    message: str


class ProblemBody(Struct, frozen=True):
    """The same error as problem details (RFC 9457); `detail` is the documented message."""

    type: str
    title: str
    status: int
    detail: str
    code: str


class RequestRefused(Exception):
    """A request that an edge refuses before, or instead of, a rule of the jackpot."""

    def __init__(self, code: str, message: str, *, status: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.body = ErrorBody(status or STATUS_BY_CODE.get(code, 500), code, message)


def error_body(rejection: Rejection) -> ErrorBody:
    return ErrorBody(STATUS_BY_CODE[rejection.code], rejection.code, rejection.message)


def invalid(path: str, message: str) -> RequestRefused:
    """A 400 that names the field by its JSON path."""
    return RequestRefused(Code.INVALID_REQUEST, f"{path} {message}")


def wants_problem(accept: str) -> bool:
    """Whether an `Accept` header names problem details, and does not exclude them."""
    for part in accept.split(","):
        media_type, _, parameters = part.partition(";")
        if media_type.strip().lower() == PROBLEM_JSON:
            return not _EXCLUDED.search(parameters)
    return False


def encode_error(body: ErrorBody, accept: str) -> tuple[str, bytes]:
    """The content type and the bytes of an error."""
    if not wants_problem(accept):
        return "application/json", _ENCODER.encode(body)
    title = body.code.replace("_", " ").capitalize()
    problem = ProblemBody("about:blank", title, body.status_code, body.message, body.code)
    return PROBLEM_JSON, _ENCODER.encode(problem)


_ENCODER = msgspec.json.Encoder()
