"""Which worker an instance belongs to, the same on every node, and who an instance is, from the catalog alone."""

import hashlib

from jackpotd.core.state import Definition
from jackpotd.engine.catalog import Catalog
from jackpotd.wire.catalog_records import InstanceEntry, compile_document

_HASH_BYTES = 8


class Places:
    """The owner of each instance: where it was put, else a hash that never changes."""

    def __init__(self, catalog: Catalog, workers: int) -> None:
        self._catalog = catalog
        self._workers = workers
        self._hashed: dict[str, int] = {}

    def owner_of(self, instance_id: str) -> int:
        """The worker that an instance shall live in, whether it is there already or not."""
        placed = self._catalog.placements.get(instance_id)
        if placed is not None and placed < self._workers:
            return placed
        found = self._hashed.get(instance_id)
        if found is None:
            found = hashed(instance_id) % self._workers
            if instance_id in self._catalog.instances:  # others may be anything that a caller sends
                self._hashed[instance_id] = found
        return found


def hashed(instance_id: str) -> int:
    """A number that stands for an instance on every node and in every life."""
    return int.from_bytes(
        hashlib.blake2b(instance_id.encode(), digest_size=_HASH_BYTES).digest(), "big"
    )


class Definitions:
    """Who the instances of the catalog are; rules are compiled once, for an instance never changes its own."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._compiled: dict[str, Definition] = {}

    def of(self, instance_id: str) -> Definition:
        """An instance of the catalog.

        Raises:
            KeyError: the catalog has none of that name.
        """
        found = self._compiled.get(instance_id)
        if found is None:
            found = definition_in(self._catalog.instances[instance_id])
            self._compiled[instance_id] = found
        return found


def definition_in(entry: InstanceEntry) -> Definition:
    """Who an instance is, from its entry in the catalog: the same as from its birth record."""
    return Definition(
        instance_id=entry.instance_id,
        name=entry.name,
        owner_id=entry.owner_id,
        template_id=entry.template_id,
        template_owner_id=entry.template_owner_id,
        created_ms=entry.created_ms,
        rules=compile_document(entry.document, list(entry.brands)),
    )
