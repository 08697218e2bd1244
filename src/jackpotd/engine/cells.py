"""An instance in memory and its row: how one becomes the other."""

from msgspec import Raw
from msgspec.structs import astuple, replace

from jackpotd.core.evolve import create, first_rare
from jackpotd.core.split import allocation
from jackpotd.core.state import Definition, Instance, Pot, Rare
from jackpotd.wire import parts, records, rows
from jackpotd.wire.catalog_records import InstanceEntry, compile_document


class Cell:
    """An instance as it stands; `created` is its birth record, which its row carries along.

    `order` is added to the journal's numbers in the keys of its winners; it grows with each move between workers.
    """

    __slots__ = ("as_of", "created", "order", "state")

    def __init__(self, state: Instance, as_of: int, created: bytes, order: int = 0) -> None:
        self.state = state
        self.as_of = as_of
        self.created = created
        self.order = order


def definition_of(created: records.Created) -> Definition:
    """Who an instance is, from its birth record."""
    return Definition(
        instance_id=created.instance_id,
        name=created.name,
        owner_id=created.owner_id,
        template_id=created.template_id,
        template_owner_id=created.template_owner_id,
        created_ms=created.at_ms,
        rules=compile_document(created.template, list(created.brands)),
    )


def birth_of(entry: InstanceEntry) -> records.Created:
    """The birth record of an instance that the catalog names."""
    return records.Created(
        at_ms=entry.created_ms,
        instance_id=entry.instance_id,
        name=entry.name,
        owner_id=entry.owner_id,
        template_id=entry.template_id,
        template_owner_id=entry.template_owner_id,
        template=Raw(entry.document),
        brands=entry.brands,
        status=entry.status,
        by=entry.by,
        schedule=entry.schedule,
    )


def born(created: records.Created) -> Instance:
    """An instance as it was at its birth."""
    schedule = None if created.schedule is None else parts.core_of(created.schedule)
    return create(definition_of(created), created.status, schedule)


def row_of(cell: Cell) -> rows.InstanceRow:
    """The row of an instance."""
    state = cell.state
    return rows.InstanceRow(
        as_of=cell.as_of,
        created=Raw(cell.created),
        status=state.status,
        version=state.version,
        updated_ms=state.updated_ms,
        pots=tuple(rows.PotRow(*astuple(pot)) for pot in state.pots),
        carried=state.carried,
        contributions=state.contributions,
        contributed=state.contributed,
        operator=state.operator,
        deficit=state.deficit,
        house=state.house,
        payouts=state.payouts,
        rare=parts.part_of(state.rare),
    )


def cell_of(row: rows.InstanceRow, moves: int) -> Cell:
    """The instance of a row that has moved so often."""
    state = instance_of(row, definition_of(_created(row)))
    return Cell(state, row.as_of, bytes(row.created), rows.order_after_moves(moves))


def instance_id_of(row: rows.InstanceRow) -> str:
    """Whose row it is."""
    return _created(row).instance_id


def _created(row: rows.InstanceRow) -> records.Created:
    created = records.decode(row.created)
    if not isinstance(created, records.Created):
        raise TypeError("an instance's row does not carry its birth record")
    return created


def instance_of(row: rows.InstanceRow, born: Definition) -> Instance:
    """The state that a row holds, of an instance that was born so; its rules may have changed since."""
    definition, rare = born, _rare_of(row, born)
    if rare.document:
        rules = compile_document(rare.document, list(_created(row).brands))
        definition = replace(born, rules=rules)
    pots = tuple(Pot(*astuple(pot)) for pot in row.pots)
    return Instance(
        definition=definition,
        plan=allocation(definition.rules, tuple(pot.is_open for pot in pots)),
        status=row.status,
        version=row.version,
        updated_ms=row.updated_ms,
        pots=pots,
        carried=row.carried,
        contributions=row.contributions,
        contributed=row.contributed,
        operator=row.operator,
        deficit=row.deficit,
        house=row.house,
        payouts=row.payouts,
        rare=rare,
    )


def _rare_of(row: rows.InstanceRow, born: Definition) -> Rare:
    if row.rare is None:  # as the replay of a journal of that time has it
        return first_rare(born.rules.pots, born.created_ms)
    rare: Rare = parts.core_of(row.rare)
    return rare
