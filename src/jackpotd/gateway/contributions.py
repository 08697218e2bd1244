"""Contributions over HTTP: v1 by source and direct, v2 with links (contract §3).

A body becomes one `ContributionRequest`; an `Accepted` becomes the documented answer, live or repeated: both are made
from the same events by the same code, so a repeat with `Prefer: return=representation` is equal to the first answer.
"""

import hashlib
import re
from collections.abc import Callable
from typing import TypeVar

import msgspec
import structlog
from msgspec import Raw

from jackpotd.core.commands import Bet
from jackpotd.core.events import Contributed, PotWon
from jackpotd.core.rejections import Rejection
from jackpotd.edge.exchange import (
    DEFECT,
    JSON,
    Answer,
    Incoming,
    Outgoing,
    http_date,
    json_body,
    refusal,
    refused_by,
)
from jackpotd.edge.guard import Guard, require_reach
from jackpotd.engine.messages import Accepted, ContributionRequest, Outcome, Pending, Taken, Target
from jackpotd.engine.router import Router
from jackpotd.identity.principal import Principal, Resource
from jackpotd.wire import codec
from jackpotd.wire import gateway_messages as wire
from jackpotd.wire.errors import ErrorBody, RequestRefused, error_body, invalid

_log = structlog.get_logger("jackpotd.gateway")

T = TypeVar("T")

REPRESENTATION = "return=representation"

KEY_BYTES_MAX = 255
PLAYER_ID_BYTES_MAX = 255
METADATA_BYTES_MAX = 64 * 1024
METADATA_DEPTH_MAX = 64

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BRACKETS = re.compile(rb"[][{}]")

_SOURCE_V1 = codec.decoder(wire.SourceContributionV1)
_INSTANCE_V1 = codec.decoder(wire.InstanceContributionV1)
_V2 = codec.decoder(wire.ContributionV2)
_FINGERPRINT = msgspec.json.Encoder()
_NO_WIN = codec.amount(0)


class Contributions:
    """The handlers of the three contribution calls; no task waits for an outcome, which calls back."""

    def __init__(self, router: Router, guard: Guard) -> None:
        self._router = router
        self._guard = guard

    def by_source(self, request: Incoming, answer: Answer) -> None:
        """Contribute to the jackpot behind a source (v1).

        Answers 204 with the original's trace id and date when the idempotency key was used before.
        """
        self._serve(request, answer, _SOURCE_V1, _from_source_v1)

    def direct(self, request: Incoming, answer: Answer) -> None:
        """Contribute to an instance by its id (v1).

        Answers 204 with the original's trace id and date when the idempotency key was used before.
        """
        self._serve(request, answer, _INSTANCE_V1, _from_instance_v1)

    def v2(self, request: Incoming, answer: Answer) -> None:
        """Contribute to a source or an instance and to all instances linked to it (v2).

        The answer is an array: the target first, then its links in their order. Answers 204 with the original's trace
        id and date when the idempotency key was used before.
        """
        self._serve(request, answer, _V2, _from_v2)

    def principal(self, request: Incoming) -> Principal:
        """Who contributes; who may not contribute at all learns nothing about bodies.

        Raises:
            RequestRefused: 401 or 403.
        """
        return self._guard.principal(request, Resource.CONTRIBUTIONS, write=True)

    def element(self, request: Incoming, principal: Principal, answer: Answer) -> None:
        """One v2 contribution of a batch, whose caller is known."""
        try:
            asked = _from_v2(codec.decode(_V2, request.body), request)
            require_reach(principal, asked.bet.brand)
        except RequestRefused as refused:
            answer(refusal(refused, request))
            return
        self._router.submit(asked, _Answering(request, answer))

    def _serve(
        self,
        request: Incoming,
        answer: Answer,
        decoder: msgspec.json.Decoder[T],
        understood: Callable[[T, Incoming], ContributionRequest],
    ) -> None:
        try:
            principal = self.principal(request)
            asked = understood(codec.decode(decoder, json_body(request)), request)
            require_reach(principal, asked.bet.brand)
        except RequestRefused as refused:
            answer(refusal(refused, request))
            return
        self._router.submit(asked, _Answering(request, answer))


