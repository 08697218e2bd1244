"""The JSON codecs of the public messages: one decoder for each message, one encoder for all.

A body that does not decode becomes a refusal that names the field; amounts become units of money here.
"""

from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from jackpotd.core import money
from jackpotd.wire.errors import RequestRefused, invalid

T = TypeVar("T")

NULL = Raw(b"null")
_ENCODER = msgspec.json.Encoder()


def null() -> Raw:
    """The opaque value of a field that was left out."""
    return NULL


def encode(message: Any) -> bytes:
    """The JSON of a public message."""
    return _ENCODER.encode(message)


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """A public message from a body.

    Raises:
        RequestRefused: 400 INVALID_REQUEST; the message names the field by its JSON path, or the byte.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise RequestRefused("INVALID_REQUEST", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestRefused("INVALID_REQUEST", f"the body is not JSON: {error}") from None
    except RecursionError:
        raise RequestRefused("INVALID_REQUEST", "the body is nested too deeply") from None


def units(value: Decimal, path: str) -> int:
    """An incoming amount in units; refuses what cannot be one, naming the field."""
    try:
        return money.units_from_decimal(value)
    except money.AmountError as error:
        raise invalid(path, str(error)) from None


def amount(value: int) -> Raw:
    """An outgoing amount: a JSON number with the exact decimal."""
    return Raw(money.decimal_text(value).encode())
