"""Wiring: the one place that picks implementations and puts the parts of a running jackpotd together."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from msgspec import Struct
from quart_trio import QuartTrio

from jackpotd.admin.administration import Administration
from jackpotd.admin.app import build_admin
from jackpotd.admin.context import AdminContext
from jackpotd.admin.switching import Place
from jackpotd.admin.webhooks import NoFeed
from jackpotd.cluster.feed_desk import RemoteDeadLetters
from jackpotd.cluster.single_node import SingleNode
from jackpotd.edge.guard import Guard
from jackpotd.edge.sessions import Sessions
from jackpotd.edge.shell import Shell
from jackpotd.engine.catalog import Catalog, CatalogOwner, replay
from jackpotd.engine.checkpoint import Checkpointer
from jackpotd.engine.dropping import Dropper
from jackpotd.engine.fold import Fold
from jackpotd.engine.inheriting import Inheriting
from jackpotd.engine.owners import LocalOwners, Owners
from jackpotd.engine.recovery import recover
from jackpotd.engine.router import Router
from jackpotd.engine.shard import Shard
from jackpotd.engine.transfers import Transfers
from jackpotd.gateway.app import GatewayParts, build_gateway
from jackpotd.journal.group_commit import GroupCommit
from jackpotd.journal.key_upkeep import KeyUpkeep
from jackpotd.journal.key_views import KeyViews
from jackpotd.journal.log import LmdbLog
from jackpotd.journal.row_store import LmdbRows
from jackpotd.outbound.targets import Targets
from jackpotd.service.data_directory import DataDirectory
from jackpotd.service.entropy import SystemEntropy
from jackpotd.service.feeding import Feed
from jackpotd.service.private_directory import EVENTS_SOCKET
from jackpotd.service.settings import Settings
from jackpotd.service.storage import WorkerStorage, clock_ms, key_views, retention_ms
from jackpotd.service.telemetry import Gauges, Telemetry, merged
from jackpotd.service.trust import build_identity, secrets_for, targets_of
from jackpotd.service.vault import SystemVault, load_key


class CatalogPart(Struct, frozen=True):
    """What the node has that writes the catalog."""

    journal: GroupCommit
    owner: CatalogOwner


class WorkerPart(Struct, frozen=True):
    """What a node has that owns instances."""

    journal: GroupCommit
    shard: Shard
    router: Router
    checkpointer: Checkpointer
    key_upkeep: KeyUpkeep
    disk: LmdbRows
    dropper: Dropper
    inheriting: Inheriting
    views: KeyViews
    replayed_records: int


class System(Struct, frozen=True):
    """The parts of a node, recovered from disk and not yet started. A server of one process has both of them."""

    settings: Settings
    catalog: Catalog
    guard: Guard
    sessions: Sessions
    telemetry: Telemetry
    entropy: SystemEntropy
    metrics: Callable[[], Awaitable[bytes]]
    owners: Owners
    catalog_part: CatalogPart | None
    worker_part: WorkerPart | None
    administration: Administration | None = None
    transfers: Transfers | None = None
    events: Path | None = None
    """Where the feed takes the gateway's sockets; None where there is no feed."""
    single_node: SingleNode | None = None
    """The feed's way to the only process."""

    @property
    def administered(self) -> Administration:
        """What operators' calls do, on a node that writes the catalog."""
        return _required(self.administration)

    @property
    def writing(self) -> CatalogPart:
        """The catalog's part, on a node that has it."""
        return _required(self.catalog_part)

    @property
    def worker(self) -> WorkerPart:
        """The worker's part, on a node that has it."""
        return _required(self.worker_part)

    def is_healthy(self) -> bool:
        """Whether the journals accept writes."""
        parts = (self.catalog_part, self.worker_part)
        return not any(part.journal.statistics().failed for part in parts if part is not None)

    def gateway(self, *, is_loopback: bool) -> QuartTrio:
        """The gateway's application."""
        parts = self.gateway_parts(is_loopback=is_loopback)
        return build_gateway(parts, self._shell("gateway", "jackpotd gateway"))

    def gateway_parts(self, *, is_loopback: bool) -> GatewayParts:
        """What the gateway's handlers stand on."""
        return GatewayParts(
            catalog=self.catalog,
            router=self.worker.router,
            owners=self.owners,
            guard=self.guard,
            sessions=self.sessions,
            is_healthy=self.is_healthy,
            metrics=self.metrics,
            clock=clock_ms,
            new_id=self.entropy.uuid,
            body_bytes_max=self.settings.limits.body_bytes_max,
            list_limit_max=self.settings.limits.list_limit_max,
            is_loopback=is_loopback,
            targets=self._targets(),
        )

    def _targets(self) -> Targets | None:
        """Where results may be sent: nowhere without a process that sends them."""
        settings = self.settings
        return targets_of(settings, self.catalog) if settings.events.enabled else None

    def admin(self, *, is_loopback: bool) -> QuartTrio:
        """The admin listener's application."""
        return build_admin(
            self.administered,
            self.sessions,
            self._shell("admin", "jackpotd admin"),
            is_healthy=self.is_healthy,
            metrics=self.metrics,
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


T = TypeVar("T")


def _required(part: T | None) -> T:
    if part is None:
        raise RuntimeError("this node has no such part")
    return part


def build_catalog(settings: Settings, log: LmdbLog) -> CatalogPart:
    """The catalog as its log tells it, and its one writer."""
    journal = GroupCommit(log, batch_records_max=settings.journal.batch_records_max)
    catalog = Catalog()
    replay(catalog, log.scan(0))
    return CatalogPart(journal, CatalogOwner(catalog, journal, clock_ms))


def build_worker(
    settings: Settings,
    data: DataDirectory,
    storage: WorkerStorage,
    catalog: Catalog,
    telemetry: Telemetry,
    entropy: SystemEntropy,
    *,
    is_demo: bool,
    index: int | None,
) -> WorkerPart:
    """Recovers a worker's instances from disk; without an index, those of a server that has no other worker."""
    journal = GroupCommit(
        storage.log,
        batch_records_max=settings.journal.batch_records_max,
        on_commit=telemetry.observe_commit,
    )
    fold = Fold(storage.rows, storage.keys)
    replayed = recover(fold, storage.log)
    views = key_views(settings, data)
    shard = Shard(
        fold,
        journal,
        clock_ms,
        entropy,
        mailbox_length_max=settings.limits.mailbox_length_max,
        has_embedded_wallet=is_demo or settings.wallet.embedded,
        vault=SystemVault(load_key(data.vault_key)),
        index=index,
        views=views,
    )
    in_flight_max = settings.limits.requests_in_flight_max
    key_upkeep = KeyUpkeep(storage.keys, clock_ms)
    checkpointer = _checkpointer(settings, storage, shard, journal, key_upkeep)
    part = WorkerPart(
        journal=journal,
        shard=shard,
        router=Router(catalog, shard, requests_in_flight_max=in_flight_max),
        checkpointer=checkpointer,
        key_upkeep=key_upkeep,
        disk=storage.rows,
        dropper=Dropper(fold, journal, storage.rows, checkpointer),
        inheriting=Inheriting(shard, fold, journal, storage.rows, checkpointer, clock_ms),
        views=views,
        replayed_records=replayed,
    )
    telemetry.read_from(_gauges(part, storage, telemetry.worker))
    return part


def _checkpointer(
    settings: Settings,
    storage: WorkerStorage,
    shard: Shard,
    journal: GroupCommit,
    key_upkeep: KeyUpkeep,
) -> Checkpointer:
    return Checkpointer(
        shard.fold,
        journal,
        storage.rows,
        key_upkeep,
        interval_s=settings.journal.checkpoint_interval_s,
        transaction_rows_max=settings.journal.checkpoint_rows_max,
    )


def _gauges(part: WorkerPart, storage: WorkerStorage, worker: str) -> Gauges:
    return Gauges(
        worker,
        actors=part.shard.actor_statistics,
        shard=part.shard.statistics,
        commits=part.journal.statistics,
        keys=storage.keys.statistics,
        in_flight=lambda: part.router.in_flight,
    )


def build_single(
    settings: Settings,
    data: DataDirectory,
    catalog_log: LmdbLog,
    storage: WorkerStorage,
    sockets: Path,
    feed: Feed | None,
    *,
    is_demo: bool,
) -> System:
    """The one node of a server of one process; needs a running Trio loop."""
    telemetry, entropy = Telemetry("0"), SystemEntropy()
    catalog_part = build_catalog(settings, catalog_log)
    catalog = catalog_part.owner.catalog
    guard, sessions = build_identity(settings, data, catalog)

    async def metrics() -> bytes:
        return merged([telemetry.text(), b"" if feed is None else await feed.metrics()])

    worker_part = build_worker(
        settings, data, storage, catalog, telemetry, entropy, is_demo=is_demo, index=None
    )
    owners = LocalOwners(worker_part.shard)
    node = None
    if feed is not None:
        node = SingleNode(sockets, catalog_part.owner, worker_part.shard, worker_part.router)
    return System(
        settings=settings,
        catalog=catalog,
        guard=guard,
        sessions=sessions,
        telemetry=telemetry,
        entropy=entropy,
        metrics=metrics,
        owners=owners,
        catalog_part=catalog_part,
        worker_part=worker_part,
        administration=build_administration(
            settings,
            data,
            catalog_part.owner,
            owners,
            guard,
            entropy,
            lambda _: None,
            node.dead_letters if node is not None else None,
        ),
        transfers=Transfers(worker_part.shard, owners),
        events=sockets / EVENTS_SOCKET if feed is not None else None,
        single_node=node,
    )


def build_administration(
    settings: Settings,
    data: DataDirectory,
    owner: CatalogOwner,
    owners: Owners,
    guard: Guard,
    entropy: SystemEntropy,
    place: Place,
    dead_letters: RemoteDeadLetters | None,
) -> Administration:
    """What operators' calls do, and what is finished in the background."""
    context = AdminContext(
        owner=owner,
        owners=owners,
        guard=guard,
        clock=clock_ms,
        new_id=entropy.uuid,
        list_limit_max=settings.limits.list_limit_max,
        key_retention_ms=retention_ms(settings),
        four_eyes=settings.admin.four_eyes,
        approval_lifetime_ms=settings.admin.approval_lifetime_s * 1000,
    )
    return Administration(
        context,
        place,
        dead_letters=NoFeed() if dead_letters is None else dead_letters,
        webhook_secrets=secrets_for(data, owner.catalog),
    )
