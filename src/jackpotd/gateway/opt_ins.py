"""Opt-ins over HTTP: v1 for one instance, v2 with links (contract §4)."""

from collections.abc import Callable

from jackpotd.core.rejections import Rejection
from jackpotd.edge.exchange import (
    Answer,
    Incoming,
    Outgoing,
    completed,
    json_body,
    refusal,
    refused_by,
)
from jackpotd.edge.exchange import answer as json_answer
from jackpotd.edge.guard import Guard, require_reach
from jackpotd.engine.messages import OptInRequest, Target
from jackpotd.engine.opt_ins import OptInResult
from jackpotd.engine.router import Router
from jackpotd.gateway.contribution_requests import check_player_id, operator_of
from jackpotd.identity.principal import Resource
from jackpotd.wire import codec
from jackpotd.wire import gateway_messages as wire
from jackpotd.wire.errors import RequestRefused, error_body

_V1 = codec.decoder(wire.OptInV1)
_V2 = codec.decoder(wire.OptInV2)


class OptIns:
    """The handlers of the two opt-in calls; outcomes call back."""

    def __init__(self, router: Router, guard: Guard) -> None:
        self._router = router
        self._guard = guard

    def v1(self, request: Incoming, answer: Answer) -> None:
        """Opt a player in or out of an instance (v1)."""
        self._serve(request, answer, self._from_v1, _answered_v1)

    def v2(self, request: Incoming, answer: Answer) -> None:
        """Opt a player in or out of a source's jackpot or an instance, and of its links (v2).

        A target that cannot be found is an error; instances that refuse stand in `failed`.
        """
        self._serve(request, answer, self._from_v2, _answered_v2)

    def _serve(
        self,
        request: Incoming,
        answer: Answer,
        understood: Callable[[Incoming], OptInRequest],
        rendered: Callable[[OptInResult], Outgoing],
    ) -> None:
        try:
            asked = understood(request)
        except RequestRefused as refused:
            answer(refusal(refused, request))
            return

        def told(result: OptInResult | Rejection) -> None:
            try:
                if isinstance(result, Rejection):
                    raise refused_by(result)
                outgoing = completed(rendered(result), request)
            except RequestRefused as refused:
                outgoing = refusal(refused, request)
            answer(outgoing)

        self._router.opt_in(asked, told)

    def _from_v1(self, request: Incoming) -> OptInRequest:
        principal = self._guard.principal(request, Resource.OPT_INS, write=True)
        message = codec.decode(_V1, json_body(request))
        require_reach(principal, message.brand_id)
        check_player_id(message.player_id, "$.player_id")
        preferred = message.contribution_value
        return OptInRequest(
            target=Target("instance", message.instance_id),
            brand=message.brand_id,
            player_id=message.player_id,
            country=message.player_country,
            opt_in=message.opt_in,
            preferred=None if preferred is None else preferred.units,
            preferred_currency=message.contribution_currency,
            with_links=False,
        )

    def _from_v2(self, request: Incoming) -> OptInRequest:
        principal = self._guard.principal(request, Resource.OPT_INS, write=True)
        message = codec.decode(_V2, json_body(request))
        brand = f"{operator_of(message.operator_id, message.owner_id)}:{message.player.brand_id}"
        require_reach(principal, brand)
        check_player_id(message.player.id, "$.player.id")
        preference = message.contribution_preference
        return OptInRequest(
            target=Target(message.target.type, message.target.id),
            brand=brand,
            player_id=message.player.id,
            country=message.player.country,
            opt_in=message.opt_in,
            preferred=None if preference is None else preference.value.units,
            preferred_currency=None if preference is None else preference.currency,
            with_links=bool(message.opt_linked),
        )


def _answered_v1(result: OptInResult) -> Outgoing:
    refused = result.instances[0][1]
    if refused is not None:
        raise refused_by(refused)
    return json_answer(None)


def _answered_v2(result: OptInResult) -> Outgoing:
    return json_answer(_grouped(result.instances))


def _grouped(instances: tuple[tuple[str, Rejection | None], ...]) -> wire.OptInAnswerV2:
    failed = []
    for instance_id, refused in instances:
        if refused is not None:
            body = error_body(refused)
            failed.append(wire.FailedOptIn(instance_id, body.status_code, body.code, body.message))
    return wire.OptInAnswerV2(
        success=[instance_id for instance_id, refusal in instances if refusal is None],
        failed=failed,
    )
