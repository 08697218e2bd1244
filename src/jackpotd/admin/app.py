"""The admin listener's routes (contract §8): which path is served by which handler, and how it is documented."""

from collections.abc import Awaitable, Callable

from msgspec import Struct
from quart_trio import QuartTrio

from jackpotd.admin.accounts import Accounts
from jackpotd.admin.context import AdminContext
from jackpotd.admin.currencies import CurrencyTables
from jackpotd.admin.instances import Instances
from jackpotd.admin.operators import Operators
from jackpotd.admin.sources import Sources
from jackpotd.admin.templates import Templates
from jackpotd.edge.public import public_routes
from jackpotd.edge.sessions import Sessions
from jackpotd.edge.shell import Route, Shell, build_app
from jackpotd.wire import admin_messages as wire
from jackpotd.wire.gateway_messages import CurrenciesAnswer, SourceAnswer
from jackpotd.wire.template import TemplateDoc

_WRITE_ERRORS = (400, 401, 403, 404, 409, 413, 415)


class ListQuery(Struct, frozen=True):
    owner_id: str | None = None
    name: str | None = None
    sort_field: str | None = None
    sort_direction: int | None = None
    page: int | None = None
    limit: int | None = None


class InstancesQuery(ListQuery, frozen=True):
    status: str | None = None


class TemplateQuery(Struct, frozen=True):
    owner_id: str | None = None


def build_admin(
    context: AdminContext,
    sessions: Sessions,
    shell: Shell,
    *,
    is_healthy: Callable[[], bool],
    metrics: Callable[[], Awaitable[bytes]],
    is_loopback: bool,
) -> QuartTrio:
    """The admin listener's application."""
    return build_app(
        shell,
        [
            *_account_routes(Accounts(context, sessions, is_loopback=is_loopback)),
            *_operator_routes(Operators(context)),
            *_source_routes(Sources(context)),
            *_currency_routes(CurrencyTables(context)),
            *_template_routes(Templates(context)),
            *_instance_routes(Instances(context)),
            *public_routes(is_healthy, metrics),
        ],
    )


def _account_routes(accounts: Accounts) -> list[Route]:
    section, listed = "Accounts", list[wire.AccountAnswer]
    session = wire.SessionAnswer
    return [
        Route(
            "POST",
            "/accounts/auth",
            accounts.log_in,
            section,
            wire.LoginDoc,
            session,
            errors=(400, 401),
            is_public=True,
        ),
        Route(
            "POST",
            "/accounts/refresh",
            accounts.refresh,
            section,
            wire.RefreshDoc,
            session,
            errors=(400, 401),
            is_public=True,
        ),
        Route("GET", "/admin/accounts", accounts.listing, section, None, listed, query=ListQuery),
        Route(
            "POST",
            "/admin/accounts",
            accounts.create,
            section,
            wire.AccountDoc,
            wire.AccountAnswer,
            201,
            errors=_WRITE_ERRORS,
        ),
        Route(
            "PUT",
            "/admin/accounts/<username>",
            accounts.change,
            section,
            wire.AccountChangeDoc,
            wire.AccountAnswer,
            errors=_WRITE_ERRORS,
        ),
    ]


def _operator_routes(operators: Operators) -> list[Route]:
    base, section = "/config/operators", "Operators"
    one = f"{base}/<operator_id>"
    shown, listed = wire.OperatorAnswer, list[wire.OperatorAnswer]
    named, batch, changed = list[wire.NamedDoc], wire.BatchAnswer, wire.ChangeDoc
    errors = _WRITE_ERRORS
    return [
        Route("GET", base, operators.listing, section, None, listed, query=ListQuery),
        Route("POST", base, operators.put_many, section, named, batch, errors=errors),
        Route("GET", one, operators.get, section, None, shown),
        Route("PUT", one, operators.put, section, changed, shown, errors=errors),
        Route("POST", f"{one}/brands", operators.put_brands, section, named, batch, errors=errors),
        Route(
            "PUT",
            f"{one}/brands/<brand_id>",
            operators.put_brand,
            section,
            changed,
            shown,
            errors=errors,
        ),
    ]


def _source_routes(sources: Sources) -> list[Route]:
    base, section, batch = "/config/sources", "Sources", wire.BatchAnswer
    listed, errors = list[SourceAnswer], _WRITE_ERRORS
    return [
        Route("GET", base, sources.listing, section, None, listed, query=ListQuery),
        Route("POST", base, sources.put_many, section, list[wire.SourceDoc], batch, errors=errors),
        Route(
            "POST",
            f"{base}/assignjackpot",
            sources.assign,
            section,
            wire.AssignDoc,
            batch,
            errors=errors,
        ),
        Route(
            "POST",
            f"{base}/unassignjackpot",
            sources.unassign,
            section,
            wire.UnassignDoc,
            batch,
            errors=errors,
        ),
    ]


def _currency_routes(tables: CurrencyTables) -> list[Route]:
    base, section, shown = "/config/currencies", "Currencies", CurrenciesAnswer
    one = f"{base}/<brand_id>"
    listed = list[CurrenciesAnswer]
    return [
        Route("GET", base, tables.listing, section, None, listed, query=ListQuery),
        Route("GET", one, tables.get, section, None, shown),
        Route("PUT", one, tables.put, section, wire.CurrenciesDoc, shown, errors=_WRITE_ERRORS),
    ]


def _template_routes(templates: Templates) -> list[Route]:
    base, section, shown = "/templates", "Templates", TemplateDoc
    one, errors = f"{base}/<template_id>", _WRITE_ERRORS
    listed = list[TemplateDoc]
    return [
        Route("GET", base, templates.listing, section, None, listed, query=ListQuery),
        Route("POST", base, templates.create, section, TemplateDoc, shown, 201, errors=errors),
        Route("GET", one, templates.get, section, None, shown, query=TemplateQuery),
        Route(
            "POST",
            f"{one}/publish",
            templates.publish,
            section,
            None,
            shown,
            query=TemplateQuery,
            errors=errors,
        ),
        Route(
            "POST",
            f"{base}/instantiate",
            templates.instantiate,
            section,
            wire.InstantiateDoc,
            wire.InstanceState,
            201,
            errors=errors,
        ),
    ]


def _instance_routes(instances: Instances) -> list[Route]:
    base, section, shown = "/instances", "Instances", wire.InstanceState
    one, errors = f"{base}/<instance_id>", _WRITE_ERRORS
    links, listed = f"{one}/links", list[wire.InstanceState]
    return [
        Route("GET", base, instances.listing, section, None, listed, query=InstancesQuery),
        Route("GET", one, instances.get, section, None, shown),
        Route(
            "PUT",
            f"{one}/status",
            instances.put_status,
            section,
            wire.StatusDoc,
            shown,
            errors=errors,
        ),
        Route("GET", links, instances.get_links, section, None, wire.LinksDoc),
        Route(
            "PUT", links, instances.put_links, section, wire.LinksDoc, wire.LinksDoc, errors=errors
        ),
        Route("DELETE", links, instances.delete_links, section, None, wire.LinksDoc),
    ]
