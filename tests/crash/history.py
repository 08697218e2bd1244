"""The journals, folded and indexed: which request left what, and how every jackpot stands.

Each worker has a journal of its own, and what a link made of its part may stand in another one than its cause. So the
journals are taken in together: none runs ahead of what its records follow from.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from .jackpot_oracle import JackpotAccount
from .journal_reader import (
    Birth,
    Entry,
    JournalReader,
    LinkRefusal,
    Place,
    RemoteAnswer,
    Settlement,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .demo_jackpots import Jackpot
    from .journal_reader import Record

LinkResult = Entry | LinkRefusal


class History:
    """Everything that the journals say so far; `read_on` takes in what was committed since.

    Args:
        data_dir: where the journals lie.
        workers: how many there are.
        known: what is known of each instance beforehand; it has to be there when its birth is read.
    """

    def __init__(self, data_dir: Path, workers: int, known: Mapping[str, Jackpot]) -> None:
        self._known = known
        self._readers = [
            JournalReader(data_dir / f"worker-{worker}" / "journal", worker)
            for worker in range(workers)
        ]
        self._ahead: list[deque[Record]] = [deque() for _ in self._readers]
        self.jackpots: dict[str, JackpotAccount] = {}
        # a request's own reference → its target's entries, of which there may be one
        self.targets: defaultdict[str, list[Entry]] = defaultdict(list)
        # a target's record → place of a link → its results, of which there may be one
        self.results: defaultdict[Place, defaultdict[int, list[LinkResult]]] = defaultdict(
            lambda: defaultdict(list)
        )
        # a target's record → place of a link → the record of the target's own journal that tells the result
        self._told: defaultdict[Place, dict[int, int]] = defaultdict(dict)
        self.settlements: defaultdict[Place, list[Settlement]] = defaultdict(list)
        self.opt_ins: defaultdict[tuple[str, str, str, bool], int] = defaultdict(int)
        self._causes: dict[Place, Entry] = {}

    @property
    def last_seq(self) -> int:
        """How many records there are, over all journals."""
        return sum(reader.last_seq for reader in self._readers)

    def read_on(self) -> int:
        """Take in what is new; returns `last_seq`."""
        for reader, ahead in zip(self._readers, self._ahead, strict=True):
            ahead.extend(reader.read_on())
        while sum(self._take_some(ahead) for ahead in self._ahead):
            pass
        return self.last_seq

    def check_all_follows(self) -> None:
        """While nothing runs: no record waits for a cause that no journal has."""
        assert [list(ahead)[:1] for ahead in self._ahead] == [[] for _ in self._ahead]

    def _take_some(self, ahead: deque[Record]) -> int:
        """The records of one journal up to the first that follows from something not yet taken in; how many."""
        count = 0
        while ahead and self._follows(ahead[0]):
            record = ahead.popleft()
            count += 1
            try:
                self._take(record)
            except AssertionError as error:
                error.add_note(f"at {record}")
                raise
        return count

    def _follows(self, record: Record) -> bool:
        match record:
            case Entry(cause=Place() as cause) | LinkRefusal(cause=cause):
                return cause in self._causes
            case RemoteAnswer():
                return bool(self.results[record.cause][record.place])
        return True

    def _take(self, record: Record) -> None:
        match record:
            case Birth(instance_id=instance_id):
                assert instance_id not in self.jackpots, "born twice"
                self.jackpots[instance_id] = JackpotAccount(self._known[instance_id], record)
            case Entry():
                self._take_entry(record)
            case LinkRefusal():
                self._take_refusal(record)
            case Settlement():
                self.settlements[record.cause].append(record)
            case RemoteAnswer():
                self._take_answer(record)

    def _take_entry(self, entry: Entry) -> None:
        if entry.contribution is not None and entry.request is not None:
            assert entry.cause is None
            self.targets[entry.contribution.reference_id or ""].append(entry)
            self._causes[entry.at] = entry
        elif entry.contribution is not None:
            self._take_link(entry)
        elif entry.opt_in is not None:
            opt_in = entry.opt_in
            key = (entry.instance_id, opt_in.brand, opt_in.player_id, opt_in.opted_in)
            self.opt_ins[key] += 1
        self.jackpots[entry.instance_id].take(entry)

    def _take_link(self, entry: Entry) -> None:
        assert entry.cause is not None, "a contribution that nobody asked for"
        cause, part = self._causes[entry.cause].contribution, entry.contribution
        assert cause is not None
        assert part is not None
        for name in ("brand", "player_id", "currency", "source_id", "reference_id"):
            assert getattr(part, name) == getattr(cause, name)
        self._add_result(entry.cause, entry)

    def _take_refusal(self, refusal: LinkRefusal) -> None:
        cause = self._causes[refusal.cause].contribution
        assert cause is not None
        jackpot = self.jackpots[refusal.instance_id]
        expected = jackpot.refusal(cause.brand, cause.player_id)
        assert (refusal.code, refusal.message) == expected, "refused without a reason"
        self._add_result(refusal.cause, refusal)

    def _add_result(self, cause: Place, result: LinkResult) -> None:
        target = self._causes[cause]
        assert target.links[result.place] == result.instance_id
        results = self.results[cause][result.place]
        results.append(result)
        assert len(results) == 1, f"link {result.place} of record {cause} was served twice"
        if not result.is_sent_again:
            self._told[cause][result.place] = result.at.seq

    def _take_answer(self, answer: RemoteAnswer) -> None:
        """The copy of another worker's evidence says what that worker's own journal says."""
        (result,) = self.results[answer.cause][answer.place]
        assert (result.at.worker, result.instance_id) == (answer.worker, answer.instance_id)
        if isinstance(result, Entry):
            assert answer.refusal is None
            assert (answer.contribution, answer.wins) == (result.contribution, result.wins)
            assert answer.seals == result.seals
        else:
            assert answer.refusal == (result.code, result.message)
        told = self._told[answer.cause]
        assert answer.place not in told, "told twice"
        told[answer.place] = answer.at.seq

    def link_results(self, target: Entry) -> list[LinkResult]:
        """The one result of each link, in the order of the links."""
        results = self.results[target.at]
        missing = [place for place in range(len(target.links)) if not results[place]]
        assert not missing, f"links {missing} of record {target.at} have no result"
        return [results[place][0] for place in range(len(target.links))]

    def parts(self, target: Entry) -> list[Entry]:
        """What the linked instances took, as far as they have and did not refuse."""
        found = [each for results in self.results[target.at].values() for each in results]
        return [each for each in found if isinstance(each, Entry)]

    def cut_off_links(self) -> int:
        """How many targets still wait for some of their links, as a crash has left them."""
        return sum(
            len(self._told[target.at]) < len(target.links) for target in self._causes.values()
        )

    def unresolved_rounds(self, at_ms: float) -> int:
        """How many rounds of raffles were over at a time and are not resolved."""
        raffles = [account.raffle for account in self.jackpots.values() if account.raffle]
        rounds = [raffle.running for raffle in raffles if raffle.running]
        return sum(each.ends_ms <= at_ms for each in rounds)

    def check_settled(self, target: Entry) -> None:
        """A linked request is closed once, by a record that names its links' results in order."""
        told = self._told[target.at]
        expected = tuple(told[place] for place in range(len(self.link_results(target))))
        settled = [record.results for record in self.settlements[target.at]]
        assert settled == ([expected] if target.links else []), f"record {target.at}: {settled}"

    @property
    def is_whole(self) -> bool:
        """Whether nothing is under way any more."""
        return all(
            len(self.settlements[target.at]) > 0 for target in self._causes.values() if target.links
        )

    def check_whole(self) -> None:
        """Nothing is under way: every target has all of its links, whether answered or not."""
        for target in self._causes.values():
            self.check_settled(target)
