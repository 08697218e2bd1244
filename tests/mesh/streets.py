"""What the tests of several workers share: jackpots on several workers, and what the journals must say in the end."""

import random
from collections import Counter
from typing import Any

import trio
import trio.lowlevel
from msgspec.structs import replace

from jackpotd.core.money import SCALE
from jackpotd.engine.messages import ContributionRequest, Target
from jackpotd.testing.house import BORN_MS, currencies, instance, links, operator, request
from jackpotd.testing.street import Street
from jackpotd.testing.templates import random_template
from jackpotd.wire import records
from jackpotd.wire.catalog_records import Assignment, CatalogEntity, Former, Placement, Source


def jackpots(*owners: int) -> list[CatalogEntity]:
    """Instances `j0`, `j1`, … that live with these workers; everybody may contribute."""
    rng = random.Random(7)
    entities: list[CatalogEntity] = [operator("op", ["a"]), currencies("default")]
    for number, worker in enumerate(owners):
        template = random_template(rng)
        template["contribution_rules"] |= {"opt_in_required": False}
        for pot in template["pots"]:
            pot["max_instantiation_count"] = None
            pot["pot_types"] = [{"HitRate": {"max_magic_number": 4, "cost_per_attempt": "0.1"}}]
        entities.append(instance(f"j{number}", template))
        entities.append(Placement(instance_id=f"j{number}", worker=worker))
    return entities


def source(*names: str, former: tuple[str, ...] = ()) -> Source:
    return Source(
        owner_id="op",
        source_id="s",
        name="s",
        jackpots=tuple(Assignment(instance_id=name, priority=at) for at, name in enumerate(names)),
        former=tuple(Former(instance_id=name, removed_ms=BORN_MS) for name in former),
    )


def by_source(key: str | None = None, *, wager: int = SCALE, **changes: Any) -> ContributionRequest:
    """A contribution through the source; its fingerprint covers the wager, but for what else a repeat may change."""
    asked = request("s", wager=wager, key=key)
    return replace(asked, target=Target("source", "s"), **changes)


def linked() -> list[CatalogEntity]:
    """`a` and `d` with worker 0, `b` and `c` with workers 1 and 2; all linked to each other, `c` wants an opt-in."""
    rng = random.Random(3)
    entities: list[CatalogEntity] = [operator("op", ["a"]), currencies("default")]
    for name, worker in (("a", 0), ("b", 1), ("c", 2), ("d", 0)):
        template = random_template(rng)
        template["contribution_rules"] |= {"opt_in_required": name == "c"}
        for pot in template["pots"]:
            pot["max_instantiation_count"] = None
            pot["pot_types"] = [{"HitRate": {"max_magic_number": 4, "cost_per_attempt": "0.1"}}]
        entities.append(instance(name, template))
        entities.append(Placement(instance_id=name, worker=worker))
    return [*entities, links("a", "b", "c", "d"), links("b", "a", "d"), links("d", "b")]


def assert_every_link_was_taken_once(street: Street) -> int:
    """By the journals alone: what targets owe is what links have answered, each once; returns how many."""
    owed: set[tuple[int, int, int, str]] = set()
    taken: Counter[tuple[int, int, int, str]] = Counter()
    closed: set[tuple[int, int]] = set()
    targets: set[tuple[int, int]] = set()
    for worker, log in enumerate(street.logs):
        for seq, data in log.scan(1):
            match records.decode(data):
                case records.Entry(cause=int(cause)) as entry:
                    sender = worker if entry.worker is None else entry.worker
                    taken[sender, cause, entry.place, entry.instance_id] += 1
                case records.LinkRefused() as refused:
                    sender = worker if refused.worker is None else refused.worker
                    taken[sender, refused.cause, refused.place, refused.instance_id] += 1
                case records.Entry(links=names) if names:
                    targets.add((worker, seq))
                    owed |= {(worker, seq, place, name) for place, name in enumerate(names)}
                case records.Settled(cause=cause):
                    closed.add((worker, cause))
                case _:
                    pass
    assert owed == taken.keys()
    assert {1} >= set(taken.values())
    assert targets == closed
    return len(owed)


async def forgotten(street: Street) -> None:
    """Waits until no worker keeps answers for others any more."""
    while any(len(worker.fold.received) for worker in street.workers.values()):
        await trio.lowlevel.checkpoint()


def requests_kept(street: Street) -> list[tuple[int, records.Entry | records.Declined]]:
    """The records of requests in the journals of all workers, each with its worker."""
    found = [
        (worker, records.decode(data))
        for worker, log in enumerate(street.logs)
        for _, data in log.scan(1)
    ]
    return [
        (worker, each)
        for worker, each in found
        if isinstance(each, records.Entry | records.Declined) and each.request is not None
    ]


def assert_no_key_was_used_twice(street: Street) -> None:
    """By the journals of all workers."""
    kept = [each.request for _, each in requests_kept(street)]
    used = Counter(request.key for request in kept if request is not None)
    assert {1} == set(used.values())


def cut(street: Street, one: int, other: int) -> None:
    link = street.workers[one].mesh._links.get(other)
    if link is not None:
        link.cut()