class _Answering:
    """Turns the outcome of a contribution into its answer."""

    __slots__ = ("_answer", "_request")

    def __init__(self, request: Incoming, answer: Answer) -> None:
        self._request = request
        self._answer = answer

    def __call__(self, outcome: Accepted | Rejection) -> None:
        request = self._request
        try:
            if isinstance(outcome, Rejection):
                outgoing = refusal(refused_by(outcome), request)
            else:
                outgoing = _answered(outcome, request)
        except Exception:  # noqa: BLE001 - the contribution stands; the commit that calls back must go on
            _log.exception("answer failed", trace_id=request.trace_id)
            outgoing = refusal(DEFECT, request)
        self._answer(outgoing)


def wants_representation(prefer: str) -> bool:
    """Whether a `Prefer` header asks for the original answer of a repeat (RFC 7240)."""
    preferences = (part.partition(";")[0] for part in prefer.split(","))
    return any(text.strip().lower().replace('"', "") == REPRESENTATION for text in preferences)


def _answered(accepted: Accepted, request: Incoming) -> Outgoing:
    headers: tuple[tuple[str, str], ...] = (
        ("X-Trace-Id", accepted.trace_id),
        ("Date", http_date(accepted.accepted_ms)),
    )
    if accepted.is_replay:
        headers += (("Idempotency-Replayed", "true"),)
        if not wants_representation(request.headers.get("prefer", "")):
            return Outgoing(204, headers=headers)
        headers += (("Preference-Applied", REPRESENTATION),)
    results = [_result(outcome, accepted.metadata) for outcome in accepted.outcomes]
    body = codec.encode(results if accepted.api_version > 1 else results[0])
    return Outgoing(200, body, headers=(*headers, ("Content-Type", JSON)))


def _result(outcome: Outcome, metadata: Raw) -> wire.ContributionAnswer | ErrorBody:
    match outcome:
        case Rejection():
            return error_body(outcome)
        case Pending():
            return ErrorBody(202, "LINK_PENDING", outcome.instance_id)
        case Taken():
            return _taken(outcome, metadata)


def _taken(taken: Taken, metadata: Raw) -> wire.ContributionAnswer:
    contributed = taken.events[0]
    if not isinstance(contributed, Contributed):
        raise TypeError("a contribution's first event is the contribution")
    win_amount, win_pot_id, is_withheld = _NO_WIN, None, False
    if len(taken.events) > 1:
        wins = [event for event in taken.events if isinstance(event, PotWon)]
        win_amount = codec.amount(sum(won.win for won in wins))
        highest = max(wins, key=lambda won: won.paid, default=None)
        win_pot_id = None if highest is None else taken.rules.pots[highest.pot].id
        is_withheld = any(won.is_withheld for won in wins)
    return wire.ContributionAnswer(
        taken.instance_id,
        contributed.at_ms,
        contributed.round_id,
        win_amount,
        win_pot_id,
        _tickets(taken, contributed),
        is_withheld,
        contributed.currency,
        codec.amount(contributed.amount),
        metadata,
    )


def _tickets(taken: Taken, contributed: Contributed) -> int | None:
    """The tickets that a contribution has bought; None where the jackpot is no raffle."""
    if taken.rules.raffle is None:
        return None
    return 0 if contributed.issued is None else contributed.issued.awarded


def _from_source_v1(message: wire.SourceContributionV1, request: Incoming) -> ContributionRequest:
    segments = None if message.segments is None else tuple(message.segments)
    return _from_v1(message, Target("source", message.source_id), segments, request)


def _from_instance_v1(
    message: wire.InstanceContributionV1, request: Incoming
) -> ContributionRequest:
    return _from_v1(message, Target("instance", message.instance_id), None, request)


def _from_v1(
    message: wire.ContributionV1,
    target: Target,
    segments: tuple[str, ...] | None,
    request: Incoming,
) -> ContributionRequest:
    operator, _, _ = message.brand_id.partition(":")
    _check(message.player_id, "$.player_id", message.callback, "$.callback")
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
    )


def _from_v2(message: wire.ContributionV2, request: Incoming) -> ContributionRequest:
    operator = operator_of(message.operator_id, message.owner_id)
    options = message.options or wire.OptionsV2()
    target = Target(message.target.type, message.target.id)
    player = message.player
    _check(player.id, "$.player.id", options.callback, "$.options.callback")
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


def _check(
    player_id: str, player_path: str, callback: wire.Callback | None, callback_path: str
) -> None:
    check_player_id(player_id, player_path)
    if callback is not None:
        raise invalid(f"{callback_path}.web_hook", "is not on the list of allowed webhook targets")


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
