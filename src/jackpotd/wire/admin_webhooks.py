"""Bodies of the admin listener that are about webhooks: targets, secrets, and results that were given up."""

from typing import Annotated

from msgspec import Meta, Raw, Struct, field

from jackpotd.wire.template import Strict

TARGETS_MAX = 64
TARGET_LENGTH_MAX = 2048
SECRETS_MAX = 4
"""Two are needed while one replaces the other; every result is signed with each of them."""
SECRET_LENGTH_MAX = 128
REPLAYED_IDS_MAX = 1000

TargetText = Annotated[str, Meta(min_length=1, max_length=TARGET_LENGTH_MAX)]
SecretText = Annotated[str, Meta(max_length=SECRET_LENGTH_MAX)]
IdText = Annotated[str, Meta(min_length=1, max_length=256)]


class WebhooksDoc(Strict, frozen=True):
    """`PUT /config/operators/{id}/webhooks`: all targets, as URL prefixes, and the secrets that sign results.

    Without secrets those that were set stay; where none were set, one is made.
    """

    allow: Annotated[list[TargetText], Meta(max_length=TARGETS_MAX)]
    secrets: Annotated[list[SecretText], Meta(max_length=SECRETS_MAX)] | None = None


class WebhooksAnswer(Struct, frozen=True):
    """An operator's targets; its secrets only for an account that may change them, else null."""

    operator_id: str
    allow: list[str]
    secrets: list[str] | None


class DeadLetterAnswer(Struct, frozen=True):
    """A result that was given up. `id` is its `webhook-id`, `payload` what the webhook was to be told."""

    id: str
    url: str
    payload: Raw
    attempts: int
    reason: str
    created_timestamp: int
    dead_timestamp: int


class ReplayDoc(Strict, frozen=True):
    """`POST …/webhooks/dead-letters/replay`: which to try again; without ids all of the operator's."""

    ids: Annotated[list[IdText], Meta(max_length=REPLAYED_IDS_MAX)] = field(default_factory=list)
