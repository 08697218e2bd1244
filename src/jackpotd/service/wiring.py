"""Wiring: the one place that picks implementations and puts the parts of a running jackpotd together."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from msgspec import Struct
from quart_trio import QuartTrio

from jackpotd.admin.app import build_admin
from jackpotd.admin.context import AdminContext
from jackpotd.edge.guard import Guard
from jackpotd.edge.sessions import Sessions
from jackpotd.edge.shell import Shell
from jackpotd.engine.catalog import Catalog, CatalogOwner, replay
from jackpotd.engine.checkpoint import Checkpointer
from jackpotd.engine.fold import Fold
from jackpotd.engine.recovery import recover
from jackpotd.engine.router import Router
from jackpotd.engine.shard import Shard
from jackpotd.gateway.app import GatewayParts, build_gateway
from jackpotd.identity.passwords import PasswordDesk
from jackpotd.identity.tokens import TokenDesk, load_secret
from jackpotd.journal.group_commit import GroupCommit
from jackpotd.journal.key_upkeep import KeyUpkeep
from jackpotd.journal.keys import KeyIndex
from jackpotd.journal.log import LmdbLog
from jackpotd.journal.row_store import LmdbRows
from jackpotd.service.data_directory import CATALOG_LOG, WORKER_LOG, DataDirectory
from jackpotd.service.entropy import SystemEntropy
from jackpotd.service.settings import Settings
from jackpotd.service.telemetry import Gauges, Telemetry

GIBIBYTE = 1 << 30
DAY_MS = 86_400_000


def clock_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


class Storage(Struct, frozen=True):
    """What is open on disk."""

    catalog_log: LmdbLog
    worker_log: LmdbLog
    rows: LmdbRows
    keys: KeyIndex


class System(Struct, frozen=True):
    """The parts of a running jackpotd, recovered from disk and not yet started."""

    settings: Settings
    catalog_journal: GroupCommit
    journal: GroupCommit
    owner: CatalogOwner
    shard: Shard
    router: Router
    checkpointer: Checkpointer
    key_upkeep: KeyUpkeep
    guard: Guard
    sessions: Sessions
    telemetry: Telemetry
    entropy: SystemEntropy
    replayed_records: int

    @property
    def catalog(self) -> Catalog:
        return self.owner.catalog

    def is_healthy(self) -> bool:
        """Whether the journals accept writes."""
        journals = (self.journal, self.catalog_journal)
        return not any(journal.statistics().failed for journal in journals)

    def gateway(self, *, is_loopback: bool) -> QuartTrio:
        """The gateway's application."""
        parts = GatewayParts(
            catalog=self.catalog,
            router=self.router,
            shard=self.shard,
            guard=self.guard,
            sessions=self.sessions,
            is_healthy=self.is_healthy,
            metrics=self.telemetry.text,
            list_limit_max=self.settings.limits.list_limit_max,
            is_loopback=is_loopback,
        )
        return build_gateway(parts, self._shell("gateway", "jackpotd gateway"))

    def admin(self, *, is_loopback: bool) -> QuartTrio:
        """The admin listener's application."""
        context = AdminContext(
            owner=self.owner,
            shard=self.shard,
            guard=self.guard,
            clock=clock_ms,
            new_id=self.entropy.uuid,
            list_limit_max=self.settings.limits.list_limit_max,
        )
        return build_admin(
            context,
            self.sessions,
            self._shell("admin", "jackpotd admin"),
            is_healthy=self.is_healthy,
            metrics=self.telemetry.text,
            is_loopback=is_loopback,
        )

    def _shell(self, name: str, title: str) -> Shell:
        return Shell(
            name=name,
            title=title,
            body_bytes_max=self.settings.limits.body_bytes_max,
            clock=clock_ms,
            observe=self.telemetry.observe_request,
        )


@contextmanager
def opened(settings: Settings, data: DataDirectory) -> Iterator[Storage]:
    """Opens everything on disk for writing; closes it when left."""
    data.prepare()
    with ExitStack() as closing:
        map_bytes_max = settings.journal.map_gibibytes_max * GIBIBYTE

        def log(path_name: str) -> LmdbLog:
            directory = data.catalog if path_name == CATALOG_LOG else data.worker_journal
            opened_log = LmdbLog.open(
                directory, name=path_name, map_bytes_max=map_bytes_max, now_ms=clock_ms()
            )
            closing.callback(opened_log.close)
            return opened_log

        rows = LmdbRows.open(data.worker_rows, map_bytes_max=map_bytes_max)
        closing.callback(rows.close)
        keys = KeyIndex.open(
            data.worker_keys, retention_ms=settings.idempotency.retention_days * DAY_MS
        )
        closing.callback(keys.close)
        storage = Storage(log(CATALOG_LOG), log(WORKER_LOG), rows, keys)
        data.sync()
        yield storage


def build(settings: Settings, data: DataDirectory, storage: Storage, *, is_demo: bool) -> System:
    """Recovers the state from disk and puts the parts together; needs a running Trio loop."""
    telemetry, entropy = Telemetry(), SystemEntropy()
    batch_records_max = settings.journal.batch_records_max
    catalog_journal = GroupCommit(storage.catalog_log, batch_records_max=batch_records_max)
    journal = GroupCommit(
        storage.worker_log,
        batch_records_max=batch_records_max,
        on_commit=telemetry.observe_commit,
    )
    catalog = Catalog()
    replay(catalog, storage.catalog_log.scan(0))
    fold = Fold(storage.rows, storage.keys)
    replayed = recover(fold, storage.worker_log)
    shard = Shard(
        fold,
        journal,
        clock_ms,
        entropy,
        mailbox_length_max=settings.limits.mailbox_length_max,
        has_embedded_wallet=is_demo or settings.wallet.embedded,
    )
    key_upkeep = KeyUpkeep(storage.keys, clock_ms)
    router = Router(
        catalog,
        shard,
        requests_in_flight_max=settings.limits.requests_in_flight_max,
    )
    checkpointer = Checkpointer(
        fold,
        journal,
        storage.rows,
        key_upkeep,
        interval_s=settings.journal.checkpoint_interval_s,
        transaction_rows_max=settings.journal.checkpoint_rows_max,
    )
    telemetry.read_from(
        Gauges(
            actors=shard.actor_statistics,
            shard=shard.statistics,
            commits=journal.statistics,
            keys=storage.keys.statistics,
            in_flight=lambda: router.in_flight,
        )
    )
    guard, sessions = _identity(settings, data, catalog)
    return System(
        settings=settings,
        catalog_journal=catalog_journal,
        journal=journal,
        owner=CatalogOwner(catalog, catalog_journal, clock_ms),
        shard=shard,
        router=router,
        checkpointer=checkpointer,
        key_upkeep=key_upkeep,
        guard=guard,
        sessions=sessions,
        telemetry=telemetry,
        entropy=entropy,
        replayed_records=replayed,
    )


def _identity(settings: Settings, data: DataDirectory, catalog: Catalog) -> tuple[Guard, Sessions]:
    identity = settings.identity
    tokens = TokenDesk(
        load_secret(data.token_secret),
        catalog.accounts.get,
        user_lifetime_s=identity.user_token_lifetime_s,
        clock=clock_ms,
    )
    passwords = PasswordDesk(
        catalog.accounts.get,
        failures_max=identity.lock_failures_max,
        lock_s=identity.lock_duration_s,
    )
    return Guard(tokens), Sessions(passwords, tokens)
