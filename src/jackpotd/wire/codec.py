"""The JSON codecs of the public messages: how bodies are read, amounts included, and how answers are written.

A body that does not decode becomes a refusal that names the field by its JSON path. Amounts are units of money from
here on: they come in as numbers or strings, exact, and go out as numbers with the exact decimal.
"""

import re
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from jackpotd.core import money
from jackpotd.wire.errors import RequestRefused, invalid

T = TypeVar("T")

NULL = Raw(b"null")
_ENCODER = msgspec.json.Encoder()
_SHORT_DIGITS = 8  # of the whole part, and of the fraction: all that the scale of money holds
_BEYOND = Decimal("1e1000")
_KNOWN_AMOUNTS_MAX = 4096  # contributions are much alike
_NUMBER = re.compile(r"-?[0-9]{1,64}(\.[0-9]{1,64})?([eE][+-]?[0-9]{1,9})?")
_AT = re.compile(r" - at `(.+)`$")
_FIELD = re.compile(r"Object (contains unknown|missing required) field `(.+)`$")


class IncomingAmount:
    """An amount that a client sent; a class of its own, so that our hook reads it and not msgspec."""

    __slots__ = ("units",)

    def __init__(self, units: int) -> None:
        self.units = units


def null() -> Raw:
    """The opaque value of a field that was left out."""
    return NULL


def encode(message: Any) -> bytes:
    """The JSON of a public message."""
    return _ENCODER.encode(message)


def decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """A decoder of a public message that reads amounts exactly."""
    return msgspec.json.Decoder(kind, dec_hook=_incoming, float_hook=_decimal)


def _decimal(text: str) -> "Decimal | IncomingAmount":
    # Most amounts are short: they need no Decimal. Whatever else may be a number goes the long way.
    whole, point, fraction = text.partition(".")
    if point and len(whole) <= _SHORT_DIGITS and len(fraction) <= _SHORT_DIGITS:
        digits = whole + fraction.ljust(_SHORT_DIGITS, "0")
        if digits.isdecimal():
            return IncomingAmount(int(digits))
    try:
        return Decimal(text)
    except InvalidOperation:
        return _BEYOND  # an exponent that Decimal itself cannot hold


def _incoming(kind: type, value: object) -> object:
    if type(value) is kind:
        return value
    if kind is not IncomingAmount:
        raise NotImplementedError(kind)
    return IncomingAmount(_units_of(value))


def _units_of(value: object) -> int:
    """Units from what JSON may hold where an amount belongs; a ValueError becomes a refusal with the path."""
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise ValueError("must be a number")
        return money.units_from_decimal(Decimal(value))
    if isinstance(value, Decimal):
        return money.units_from_decimal(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return money.units_from_decimal(Decimal(value))
    raise ValueError("must be a number")


def decode(message_decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """A public message from a body.

    Raises:
        RequestRefused: 400 INVALID_REQUEST; the message begins with the JSON path of the field, or names the byte.
    """
    try:
        return message_decoder.decode(body)
    except msgspec.ValidationError as error:
        raise invalid(*located(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestRefused("INVALID_REQUEST", f"the body is not JSON: {error}") from None
    except RecursionError:
        raise RequestRefused("INVALID_REQUEST", "the body is nested too deeply") from None


def decode_part(kind: type[T], part: Raw, path: str) -> T:
    """A part of a body that was left undecoded, because its shape depends on its tag; errors name the whole path."""
    try:
        return decoder(kind).decode(part)
    except msgspec.ValidationError as error:
        at, message = located(error)
        raise invalid(path + at.removeprefix("$"), message) from None


def located(error: msgspec.ValidationError) -> tuple[str, str]:
    """The JSON path of the field that a validation error is about, and what is wrong with it."""
    message = str(error)
    at = _AT.search(message)
    path = "$"
    if at is not None:
        path, message = at[1], message[: at.start()]
    field = _FIELD.match(message)
    if field is not None:
        problem = "is unknown" if field[1].startswith("contains") else "is missing"
        return f"{path}.{field[2]}", problem
    return path, message[:1].lower() + message[1:]


@lru_cache(maxsize=_KNOWN_AMOUNTS_MAX)
def amount(value: int) -> Raw:
    """An outgoing amount: a JSON number with the exact decimal."""
    return Raw(money.decimal_text(value).encode())
