"""From the body of a contribution to what the engine is asked, v1 and v2 (contract §3)."""

import hashlib
import re

import msgspec
from msgspec import Raw

from jackpotd.core.commands import Bet
from jackpotd.edge.exchange import Incoming
from jackpotd.engine.messages import ContributionRequest, Target
from jackpotd.wire import codec
from jackpotd.wire import gateway_messages as wire
from jackpotd.wire.errors import invalid
from jackpotd.wire.parts import Callback

KEY_BYTES_MAX = 255
PLAYER_ID_BYTES_MAX = 255
METADATA_BYTES_MAX = 64 * 1024
METADATA_DEPTH_MAX = 64

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BRACKETS = re.compile(rb"[][{}]")
_FINGERPRINT = msgspec.json.Encoder()


def from_source_v1(message: wire.SourceContributionV1, request: Incoming) -> ContributionRequest:
    """A v1 contribution by source.

    Raises:
        RequestRefused: 400 INVALID_REQUEST with the path of the field.
    """
    segments = None if message.segments is None else tuple(message.segments)
    return _from_v1(message, Target("source", message.source_id), segments, request)


def from_instance_v1(
    message: wire.InstanceContributionV1, request: Incoming
) -> ContributionRequest:
    """A v1 contribution to an instance; raises as `from_source_v1`."""
    return _from_v1(message, Target("instance", message.instance_id), None, request)


def _from_v1(
    message: wire.ContributionV1,
    target: Target,
    segments: tuple[str, ...] | None,
    request: Incoming,
) -> ContributionRequest:
    operator, _, _ = message.brand_id.partition(":")
    check_player_id(message.player_id, "$.player_id")
    key = _key(message.idempotency_key, "$.idempotency_key")
    bet = Bet(
        brand=message.brand_id,
        player_id=message.player_id,
        country=message.player_country,
        segments=segments,
        vertical=None,
        currency=message.currency,
        wager=message.base_wager.units,
        source_id=_source_id(target),
        reference_type="gameround",
        reference_id=message.gameround_id,
    )
    return ContributionRequest(
        target=target,
        operator=operator,
        bet=bet,
        with_links=False,
        key=key,
        fingerprint=_fingerprint(key, target, operator, bet, with_links=False),
        trace_id=request.trace_id,
        accepted_ms=request.received_ms,
        api_version=1,
        metadata=_opaque(message.metadata, "$.metadata"),
        event_metadata=_opaque(message.event_metadata, "$.event_metadata"),
        callback=_callback(message.callback),
    )


def from_v2(message: wire.ContributionV2, request: Incoming) -> ContributionRequest:
    """A v2 contribution; raises as `from_source_v1`."""
    operator = operator_of(message.operator_id, message.owner_id)
    options = message.options or wire.OptionsV2()
    target = Target(message.target.type, message.target.id)
    player = message.player
    check_player_id(player.id, "$.player.id")
    key = _key(options.idempotency_key, "$.options.idempotency_key")
    with_links = options.allow_linked_contributions is not False
    bet = Bet(
        f"{operator}:{player.brand_id}",
        player.id,
        player.country,
        None if player.segments is None else tuple(player.segments),
        options.vertical_id,
        message.base_wager.currency,
        message.base_wager.value.units,
        _source_id(target),
        message.source.type,
        message.source.id,
    )
    return ContributionRequest(
        target=target,
        operator=operator,
        bet=bet,
        with_links=with_links,
        key=key,
        fingerprint=_fingerprint(key, target, operator, bet, with_links=with_links),
        trace_id=request.trace_id,
        accepted_ms=request.received_ms,
        api_version=2,
        metadata=_opaque(message.metadata, "$.metadata"),
        event_metadata=_opaque(message.event_metadata, "$.event_metadata"),
        callback=_callback(options.callback),
    )


def operator_of(operator_id: str | None, owner_id: str | None) -> str:
    """The operator of a v2 body: `operator_id`, or its older name `owner_id`."""
    if operator_id is not None and owner_id is not None and operator_id != owner_id:
        raise invalid("$.owner_id", "is an alias of operator_id and differs from it")
    operator = operator_id or owner_id
    if operator is None:
        raise invalid("$.operator_id", "is missing")
    return operator


def _source_id(target: Target) -> str | None:
    return target.id if target.kind == "source" else None


def _fingerprint(
    key: str | None, target: Target, operator: str, bet: Bet, *, with_links: bool
) -> bytes:
    """What a repeat must have in common with the first request; tokens, segments and metadata may differ."""
    if key is None:
        return b""
    common = (
        target.kind,
        target.id,
        operator,
        bet.brand,
        bet.player_id,
        bet.wager,
        bet.currency,
        bet.reference_type,
        bet.reference_id,
        with_links,
    )
    return hashlib.blake2b(_FINGERPRINT.encode(common), digest_size=16).digest()


def check_player_id(player_id: str, path: str) -> None:
    if len(player_id.encode()) > PLAYER_ID_BYTES_MAX:
        raise invalid(path, f"is longer than {PLAYER_ID_BYTES_MAX} bytes")


def _callback(callback: wire.Callback | None) -> Callback | None:
    return None if callback is None else Callback(callback.web_hook, callback.win_result_only)


def _key(key: str | None, path: str) -> str | None:
    if key is not None and not 1 <= len(key.encode()) <= KEY_BYTES_MAX:
        raise invalid(path, f"must have 1 to {KEY_BYTES_MAX} bytes")
    return key


def _opaque(value: Raw, path: str) -> Raw:
    """Opaque JSON, as a copy: what was decoded is a view into the request's body."""
    if value is codec.NULL:
        return value
    data = bytes(value)
    if len(data) > METADATA_BYTES_MAX:
        raise invalid(path, f"is longer than {METADATA_BYTES_MAX} bytes")
    if data.count(b"{") + data.count(b"[") > METADATA_DEPTH_MAX:
        _check_depth(data, path)
    try:
        data.decode()
    except UnicodeDecodeError:
        raise invalid(path, "is not UTF-8") from None
    return Raw(data)


def _check_depth(data: bytes, path: str) -> None:
    """Opaque JSON is decoded again wherever its record is, so it may not be as deep as a decoder can just bear."""
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", data)):
        depth += 1 if bracket in b"{[" else -1
        deepest = max(deepest, depth)
    if deepest > METADATA_DEPTH_MAX:
        raise invalid(path, f"is nested deeper than {METADATA_DEPTH_MAX} levels")
