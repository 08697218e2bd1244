"""Signatures against the published vector, and against a library that we did not write."""

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from jackpotd.outbound.signing import check_secret, secrets_of, signature_headers
from jackpotd.wire.catalog_records import Webhooks

VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SERVER_SECRET = b"s" * 32

SECRETS = st.binary(min_size=24, max_size=64).map(
    lambda key: "whsec_" + base64.b64encode(key).decode()
)
IDS = st.text("abcdefXYZ0123456789_-", min_size=1, max_size=40)
BODIES = st.text(max_size=200).map(str.encode)


def now_s() -> int:
    return int(time.time())


def test_the_published_vector_is_met() -> None:
    """Oracle O20."""
    headers = signature_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [VECTOR_SECRET]
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(IDS, BODIES, st.lists(SECRETS, min_size=1, max_size=3))
def test_whoever_has_one_of_the_secrets_can_verify(
    delivery_id: str, body: bytes, secrets: list[str]
) -> None:
    """While an operator changes its secret, receivers with the old one and with the new one take the same request."""
    headers = signature_headers(delivery_id, now_s(), body, secrets)
    for secret in secrets:
        Webhook(secret).verify(body, headers, json_parse=False)


@given(IDS, BODIES, SECRETS, SECRETS)
def test_another_secret_or_another_body_does_not_verify(
    delivery_id: str, body: bytes, ours: str, other: str
) -> None:
    """A signature is good for one secret and one body."""
    headers = signature_headers(delivery_id, now_s(), body, [ours])
    if other != ours:
        with pytest.raises(WebhookVerificationError):
            Webhook(other).verify(body, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(ours).verify(body + b" ", headers, json_parse=False)


def test_an_operator_without_secrets_has_one_that_follows_from_the_servers() -> None:
    """It is the operator's own, stays the same, and is a good secret."""
    (derived,) = secrets_of(None, "op", SERVER_SECRET)
    assert check_secret(derived) is None
    assert (derived,) == secrets_of(Webhooks(operator_id="op"), "op", SERVER_SECRET)
    assert (derived,) != secrets_of(None, "other", SERVER_SECRET)
    assert (derived,) != secrets_of(None, "op", b"t" * 32)


def test_an_operators_own_secrets_are_used_in_their_order() -> None:
    """Nothing of the server's is added to them."""
    webhooks = Webhooks(operator_id="op", secrets=(VECTOR_SECRET, "whsec_" + "A" * 40))
    assert secrets_of(webhooks, "op", SERVER_SECRET) == webhooks.secrets


@given(SECRETS)
def test_a_secret_of_24_to_64_bytes_is_one(secret: str) -> None:
    """Whatever its bytes are."""
    assert check_secret(secret) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "whsk_" + "A" * 40,
        "A" * 40,
        "whsec_" + base64.b64encode(b"k" * 23).decode(),
        "whsec_" + base64.b64encode(b"k" * 65).decode(),
        "whsec_" + "A" * 41,
        "whsec_" + "A" * 39 + "!",
        "whsec_" + "A" * 39 + "é",
        "whsec_" + "A" * 40 + "\n",
    ],
)
def test_what_is_no_secret_is_refused_without_being_repeated(text: str) -> None:
    """A message that holds half a secret ends up in logs."""
    problem = check_secret(text)
    assert problem is not None
    assert text.removeprefix("whsec_") not in problem or not text.removeprefix("whsec_")
