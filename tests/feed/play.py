"""Random histories that tell the feed much: wins, raffles, opt-ins, webhooks, links, sources and metadata."""

import random
from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from jackpotd.core.events import InstanceEvent
from jackpotd.engine.messages import Accepted, ContributionRequest, Target
from jackpotd.journal.group_commit import GroupCommit
from jackpotd.journal.log import LmdbLog
from jackpotd.testing.cases import raffle, schedule
from jackpotd.testing.house import BORN_MS, House, instance
from jackpotd.testing.house_bank import Bank
from jackpotd.testing.house_load import BRANDS, IDS, Load
from jackpotd.testing.templates import Json
from jackpotd.wire.catalog_records import Assignment, CatalogEntity, InstanceEntry, Source
from jackpotd.wire.parts import Callback
from tests.engine.test_books_and_replay import catalog

# Strings that look like what the tail looks for, were they not escaped.
_TEXTS = ('["w",', '["webhook","x",true]', ",null,0,null]", '"', "\\", "]", "ü€", "")
_URLS = ("https://operator.example/results", 'https://operator.example/["w",?a="b"')


def play_catalog(rng: random.Random) -> list[CatalogEntity]:
    """Random instances with links, and sources that lead to them; one of an id of which there are two."""
    entities = catalog(rng)
    if rng.random() < 0.4:
        prizes: list[Json] = [{"count": 2, "share": "0.2"}, {"count": 3, "amount": "0.7"}]
        drawn = raffle(
            *prizes,
            cost="0.1",
            allowed_brands=list(BRANDS),
            withhold_wins_above=rng.choice((None, "0.6")),
        )
        entities = [
            instance("three", drawn, schedule=schedule(BORN_MS))
            if isinstance(each, InstanceEntry) and each.instance_id == "three"
            else each
            for each in entities
        ]
    mapped: list[tuple[str, str, Sequence[str]]] = [
        ("op", "slots", rng.sample(IDS, 2)),
        ("op:a", "slots", rng.sample(IDS, 1)),
        ("op:b", "tables", rng.sample(IDS, 3)),
    ]
    return [
        *entities,
        *(
            Source(
                owner_id=owner,
                source_id=source_id,
                name=source_id,
                jackpots=tuple(
                    Assignment(instance_id=name, priority=at) for at, name in enumerate(names)
                ),
            )
            for owner, source_id, names in mapped
        ),
    ]


def seeded_catalog(seed: int) -> list[CatalogEntity]:
    """The same catalog in every process."""
    return play_catalog(random.Random(seed))


class Uncounted(Bank):
    """A bank that looks away: money is not what these histories are about."""

    def book(self, answer: Accepted) -> None:
        pass

    def enter(self, instance_id: str, events: Iterable[InstanceEvent]) -> None:
        pass


class Callers(Load):
    """Callers who say more, and mostly have webhooks."""

    def _request(self) -> ContributionRequest:
        rng = self.rng
        asked = super()._request()
        changes: dict[str, Any] = {
            "metadata": self._json(),
            "event_metadata": self._json(),
            "callback": Callback(rng.choice(_URLS), rng.random() < 0.4)
            if rng.random() < 0.6
            else None,
        }
        if rng.random() < 0.5:
            source_id = rng.choice(("slots", "slots", "tables", "nowhere"))
            changes["target"] = Target("source", source_id)
            changes["bet"] = replace(asked.bet, source_id=source_id)
        if rng.random() < 0.05:
            changes["bet"] = replace(changes.get("bet", asked.bet), brand="op:unknown")
        asked = replace(asked, **changes)
        self.bets[asked.trace_id] = asked.bet
        return asked

    def _json(self) -> Raw:
        rng, text = self.rng, self.rng.choice(_TEXTS)
        value: Any = rng.choice(
            (None, 1.5, text, {text: [text, True]}, ["w", text], ["webhook", 1])
        )
        return Raw(msgspec.json.encode(value))


def house_on(
    log: LmdbLog, entities: Sequence[CatalogEntity], rng: random.Random, seed: int
) -> House:
    """A house over a journal on disk, with the real group commit."""
    return House(
        cast("Any", log),
        entities,
        seed=seed,
        journal=lambda own: GroupCommit(own, batch_records_max=rng.choice((1, 5, 64))),
    )


async def play(house: House, rng: random.Random, rounds: int, keys: int = 0) -> None:
    """Some rounds of callers at once; returns when everything has settled."""
    load = Callers(house, Uncounted(house), rng, keys)
    for _ in range(rounds):
        await load.round(rng.randint(1, 15))
        await house.settled()
