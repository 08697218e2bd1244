"""What must be true of a neighbourhood that rests, whatever was moved or crashed: told from the journals alone."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from jackpotd.core import ledger
from jackpotd.engine.fold import key_digest, request_at
from jackpotd.engine.messages import Accepted, Outcome, Pending, Taken
from jackpotd.engine.ports import Read
from jackpotd.engine.recovery import Comparison, compare
from jackpotd.engine.whereabouts import contradictions
from jackpotd.wire import records

from .linking import outcome_of
from .neighbourhood import Neighbourhood
from .neighbours import Worker

Evidence = list[tuple[int, int, records.Record]]


def evidence(hood: Neighbourhood) -> Evidence:
    """Every record of every journal, with its worker and number."""
    return [
        (worker, seq, records.decode(data))
        for worker, ground in enumerate(hood.grounds)
        for seq, data in ground.log.scan(1)
    ]


async def check(hood: Neighbourhood) -> None:
    """Everything at once."""
    found = evidence(hood)
    check_money(hood, found)
    check_links(found)
    check_keys(hood, found)
    await check_answers(hood)
    check_journals(hood)


def living(hood: Neighbourhood) -> dict[str, Worker]:
    """Where each instance lives; nowhere twice."""
    found: dict[str, Worker] = {}
    for worker in hood.workers.values():
        for name in worker.fold.cells:
            assert name not in found
            assert name in worker.actors
            found[name] = worker
        assert worker.fold.cells.keys() == worker.actors.keys()
        assert {} == worker.fold.moves.imports
        assert set() == worker.fold.moves.departing()
    assert found.keys() == hood.entries.keys()
    return found


def events_of(found: Evidence) -> dict[str, list[records.EventRecord]]:
    """What happened to each instance, in order: the clock of a neighbourhood never stands still."""
    happened: dict[str, list[tuple[int, records.EventRecord]]] = defaultdict(list)
    for _, _, record in found:
        if isinstance(record, records.Entry):
            happened[record.instance_id] += [(event.at_ms, event) for event in record.events]
    return {
        name: [event for _, event in sorted(events, key=lambda pair: pair[0])]
        for name, events in happened.items()
    }


def check_money(hood: Neighbourhood, found: Evidence) -> None:
    """Each contribution is in its instance once, wherever it was made: totals, players and winners."""
    happened = events_of(found)
    rounds: Counter[str] = Counter()
    for name, worker in living(hood).items():
        assert hood.places[name] == worker.index
        state = worker.fold.cells[name].state
        ledger.check(state)
        events = happened.get(name, [])
        given = [event for event in events if isinstance(event, records.Contributed)]
        won = [event for event in events if isinstance(event, records.PotWon)]
        rounds.update(event.round_id for event in given)
        assert len(given) == state.contributions
        seeds = sum(pot.initial_seed for pot in state.rules.pots)
        assert seeds + sum(event.worth for event in given) == state.contributed + state.operator
        assert sum(event.paid for event in won) == state.payouts
        assert sum(event.deficit for event in won) == state.deficit
        check_players(worker, name, events)
        check_winners(worker, name, won)
    assert set(rounds.values()) <= {1}


def check_players(worker: Worker, name: str, events: list[records.EventRecord]) -> None:
    count: Counter[tuple[str, str]] = Counter()
    value: Counter[tuple[str, str]] = Counter()
    opted: dict[tuple[str, str], bool] = {}
    for event in events:
        if isinstance(event, records.Contributed):
            count[event.brand, event.player_id] += 1
            value[event.brand, event.player_id] += event.worth
        elif isinstance(event, records.OptInChanged):
            opted[event.brand, event.player_id] = event.opted_in
    for who in count.keys() | opted.keys():
        player = worker.fold.player(name, *who)
        assert (count[who], value[who]) == (player.count, player.value)
        assert opted.get(who, False) == player.opted_in


def check_winners(worker: Worker, name: str, won: list[records.PotWon]) -> None:
    pots = len(worker.fold.cells[name].state.pots)
    listed = [row.round_id + str(row.paid) for row in worker.fold.overlay.winners_down(name, pots)]
    assert [event.round_id + str(event.paid) for event in won][::-1] == listed


def check_links(found: Evidence) -> None:
    """Every link of every contribution was answered once, by whichever worker."""
    owed: set[tuple[int, int, int, str]] = set()
    answered: Counter[tuple[int, int, int, str]] = Counter()
    for worker, seq, record in found:
        if isinstance(record, records.Entry):
            owed |= {(worker, seq, at, name) for at, name in enumerate(record.links)}
        if isinstance(record, records.Entry | records.LinkRefused) and record.cause is not None:
            sender = worker if record.worker is None else record.worker
            answered[sender, record.cause, record.place, record.instance_id] += 1
    assert owed == answered.keys(), (owed - answered.keys(), answered.keys() - owed)
    assert set(answered.values()) <= {1}


def check_keys(hood: Neighbourhood, found: Evidence) -> None:
    """No key has contributed twice; the owner of each target knows every key that has."""
    used: Counter[str] = Counter()
    homes = living(hood)
    for _, _, record in found:
        if isinstance(record, records.Entry) and record.request is not None and record.request.key:
            used[record.request.key] += 1
            digest = key_digest(record.request.operator, record.request.key)
            assert homes[record.instance_id].used(digest) is not None
    assert set(used.values()) <= {1}
    assert hood.answers.keys() <= used.keys()


def replayed(hood: Neighbourhood, read: Read, seq: int) -> Iterator[Outcome]:
    """The outcomes that a repeat of a key is answered with, from one journal."""
    data = read(seq)
    assert data is not None
    settled = records.decode(data)
    cause = settled.cause if isinstance(settled, records.Settled) else seq
    entry, _ = request_at(read, cause)
    yield outcome_of(entry, hood)
    if isinstance(settled, records.Settled):
        for result in settled.results:
            data = read(result)
            assert data is not None
            yield outcome_of(records.decode(data), hood)
    else:
        yield from (Pending(instance_id) for instance_id in entry.links)


async def check_answers(hood: Neighbourhood) -> None:
    """Who asks again is told what was answered, by whichever worker the instance lives in now.

    What has settled where the instance came from is seen once that worker has brought it to disk: until then its links
    are pending.
    """
    if not await pending(hood):
        return
    for worker in hood.workers.values():
        await worker.checkpointer.checkpoint()
    assert [] == await pending(hood)


async def pending(hood: Neighbourhood) -> list[Accepted]:
    """The answers whose repeats do not tell all yet, though all views are fresh."""
    for worker in hood.workers.values():
        await worker.views.refresh()
    return [answer for answer in hood.answers.values() if told(hood, answer) != answer.outcomes]


def told(hood: Neighbourhood, answer: Accepted) -> tuple[Outcome, ...]:
    """What a repeat is told: the same, but for links that may still be pending."""
    target = answer.outcomes[0]
    assert isinstance(target, Taken)
    worker = hood.home(target.instance_id)
    assert worker is not None
    used = worker.used(key_digest("op", answer.trace_id.removeprefix("trace ")))
    assert used is not None
    seq, read = used
    found = tuple(replayed(hood, read, seq))
    for here, there in zip(found, answer.outcomes, strict=True):
        assert here == there or isinstance(here, Pending)
        assert not isinstance(there, Pending)
    return found


def check_journals(hood: Neighbourhood) -> None:
    """Each journal from nothing gives the rows on disk, and both sides of each move say the same."""
    compared: dict[int, Comparison] = {}
    for worker, ground in enumerate(hood.grounds):
        compared[worker] = compare(
            ground.log, list(ground.items().items()), ground.keys, alive_since_ms=0
        )
    assert [] == list(contradictions({at: each.whereabouts for at, each in compared.items()}))
