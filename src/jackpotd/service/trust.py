"""Who may call, and who may be called: tokens and passwords, targets of webhooks and what they are signed with."""

from collections.abc import Callable

from jackpotd.edge.guard import Guard
from jackpotd.edge.sessions import Sessions
from jackpotd.engine.catalog import Catalog
from jackpotd.identity.passwords import PasswordDesk
from jackpotd.identity.tokens import TokenDesk, load_secret
from jackpotd.outbound.signing import secrets_of
from jackpotd.outbound.targets import Targets
from jackpotd.service.data_directory import DataDirectory
from jackpotd.service.settings import Settings
from jackpotd.service.storage import clock_ms
from jackpotd.wire.catalog_records import Account, Webhooks


def build_tokens(settings: Settings, data: DataDirectory, catalog: Catalog) -> TokenDesk:
    """Whose a token is, on this node."""
    return TokenDesk(
        load_secret(data.token_secret),
        _accounts(catalog),
        user_lifetime_s=settings.identity.user_token_lifetime_s,
        clock=clock_ms,
    )


def build_identity(
    settings: Settings, data: DataDirectory, catalog: Catalog
) -> tuple[Guard, Sessions]:
    """Who may call, on this node: failures that lock an account are counted by each for itself."""
    tokens = build_tokens(settings, data, catalog)
    passwords = PasswordDesk(
        _accounts(catalog),
        failures_max=settings.identity.lock_failures_max,
        lock_s=settings.identity.lock_duration_s,
    )
    return Guard(tokens), Sessions(passwords, tokens)


def _accounts(catalog: Catalog) -> Callable[[str], Account | None]:
    def account(username: str) -> Account | None:
        return catalog.accounts.get(username)  # looked up anew: a snapshot brings a new table

    return account


def targets_of(settings: Settings, catalog: Catalog) -> Targets:
    """Where results may be sent: what the settings list, and what each operator has listed."""

    def webhooks(operator: str) -> Webhooks | None:
        return catalog.webhooks.get(operator)  # looked up anew: a snapshot brings a new table

    return Targets(settings.webhooks.allow, webhooks)


def secrets_for(data: DataDirectory, catalog: Catalog) -> Callable[[str], tuple[str, ...]]:
    """What an operator's results are signed with."""
    server_secret = load_secret(data.token_secret)

    def secrets(operator: str) -> tuple[str, ...]:
        return secrets_of(catalog.webhooks.get(operator), operator, server_secret)

    return secrets
