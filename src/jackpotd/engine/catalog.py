"""The catalog: operators, brands, sources, templates, instances, links, currencies, accounts (design decision 10).

Small, read on every request, written rarely. `Catalog` is what everybody reads; `CatalogOwner` is the one writer: it
journals a change, waits until it is durable, and only then shows it. A record holds the whole new entity, so the
fold is "put it in its place".
"""

from collections.abc import Callable, Iterator, Mapping

import trio
from msgspec import Struct

from jackpotd.core.rejections import Rejection
from jackpotd.engine.ports import Clock, Journal
from jackpotd.wire import catalog_records as records

DEFAULT_CURRENCIES = "default"

Change = Callable[["Catalog"], "list[records.CatalogEntity] | Rejection"]


class Multipliers(Struct, frozen=True):
    """The rates of a brand, in units of 1e-8, with its base currency at 1."""

    base_currency: str
    rates: Mapping[str, int]
    updated_ms: int


class Catalog:
    """Everything that is configured; entities are frozen, tables are replaced entry by entry."""

    def __init__(self) -> None:
        self.operators: dict[str, records.Operator] = {}
        self.sources: dict[tuple[str, str], records.Source] = {}
        self.templates: dict[tuple[str, str], records.Template] = {}
        self.instances: dict[str, records.InstanceEntry] = {}
        self.links: dict[str, tuple[str, ...]] = {}
        self.currencies: dict[str, Multipliers] = {}
        self.accounts: dict[str, records.Account] = {}
        self._sources_of: dict[str, tuple[str, ...]] = {}

    def apply(self, entity: records.CatalogEntity) -> None:
        """Puts an entity in its place."""
        match entity:
            case records.Operator():
                self.operators[entity.id] = entity
            case records.Source():
                self.sources[entity.owner_id, entity.source_id] = entity
                self._sources_of.clear()
            case records.Template():
                self.templates[entity.owner_id, entity.id] = entity
            case records.InstanceEntry():
                self.instances[entity.instance_id] = entity
            case records.Links():
                self.links[entity.instance_id] = entity.linked
            case records.Currencies():
                self.currencies[entity.brand_id] = Multipliers(
                    entity.base_currency, entity.rates, entity.updated_ms
                )
            case records.Account():
                self.accounts[entity.username] = entity

    def brand_exists(self, brand: str) -> bool:
        """Whether `operator:brand` is a brand in service."""
        operator_id, _, brand_id = brand.partition(":")
        operator = self.operators.get(operator_id)
        if operator is None or not operator.enabled:
            return False
        return any(known.id == brand_id and known.enabled for known in operator.brands)

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

    async def change(self, by: str, decide: Change) -> Rejection | None:
        """Journals what `decide` makes of the catalog as it stands, and shows it once it is durable.

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
                self._journal.stage(records.encode(change))
                # What is durable must be shown, so a caller that goes away does not keep it hidden.
                with trio.CancelScope(shield=True):
                    await self._journal.durable()
                for entity in outcome:
                    self.catalog.apply(entity)
            return None


def replay(catalog: Catalog, log: Iterator[tuple[int, bytes]]) -> None:
    """Folds the catalog's journal from its beginning; record 0 is the log's own."""
    for seq, data in log:
        if seq:
            for entity in records.decode(data).entities:
                catalog.apply(entity)


def _is_above(source: records.Source, brand: str) -> bool:
    return source.owner_id in (brand, brand.partition(":")[0])
