"""Signatures of Standard Webhooks 1.0: whoever holds a secret can tell that a result is ours, and is not an old one."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from jackpotd.wire.catalog_records import Webhooks

SECRET_BYTES_MIN = 24
SECRET_BYTES_MAX = 64

_PREFIX = "whsec_"
_DERIVATION = b"jackpotd webhook secret 1\0"


def check_secret(text: str) -> str | None:
    """Why a text cannot be a secret; None where it can. The text itself is not in the answer."""
    if not text.startswith(_PREFIX):
        return f"a secret begins with {_PREFIX}"
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return f"a secret is base64 behind {_PREFIX}"
    if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        return f"a secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes"
    return None


def secrets_of(webhooks: Webhooks | None, operator: str, server_secret: bytes) -> tuple[str, ...]:
    """What an operator's results are signed with: its own secrets, or one that follows from the server's."""
    if webhooks is not None and webhooks.secrets:
        return webhooks.secrets
    derived = hmac.digest(server_secret, _DERIVATION + operator.encode(), hashlib.sha256)
    return (_PREFIX + base64.b64encode(derived).decode(),)


def signature_headers(
    delivery_id: str, now_s: int, body: bytes, secrets: Sequence[str]
) -> dict[str, str]:
    """The three headers of an attempt at a time in Unix seconds; one signature for each secret, in their order."""
    signed = b"%b.%d.%b" % (delivery_id.encode(), now_s, body)
    keys = (base64.b64decode(secret.removeprefix(_PREFIX)) for secret in secrets)
    signatures = (hmac.digest(key, signed, hashlib.sha256) for key in keys)
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": " ".join(
            f"v1,{base64.b64encode(signature).decode()}" for signature in signatures
        ),
    }
