"""Opt-ins over HTTP: v1 for one instance, v2 with links (contract §4)."""

from jackpotd.core.rejections import Rejection
from jackpotd.edge.exchange import Incoming, Outgoing, answer, json_body, refused_by
from jackpotd.edge.guard import Guard, require_reach
from jackpotd.engine.messages import OptInRequest, Target
from jackpotd.engine.router import Router
from jackpotd.gateway.contributions import check_player_id, operator_of
from jackpotd.identity.principal import Resource
from jackpotd.wire import codec
from jackpotd.wire import gateway_messages as wire
from jackpotd.wire.errors import error_body

_V1 = codec.decoder(wire.OptInV1)
_V2 = codec.decoder(wire.OptInV2)


class OptIns:
    """The handlers of the two opt-in calls."""

    def __init__(self, router: Router, guard: Guard) -> None:
        self._router = router
        self._guard = guard

    async def v1(self, request: Incoming) -> Outgoing:
        """Opt a player in or out of an instance (v1)."""
        principal = self._guard.principal(request, Resource.OPT_INS, write=True)
        message = codec.decode(_V1, json_body(request))
        require_reach(principal, message.brand_id)
        check_player_id(message.player_id, "$.player_id")
        preferred = message.contribution_value
        result = await self._router.opt_in(
            OptInRequest(
                target=Target("instance", message.instance_id),
                brand=message.brand_id,
                player_id=message.player_id,
                country=message.player_country,
                opt_in=message.opt_in,
                preferred=None if preferred is None else preferred.units,
                preferred_currency=message.contribution_currency,
                with_links=False,
            )
        )
        refusal = result if isinstance(result, Rejection) else result.instances[0][1]
        if refusal is not None:
            raise refused_by(refusal)
        return answer(None)

    async def v2(self, request: Incoming) -> Outgoing:
        """Opt a player in or out of a source's jackpot or an instance, and of its links (v2).

        A target that cannot be found is an error; instances that refuse stand in `failed`.
        """
        principal = self._guard.principal(request, Resource.OPT_INS, write=True)
        message = codec.decode(_V2, json_body(request))
        brand = f"{operator_of(message.operator_id, message.owner_id)}:{message.player.brand_id}"
        require_reach(principal, brand)
        check_player_id(message.player.id, "$.player.id")
        preference = message.contribution_preference
        result = await self._router.opt_in(
            OptInRequest(
                target=Target(message.target.type, message.target.id),
                brand=brand,
                player_id=message.player.id,
                country=message.player.country,
                opt_in=message.opt_in,
                preferred=None if preference is None else preference.value.units,
                preferred_currency=None if preference is None else preference.currency,
                with_links=bool(message.opt_linked),
            )
        )
        if isinstance(result, Rejection):
            raise refused_by(result)
        return answer(_grouped(result.instances))


def _grouped(instances: tuple[tuple[str, Rejection | None], ...]) -> wire.OptInAnswerV2:
    failed = []
    for instance_id, refusal in instances:
        if refusal is not None:
            body = error_body(refusal)
            failed.append(wire.FailedOptIn(instance_id, body.status_code, body.code, body.message))
    return wire.OptInAnswerV2(
        success=[instance_id for instance_id, refusal in instances if refusal is None],
        failed=failed,
    )
