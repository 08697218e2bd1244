"""The catalog: operators, brands, sources, templates, instances, links, currencies, accounts (design decision 10);
and what waits for a second person, or is being switched to another template.

Small, read on every request, written rarely. `Catalog` is what everybody reads; `CatalogOwner` is the one writer: it
journals a change, waits until it is durable, and only then shows it. A record holds the whole new entity, so the
fold is "put it in its place".
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import lru_cache

import trio
from msgspec import Raw, Struct
from msgspec.structs import replace

from jackpotd.core.rejections import Rejection
from jackpotd.engine.ports import Clock, Journal
from jackpotd.wire import catalog_records as records

DEFAULT_CURRENCIES = "default"
APPROVALS_KEPT_MAX = 10_000
UNMAPPED_OF_BRAND_MAX = 1_000
"""Sources that a brand may call before they have a jackpot; with more, for it may send any name, all count as such."""
EVERY_SOURCE = ""

Change = Callable[["Catalog"], "list[records.CatalogEntity] | Rejection"]
Publish = Callable[[int, bytes], Awaitable[None]]


class Multipliers(Struct, frozen=True):
    """The rates of a brand, in units of 1e-8, with its base currency at 1."""

    base_currency: str
    rates: Mapping[str, int]
    updated_ms: int


class Catalog:
    """Everything that is configured; entities are frozen, tables are replaced entry by entry.

    `version` is the number of the last change in the catalog's journal.
    """

    def __init__(self) -> None:
        self.version = 0
        self.operators: dict[str, records.Operator] = {}
        self.sources: dict[tuple[str, str], records.Source] = {}
        self.templates: dict[tuple[str, str], records.Template] = {}
        self.instances: dict[str, records.InstanceEntry] = {}
        self.placements: dict[str, int] = {}
        self.links: dict[str, tuple[str, ...]] = {}
        self.currencies: dict[str, Multipliers] = {}
        self.accounts: dict[str, records.Account] = {}
        self.approvals: dict[str, records.Approval] = {}
        self.switchings: dict[str, records.Switching] = {}
        self.origins: tuple[records.Origin, ...] = ()
        self.webhooks: dict[str, records.Webhooks] = {}
        self.unmapped: dict[str, set[str]] = {}
        self._sources_of: dict[str, tuple[str, ...]] = {}
        self._brands: dict[str, frozenset[str]] = {}

    def apply(self, entity: records.CatalogEntity) -> None:
        """Puts an entity in its place."""
        match entity:
            case records.Operator():
                self.operators[entity.id] = entity
                enabled = [brand.id for brand in entity.brands if brand.enabled and entity.enabled]
                self._brands[entity.id] = frozenset(f"{entity.id}:{each}" for each in enabled)
            case records.Source():
                self.sources[entity.owner_id, entity.source_id] = entity
                self._sources_of.clear()
            case records.Template():
                self.templates[entity.owner_id, entity.id] = entity
            case records.InstanceEntry():
                document = _shared(bytes(entity.document))
                self.instances[entity.instance_id] = replace(entity, document=document)
            case records.Placement():
                self.placements[entity.instance_id] = entity.worker
            case records.Links():
                self.links[entity.instance_id] = entity.linked
            case records.Currencies():
                self.currencies[entity.brand_id] = Multipliers(
                    entity.base_currency, entity.rates, entity.updated_ms
                )
            case records.Account():
                self.accounts[entity.username] = entity
            case records.Approval():
                self._put_approval(entity)
            case records.Switching():
                self.switchings[entity.id] = entity
            case records.Origins() | records.Webhooks() | records.Unmapped():
                self._apply_outside(entity)

    def _apply_outside(self, entity: records.Origins | records.Webhooks | records.Unmapped) -> None:
        """Who outside may call, who is called, and what was called in vain."""
        match entity:
            case records.Origins():
                self.origins = entity.origins
            case records.Webhooks():
                self.webhooks[entity.operator_id] = entity
            case records.Unmapped():
                ids = self.unmapped.setdefault(entity.brand, set())
                if entity.source_id == EVERY_SOURCE:
                    ids.clear()
                ids.add(entity.source_id)

    def _put_approval(self, approval: records.Approval) -> None:
        """The journal keeps all of them; here the oldest go that nothing can come of any more."""
        self.approvals[approval.id] = approval
        if len(self.approvals) > APPROVALS_KEPT_MAX:
            for known in list(self.approvals.values()):
                is_over = known.state in ("Executed", "Failed", "Rejected")
                if is_over or (known.state == "Waiting" and known.expires_ms <= approval.asked_ms):
                    del self.approvals[known.id]
                    break

    def entities(self) -> Iterator[records.CatalogEntity]:
        """Everything, as a copy has to apply it."""
        yield from self.operators.values()
        yield from self.sources.values()
        yield from self.templates.values()
        yield from self.instances.values()
        for instance_id, worker in self.placements.items():
            yield records.Placement(instance_id=instance_id, worker=worker)
        for instance_id, linked in self.links.items():
            yield records.Links(instance_id=instance_id, linked=linked)
        for brand_id, known in self.currencies.items():
            yield records.Currencies(
                brand_id=brand_id,
                base_currency=known.base_currency,
                rates=dict(known.rates),
                updated_ms=known.updated_ms,
            )
        yield from self.accounts.values()
        yield from self.approvals.values()
        yield from self.switchings.values()
        yield from self.webhooks.values()
        for brand, source_ids in self.unmapped.items():
            for source_id in source_ids:
                yield records.Unmapped(brand=brand, source_id=source_id)
        yield records.Origins(origins=self.origins)

    def take_over(self, other: "Catalog") -> None:
        """Becomes what the other one is, which must not be used any more."""
        self.__dict__.update(other.__dict__)

    def brand_exists(self, brand: str) -> bool:
        """Whether `operator:brand` is a brand in service."""
        return brand in self._brands.get(brand.partition(":")[0], ())

    def owner_exists(self, owner: str) -> bool:
        """Whether an owner path names an operator, or a brand of one."""
        operator_id, _, brand_id = owner.partition(":")
        operator = self.operators.get(operator_id)
        return operator is not None and (
            not brand_id or any(known.id == brand_id for known in operator.brands)
        )

    def brands_of(self, owner: str) -> list[str]:
        """Every brand path at or under an owner path."""
        operator_id, _, brand_id = owner.partition(":")
        if brand_id:
            return [owner]
        return [f"{operator_id}:{brand.id}" for brand in self.operators[operator_id].brands]

    def source_for(self, brand: str, source_id: str) -> records.Source | None:
        """The brand's own source of that id, else the operator's."""
        own = self.sources.get((brand, source_id))
        return own or self.sources.get((brand.partition(":")[0], source_id))

    def ever_mapped(self, brand: str, source_id: str) -> tuple[list[str], list[str]]:
        """The instances that a source gives to a brand, in their order; and all others that it ever gave, as far as
        keys of that time live: those mapped formerly, and those of the operator's source under the brand's own.
        """
        found = [self.sources.get((at, source_id)) for at in (brand, brand.partition(":")[0])]
        known = [source for source in found if source is not None]
        now = [jackpot.instance_id for source in known[:1] for jackpot in source.jackpots]
        others = [former.instance_id for source in known for former in source.former]
        others += [jackpot.instance_id for source in known[1:] for jackpot in source.jackpots]
        return now, others

    def was_unmapped(self, brand: str, source_id: str) -> bool:
        """Whether a brand may have used keys with a source when that gave no jackpot."""
        ids = self.unmapped.get(brand, ())
        return source_id in ids or EVERY_SOURCE in ids

    @property
    def oldest_instance(self) -> str | None:
        """An instance that stays the same for ever, as soon as there is any."""
        return next(iter(self.instances), None)

    def sources_for(self, owner: str) -> list[records.Source]:
        """What a brand can contribute through; for an operator, everything at or below it."""
        if ":" in owner:
            found = [source for source in self.sources.values() if _is_above(source, owner)]
            return [
                source for source in found if self.source_for(owner, source.source_id) == source
            ]
        return [
            source for source in self.sources.values() if source.owner_id.partition(":")[0] == owner
        ]

    def sources_of(self, instance_id: str) -> tuple[str, ...]:
        """Ids of the sources that an instance is mapped to."""
        if not self._sources_of:
            found: dict[str, list[str]] = {}
            for source in self.sources.values():
                for jackpot in source.jackpots:
                    found.setdefault(jackpot.instance_id, []).append(source.source_id)
            self._sources_of = {key: tuple(ids) for key, ids in found.items()}
        return self._sources_of.get(instance_id, ())

    def multipliers_for(self, brand: str) -> Multipliers | None:
        """The brand's own rates, else the default ones."""
        return self.currencies.get(brand) or self.currencies.get(DEFAULT_CURRENCIES)


