"""Routes of what is done to instances, and of what waits for a second person."""

from typing import Any

from jackpotd.admin.administration import Administration
from jackpotd.admin.approvals import Approvals
from jackpotd.admin.instances import Instances
from jackpotd.admin.queries import (
    WRITE_ERRORS,
    ApprovalsQuery,
    InstancesQuery,
    RoundsQuery,
    ScheduleQuery,
    ScheduleRemovalQuery,
)
from jackpotd.edge.exchange import Handler
from jackpotd.edge.shell import Route
from jackpotd.wire import admin_instances as wire
from jackpotd.wire import admin_schedules

_BASE = "/instances"
_ONE = f"{_BASE}/<instance_id>"
_ERRORS = (*WRITE_ERRORS, 503)


def instance_routes(instances: Instances) -> list[Route]:
    """Lists, states and links."""
    section, shown = "Instances", wire.InstanceState
    links, listed = f"{_ONE}/links", list[wire.InstanceState]
    return [
        Route("GET", _BASE, instances.listing, section, None, listed, query=InstancesQuery),
        Route("GET", _ONE, instances.get, section, None, shown),
        Route(
            "PUT",
            f"{_ONE}/status",
            instances.put_status,
            section,
            wire.StatusDoc,
            shown,
            errors=_ERRORS,
            accepted=wire.ApprovalAnswer,
        ),
        Route("GET", links, instances.get_links, section, None, wire.LinksDoc),
        Route(
            "PUT", links, instances.put_links, section, wire.LinksDoc, wire.LinksDoc, errors=_ERRORS
        ),
        Route("DELETE", links, instances.delete_links, section, None, wire.LinksDoc),
    ]


def schedule_routes(administration: Administration) -> list[Route]:
    """When instances take contributions, and what the rounds of raffles came to."""
    schedules, rounds = administration.schedules, administration.rounds
    section, shown = "Schedules", admin_schedules.ScheduleAnswer
    base, listed = f"{_ONE}/schedule", list[admin_schedules.RoundState]
    changed, one_round = admin_schedules.ScheduleChangeDoc, admin_schedules.RoundAnswer
    return [
        Route("GET", base, schedules.get, section, None, shown, query=ScheduleQuery),
        Route("PUT", base, schedules.put, section, changed, shown, errors=_ERRORS),
        Route(
            "DELETE",
            base,
            schedules.delete,
            section,
            None,
            shown,
            query=ScheduleRemovalQuery,
            errors=_ERRORS,
        ),
        Route("GET", f"{_ONE}/rounds", rounds.listing, section, None, listed, query=RoundsQuery),
        Route("GET", f"{_ONE}/rounds/<number>", rounds.get, section, None, one_round),
    ]


def operating_routes(administration: Administration) -> list[Route]:
    """What operators do to an instance beside its play."""
    pots, parameters = administration.pots, administration.parameters
    section = "Operations"

    def post(path: str, handler: Handler, body: Any, response: Any, accepted: Any = None) -> Route:
        return Route(
            "POST", path, handler, section, body, response, errors=_ERRORS, accepted=accepted
        )

    waits = wire.ApprovalAnswer
    state, held, money = wire.InstanceState, f"{_ONE}/withheld", wire.PotMoneyDoc
    one_held = f"{held}/<gameround_id>/<pot_id>"
    decommission = administration.decommissioning.decommission
    return [
        post(f"{_ONE}/seedboosts", pots.boost, money, state),
        post(f"{_ONE}/adjustments", pots.adjust, money, state, waits),
        post(
            f"{_ONE}/pots/<pot_id>/trigger",
            pots.trigger,
            wire.TriggerDoc,
            wire.TriggerAnswer,
        ),
        Route("GET", held, pots.withheld, section, None, list[wire.HeldWinState]),
        post(f"{one_held}/release", pots.release, wire.ReasonDoc, state, waits),
        post(f"{one_held}/reject", pots.reject, wire.ReasonDoc, state, waits),
        Route("GET", f"{_ONE}/parameters", parameters.get, section, None, wire.ParametersAnswer),
        Route(
            "PUT",
            f"{_ONE}/parameters",
            parameters.put,
            section,
            wire.ParametersDoc,
            wire.ParametersAnswer,
            errors=_ERRORS,
        ),
        post(
            f"{_ONE}/decommission",
            decommission,
            wire.DecommissionDoc,
            wire.DecommissionAnswer,
            waits,
        ),
        post(
            f"{_BASE}/switchmodel",
            administration.switch_model.switch,
            wire.SwitchModelDoc,
            wire.SwitchModelAnswer,
            waits,
        ),
    ]


def approval_routes(approvals: Approvals) -> list[Route]:
    """What waits for a second person."""
    base, section, shown = "/approvals", "Approvals", wire.ApprovalAnswer
    one = f"{base}/<approval_id>"
    listed = list[wire.ApprovalAnswer]
    return [
        Route("GET", base, approvals.listing, section, None, listed, query=ApprovalsQuery),
        Route("GET", one, approvals.get, section, None, shown),
        Route("POST", f"{one}/approve", approvals.approve, section, errors=_ERRORS),
        Route(
            "POST",
            f"{one}/reject",
            approvals.reject,
            section,
            wire.ReasonDoc,
            shown,
            errors=_ERRORS,
        ),
    ]
