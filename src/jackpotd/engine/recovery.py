"""From disk to a running state, and the proof that it is the right one (design decisions 3 and 4).

`recover` takes up the rows and folds the journal's tail after them. `compare` folds the whole journal from nothing and
holds the result against the rows with their tail: the two must be equal to the byte.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from jackpotd.core import fairness, hit_rate, ledger
from jackpotd.core.events import Contributed, RulesChanged, Sealed
from jackpotd.core.rules import Rules
from jackpotd.core.state import Instance, Seal
from jackpotd.engine.cells import cell_of, row_of
from jackpotd.engine.fold import Fold
from jackpotd.engine.ports import Keys
from jackpotd.engine.round_audit import RoundAudit
from jackpotd.engine.whereabouts import Whereabouts
from jackpotd.wire import records, rows


class Log(Protocol):
    """A log that can be read from any of its records on."""

    def scan(self, first_seq: int) -> Iterator[tuple[int, bytes]]: ...

    def scan_verified(self) -> Iterator[tuple[int, bytes]]: ...


class Difference(Exception):
    """What `compare` found wrong first."""


class Comparison(Struct, frozen=True):
    """What was compared, when nothing was off; `whereabouts` are for the other workers' journals."""

    records: int
    instances: int
    players: int
    winners: int
    keys: int
    whereabouts: Whereabouts


def recover(fold: Fold, log: Log) -> int:
    """Brings a fold up to the end of its journal; returns how many records that took.

    Raises:
        InvariantViolation: an instance's ledger does not add up.
    """
    first = min(fold.load(), fold.keys.covered_seq) + 1
    count = 0
    for seq, data in log.scan(first):
        if seq:
            fold.replay(seq, data)
            count += 1
    for cell in fold.cells.values():
        ledger.check_whole(cell.state)
    return count


