"""Contributions over HTTP: v1 by source and direct, v2 with links (contract §3).

A body becomes one `ContributionRequest`; an `Accepted` becomes the documented answer, live or repeated: both are made
from the same events by the same code, so a repeat with `Prefer: return=representation` is equal to the first answer.
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec
import structlog
from msgspec import Raw
from msgspec.structs import replace

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
from jackpotd.engine.messages import Accepted, ContributionRequest, Outcome, Pending, Taken
from jackpotd.engine.router import Router
from jackpotd.gateway.contribution_requests import from_instance_v1, from_source_v1, from_v2
from jackpotd.identity.principal import Principal, Resource
from jackpotd.outbound.targets import Targets
from jackpotd.wire import codec
from jackpotd.wire import gateway_messages as wire
from jackpotd.wire.contribution_answers import AcceptedAnswer, contribution_answer
from jackpotd.wire.errors import ErrorBody, RequestRefused, error_body

_log = structlog.get_logger("jackpotd.gateway")

T = TypeVar("T")

REPRESENTATION = "return=representation"

EVENTS_ARE_OFF = "events are switched off here, and webhooks with them"

_SOURCE_V1 = codec.decoder(wire.SourceContributionV1)
_INSTANCE_V1 = codec.decoder(wire.InstanceContributionV1)
_V2 = codec.decoder(wire.ContributionV2)


class Contributions:
    """The handlers of the three contribution calls; no task waits for an outcome, which calls back.

    Args:
        router: serves what was understood.
        guard: knows the callers.
        targets: which webhooks may be called; None where none is, because there are no events.
    """

    def __init__(self, router: Router, guard: Guard, targets: Targets | None = None) -> None:
        self._router = router
        self._guard = guard
        self._targets = targets

    def by_source(self, request: Incoming, answer: Answer) -> None:
        """Contribute to the jackpot behind a source (v1).

        With a callback the answer is the request's trace id, as soon as it is accepted.
        Answers 204 with the original's trace id and date when the idempotency key was used before.
        """
        self._serve(request, answer, _SOURCE_V1, from_source_v1)

    def direct(self, request: Incoming, answer: Answer) -> None:
        """Contribute to an instance by its id (v1).

        With a callback the answer is the request's trace id, as soon as it is accepted.
        Answers 204 with the original's trace id and date when the idempotency key was used before.
        """
        self._serve(request, answer, _INSTANCE_V1, from_instance_v1)

    def v2(self, request: Incoming, answer: Answer) -> None:
        """Contribute to a source or an instance and to all instances linked to it (v2).

        The answer is an array: the target first, then its links in their order; with a callback it is the request's
        trace id, as soon as it is accepted. Answers 204 with the original's trace id and date when the idempotency key
        was used before.
        """
        self._serve(request, answer, _V2, from_v2)

    def principal(self, request: Incoming) -> Principal:
        """Who contributes; who may not contribute at all learns nothing about bodies.

        Raises:
            RequestRefused: 401 or 403.
        """
        return self._guard.principal(request, Resource.CONTRIBUTIONS, write=True)

    def element(self, request: Incoming, principal: Principal, answer: Answer) -> None:
        """One v2 contribution of a batch, whose caller is known."""
        try:
            asked = from_v2(codec.decode(_V2, request.body), request)
            asked = self._admitted(principal, asked)
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
            asked = self._admitted(principal, asked)
        except RequestRefused as refused:
            answer(refusal(refused, request))
            return
        self._router.submit(asked, _Answering(request, answer))

    def _admitted(self, principal: Principal, asked: ContributionRequest) -> ContributionRequest:
        """A request whose webhook may be called; if it may not, one that is served as a repeat of its key alone.

        Who may not contribute for a brand learns nothing about its operator's webhooks either.

        Raises:
            RequestRefused: 403; or 400, where there is no key either.
        """
        require_reach(principal, asked.bet.brand)
        if asked.callback is None:
            return asked
        refused: str | None = EVENTS_ARE_OFF
        if self._targets is not None:
            refused = self._targets.refusal(asked.operator, asked.callback.url)
        if refused is None:
            return asked
        path = "$.options.callback" if asked.api_version > 1 else "$.callback"
        hindrance = f"{path}.web_hook: {refused}"
        if asked.key is None:
            raise RequestRefused("INVALID_REQUEST", hindrance)
        return replace(asked, callback=None, hindrance=hindrance)


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
    headers += (("Content-Type", JSON),)
    if accepted.is_asynchronous:
        return Outgoing(200, codec.encode(AcceptedAnswer(accepted.trace_id)), headers=headers)
    results = [_result(outcome, accepted.metadata) for outcome in accepted.outcomes]
    body = codec.encode(results if accepted.api_version > 1 else results[0])
    return Outgoing(200, body, headers=headers)


def _result(outcome: Outcome, metadata: Raw) -> wire.ContributionAnswer | ErrorBody:
    match outcome:
        case Rejection():
            return error_body(outcome)
        case Pending():
            return ErrorBody(202, "LINK_PENDING", outcome.instance_id)
        case Taken():
            return contribution_answer(outcome.instance_id, outcome.events, outcome.rules, metadata)
