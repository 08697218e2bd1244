"""The admin listener's routes (contract §8): which path is served by which handler, and how it is documented."""

from collections.abc import Awaitable, Callable

from quart_trio import QuartTrio

from jackpotd.admin.accounts import Accounts
from jackpotd.admin.administration import Administration
from jackpotd.admin.currencies import CurrencyTables
from jackpotd.admin.instance_routes import (
    approval_routes,
    instance_routes,
    operating_routes,
    schedule_routes,
)
from jackpotd.admin.operators import Operators
from jackpotd.admin.queries import WRITE_ERRORS, ListQuery, PageQuery, TemplateQuery
from jackpotd.admin.sources import Sources
from jackpotd.admin.templates import Templates
from jackpotd.admin.webhooks import Webhooks
from jackpotd.edge.public import public_routes
from jackpotd.edge.sessions import Sessions
from jackpotd.edge.shell import Route, Shell, build_app
from jackpotd.wire import admin_messages as wire
from jackpotd.wire import admin_webhooks
from jackpotd.wire.admin_instances import ApprovalAnswer, InstanceState, InstantiateDoc
from jackpotd.wire.gateway_messages import CurrenciesAnswer, SourceAnswer
from jackpotd.wire.template import TemplateDoc


def build_admin(
    administration: Administration,
    sessions: Sessions,
    shell: Shell,
    *,
    is_healthy: Callable[[], bool],
    metrics: Callable[[], Awaitable[bytes]],
    is_loopback: bool,
) -> QuartTrio:
    """The admin listener's application."""
    accounts = Accounts(administration.context, sessions, is_loopback=is_loopback)
    return build_app(
        shell,
        [
            *_account_routes(accounts),
            *_operator_routes(administration.operators),
            *_webhook_routes(administration.webhooks),
            *_source_routes(administration.sources),
            *_currency_routes(administration.currencies),
            *_template_routes(administration.templates),
            *instance_routes(administration.instances),
            *schedule_routes(administration),
            *operating_routes(administration),
            *approval_routes(administration.approvals),
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
            errors=WRITE_ERRORS,
        ),
        Route(
            "PUT",
            "/admin/accounts/<username>",
            accounts.change,
            section,
            wire.AccountChangeDoc,
            wire.AccountAnswer,
            errors=WRITE_ERRORS,
        ),
    ]


def _operator_routes(operators: Operators) -> list[Route]:
    base, section = "/config/operators", "Operators"
    one = f"{base}/<operator_id>"
    shown, listed = wire.OperatorAnswer, list[wire.OperatorAnswer]
    named, batch, changed = list[wire.NamedDoc], wire.BatchAnswer, wire.ChangeDoc
    errors = WRITE_ERRORS
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


def _webhook_routes(webhooks: Webhooks) -> list[Route]:
    base, section = "/config/operators/<operator_id>/webhooks", "Webhooks"
    letters = f"{base}/dead-letters"
    document, shown = admin_webhooks.WebhooksDoc, admin_webhooks.WebhooksAnswer
    return [
        Route("GET", base, webhooks.get, section, None, shown),
        Route("PUT", base, webhooks.put, section, document, shown, errors=WRITE_ERRORS),
        Route(
            "GET",
            letters,
            webhooks.dead_letters,
            section,
            None,
            list[admin_webhooks.DeadLetterAnswer],
            query=PageQuery,
            errors=(400, 401, 403, 404, 503),
        ),
        Route(
            "POST",
            f"{letters}/replay",
            webhooks.replay,
            section,
            admin_webhooks.ReplayDoc,
            wire.BatchAnswer,
            errors=(*WRITE_ERRORS, 503),
        ),
    ]


def _source_routes(sources: Sources) -> list[Route]:
    base, section, batch = "/config/sources", "Sources", wire.BatchAnswer
    listed, errors = list[SourceAnswer], WRITE_ERRORS
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
        Route("PUT", one, tables.put, section, wire.CurrenciesDoc, shown, errors=WRITE_ERRORS),
    ]


def _template_routes(templates: Templates) -> list[Route]:
    base, section, shown = "/templates", "Templates", TemplateDoc
    one, errors = f"{base}/<template_id>", WRITE_ERRORS
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
            accepted=ApprovalAnswer,
        ),
        Route(
            "POST",
            f"{base}/instantiate",
            templates.instantiate,
            section,
            InstantiateDoc,
            InstanceState,
            201,
            errors=errors,
        ),
    ]
