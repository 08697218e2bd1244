"""The demo's jackpot of three pots, without a server: its rules and state, contributions to it, and their records."""

import random
from uuid import UUID

from jackpotd.core.commands import Bet, Contribute, Streams
from jackpotd.core.events import Contributed, InstanceEvent
from jackpotd.core.evolve import create, evolve
from jackpotd.core.state import Definition, Instance, Status
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.consequences import Seals
from jackpotd.service.demo_data import SLOTS, fill
from jackpotd.testing.vault import SeededVault
from jackpotd.wire import records
from jackpotd.wire.catalog_records import InstanceEntry, compile_document
from jackpotd.wire.codec import NULL

BORN_MS = 1_790_000_000_000
_RATES = {"EUR": 100_000_000, "USD": 107_620_000, "GBP": 85_920_000, "SEK": 1_167_610_000}


def slots() -> tuple[Instance, Seals]:
    """A new instance, as the demo makes it, with its secrets."""
    entries = fill(Catalog(), BORN_MS)
    (entry,) = (
        entity
        for entity in (entries if isinstance(entries, list) else [])
        if isinstance(entity, InstanceEntry) and entity.instance_id == SLOTS
    )
    definition = Definition(
        instance_id=entry.instance_id,
        name=entry.name,
        owner_id=entry.owner_id,
        template_id=entry.template_id,
        template_owner_id=entry.template_owner_id,
        created_ms=entry.created_ms,
        rules=compile_document(bytes(entry.document), list(entry.brands)),
    )
    seals = Seals(SeededVault(), entry.instance_id)
    state = create(definition, Status.ACTIVE)
    for event in seals.missing(state, BORN_MS):
        state = evolve(state, event)
    return state, seals


def contribution(draw: random.Random, at_ms: int, streams: Streams) -> Contribute:
    """A player's bet, stamped with time and secrets as the engine does."""
    number = draw.randrange(10_000)
    return Contribute(
        at_ms=at_ms,
        round_id=str(UUID(int=draw.getrandbits(128), version=4)),
        streams=streams,
        bet=Bet(
            brand=f"thrilltech:brand{number % 2 + 1}",
            player_id=f"player_{number:08d}",
            country="MT",
            segments=("regular",),
            vertical=None,
            currency=draw.choice(tuple(_RATES)),
            wager=draw.choice((10_000_000, 100_000_000, 500_000_000)),
            source_id="casino-slots",
            reference_type="gameround",
            reference_id=f"gameround-{at_ms}",
        ),
        rates=_RATES,
    )


def record(events: list[InstanceEvent], number: int) -> bytes:
    """What the journal gets for a contribution, with its idempotency key and fingerprint."""
    (first, *_) = events
    accepted_ms = first.at_ms if isinstance(first, Contributed) else BORN_MS
    request = records.Request(
        operator="thrilltech",
        key=f"0123456789abcdef-{number:012d}",
        fingerprint=number.to_bytes(16, "big"),
        trace_id=str(UUID(int=number, version=4)),
        accepted_ms=accepted_ms,
        api_version=2,
        metadata=NULL,
        event_metadata=NULL,
    )
    return records.encode(
        records.Entry(instance_id=SLOTS, events=records.from_events(events), request=request)
    )