class MemoryRows:
    """Rows in memory: a copy of those on disk, or none."""

    def __init__(self, items: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.items: dict[bytes, bytes] = dict(items)

    def get(self, key: bytes) -> bytes | None:
        return self.items.get(key)

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        found = sorted(key for key in self.items if key.startswith(prefix) and key > after)
        return iter([(key, self.items[key]) for key in found])

    def scan_down(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        keys = sorted((key for key in self.items if key.startswith(prefix)), reverse=True)
        return iter([(key, self.items[key]) for key in keys])

    def write(self, items: Sequence[tuple[bytes, bytes | None]]) -> None:
        for key, value in items:
            if value is None:
                self.items.pop(key, None)
            else:
                self.items[key] = value

    def absorb(self, fold: Fold) -> None:
        """Everything that a fold has changed, as a checkpoint would write it."""
        fold.freeze()
        self.write(list(fold.frozen()))
        fold.forget_frozen()


class MemoryKeys:
    """Keys in memory, without an end."""

    covered_seq = 0

    def __init__(self) -> None:
        self.items: dict[bytes, tuple[int, int]] = {}

    def get(self, digest: bytes, now_ms: int) -> int | None:  # noqa: ARG002 - keys here do not age
        found = self.items.get(digest)
        return None if found is None else found[0]

    def put(self, digest: bytes, seq: int, at_ms: int) -> None:
        self.items[digest] = (seq, at_ms)


def compare(
    log: Log, disk_rows: Iterable[tuple[bytes, bytes]], keys: Keys, *, alive_since_ms: int
) -> Comparison:
    """Replays everything from nothing and compares it with the checkpoint and the key index.

    Args:
        log: the journal, read whole.
        disk_rows: the rows as they stand at one moment, taken before the journal is read.
        keys: the key index as it stands on disk.
        alive_since_ms: keys accepted before then may have expired, and are not looked for.

    Raises:
        Difference: the first thing that is off, in words.
        InvariantViolation: a ledger that does not add up.
    """
    checkpoint = MemoryRows(disk_rows)
    position = _position(checkpoint)
    whole_keys = MemoryKeys()
    whole = Fold(MemoryRows(), whole_keys)
    tail = Fold(checkpoint, MemoryKeys())
    tail.load()
    whereabouts = Whereabouts({}, [], {}, {})
    rounds = RoundAudit(whole)
    last = 0
    for seq, data in log.scan_verified():
        last = seq
        if seq:
            record = records.decode(data)
            _audit(whole, rounds, seq, record)
            whole.replay(seq, data)
            whereabouts.note(whole, seq, record)
            if seq > position:
                tail.replay(seq, data)
    if position > last:
        raise Difference(f"the rows stand at record {position}, the journal ends at {last}")
    for cell in whole.cells.values():
        ledger.check_whole(cell.state)
    whereabouts.close(whole, last)
    _compare_rows(whole, tail, checkpoint)
    # A flush leaves out a key whose request was settled by a record that never became durable: its start puts it again.
    for row in whole.propagations.values():
        if row.key_digest is not None:
            whole_keys.items.pop(row.key_digest, None)
    _compare_keys(whole_keys, keys, alive_since_ms)
    return _summary(checkpoint, whereabouts, len(whole_keys.items))


def _position(checkpoint: MemoryRows) -> int:
    data = checkpoint.get(rows.POSITION_KEY)
    if data is None:
        return 0
    position: rows.PositionRow = rows.decode(data)
    return position.seq


def _audit(whole: Fold, rounds: RoundAudit, seq: int, record: records.Record) -> None:
    """A record against the state before it.

    Thresholds are what the rules say, secrets what was committed to, and a raffle's tickets and winners what follows.
    """
    if not isinstance(record, records.Entry | records.InheritedPlayers):
        return
    if record.instance_id not in whole.cells:
        raise Difference(f"record {seq} is of an instance that does not live here")
    if record.instance_id in whole.moves.departing():
        raise Difference(f"record {seq} is of an instance that stands still")
    if isinstance(record, records.InheritedPlayers):
        return
    state = whole.cells[record.instance_id].state
    rules, seals = state.rules, list(state.rare.seals)
    events = records.to_events(record.events)
    found = rounds.problem(state, events)
    if found is not None:
        raise Difference(f"record {seq}: {found}")
    for event in events:
        if isinstance(event, Contributed):
            _audit_draws(seq, rules, event)
        elif isinstance(event, Sealed):
            _audit_reveal(seq, state, seals[event.pot], event)
            seals[event.pot] = event.seal
        elif isinstance(event, RulesChanged) and event.rules is not None:
            rules = event.rules


def _audit_draws(seq: int, rules: Rules, event: Contributed) -> None:
    for pot, _, limit in event.draws:
        points = rules.pots[pot].hit_rates
        if limit not in [
            hit_rate.threshold(point.outcomes, point.cost_units, event.worth) for point in points
        ]:
            raise Difference(f"record {seq}: the threshold of pot {pot} is not the rule's")


def _audit_reveal(seq: int, state: Instance, before: Seal | None, event: Sealed) -> None:
    """What is revealed is the secret of the seal that stood until then."""
    if before is None:
        is_right = not event.revealed
    else:
        pot_id = state.rules.pots[event.pot].id
        name = state.definition.instance_id
        try:
            secret = bytes.fromhex(event.revealed)
        except ValueError:
            secret = b""
        is_right = fairness.commitment_to(secret, name, pot_id, before.number) == before.commitment
    if not is_right:
        raise Difference(f"record {seq}: what it reveals of pot {event.pot} was not sealed")


def _compare_rows(whole: Fold, tail: Fold, checkpoint: MemoryRows) -> None:
    expected = MemoryRows()
    expected.absorb(whole)
    checkpoint.absorb(tail)
    checkpoint.items.pop(rows.POSITION_KEY, None)
    for instance_id in whole.moves.droppings:
        # Some of these rows are gone, others not yet; nobody reads them.
        own, prefixes = rows.instance_key(instance_id), rows.prefixes_of(instance_id)
        for table in (expected.items, checkpoint.items):
            for key in [key for key in table if key == own or key.startswith(prefixes)]:
                del table[key]
    for key in sorted(expected.items.keys() | checkpoint.items.keys()):
        if not _is_alike(expected.get(key), checkpoint.get(key)):
            raise Difference(
                f"row {key!r}: the journal says {expected.get(key)!r}, "
                f"the checkpoint {checkpoint.get(key)!r}"
            )


def _is_alike(expected: bytes | None, found: bytes | None) -> bool:
    """Whether a row is the one that the journal leads to; one of an older version may lack its last fields."""
    if expected == found or expected is None or found is None:
        return expected == found
    row = rows.decode(found)
    if isinstance(row, rows.InstanceRow):
        row = row_of(cell_of(row, 0))
    return rows.encode(row) == expected


def _summary(checkpoint: MemoryRows, whereabouts: Whereabouts, keys: int) -> Comparison:
    kinds = [key[:1] for key in checkpoint.items]
    return Comparison(
        records=whereabouts.last_seq,
        instances=kinds.count(rows.INSTANCES),
        players=kinds.count(rows.PLAYERS),
        winners=kinds.count(rows.WINNERS),
        keys=keys,
        whereabouts=whereabouts,
    )


def _compare_keys(found: MemoryKeys, keys: Keys, alive_since_ms: int) -> None:
    """Every living key that the index claims to cover leads to its record."""
    for digest, (seq, at_ms) in found.items.items():
        if seq <= keys.covered_seq and at_ms >= alive_since_ms:
            indexed = keys.get(digest, at_ms)
            if indexed != seq:
                raise Difference(f"key {digest.hex()} leads to record {indexed}, not {seq}")