class CatalogOwner:
    """The one writer of the catalog."""

    def __init__(self, catalog: Catalog, journal: Journal, clock: Clock) -> None:
        self.catalog = catalog
        self._journal = journal
        self._clock = clock
        self._lock = trio.Lock()
        self.publish: Publish | None = None

    async def change(self, by: str, decide: Change) -> Rejection | None:
        """Journals what `decide` makes of the catalog as it stands, and shows it once it is durable; returns when all
        copies show it, too.

        Changes are taken one after another, so `decide` sees all that came before. All entities of one change are in
        one transaction of the journal.
        """
        async with self._lock:
            outcome = decide(self.catalog)
            if isinstance(outcome, Rejection):
                return outcome
            if outcome:
                now_ms = self._clock()
                change = records.Change(at_ms=now_ms, by=by, entities=tuple(outcome))
                encoded = records.encode(change)
                version = self._journal.stage(encoded)
                # What is durable must be shown, so a caller that goes away does not keep it hidden.
                with trio.CancelScope(shield=True):
                    await self._journal.durable()
                    for entity in outcome:
                        self.catalog.apply(entity)
                    self.catalog.version = version
                    if self.publish is not None:
                        await self.publish(version, encoded)
            return None


@lru_cache(maxsize=records.COMPILED_AT_HAND)
def _shared(document: bytes) -> Raw:
    """A template's document, once in memory for all of its instances."""
    return Raw(document)


def replay(catalog: Catalog, log: Iterator[tuple[int, bytes]]) -> None:
    """Folds the catalog's journal from its beginning; record 0 is the log's own."""
    for seq, data in log:
        if seq:
            for entity in records.decode(data).entities:
                catalog.apply(entity)
            catalog.version = seq


def _is_above(source: records.Source, brand: str) -> bool:
    return source.owner_id in (brand, brand.partition(":")[0])
