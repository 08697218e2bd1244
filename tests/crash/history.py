"""The journal, folded and indexed: which request left what, and how every jackpot stands."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from .demo_jackpots import JACKPOTS
from .jackpot_oracle import REFUSAL, JackpotAccount
from .journal_reader import Birth, Entry, JournalReader, LinkRefusal, Settlement

if TYPE_CHECKING:
    from pathlib import Path

    from .journal_reader import Record

LinkResult = Entry | LinkRefusal


class History:
    """Everything that the journal says so far; `read_on` takes in what was committed since."""

    def __init__(self, data_dir: Path) -> None:
        self._reader = JournalReader(data_dir / "worker-0" / "journal")
        self.jackpots: dict[str, JackpotAccount] = {}
        # a request's own reference → its target's entries, of which there may be one
        self.targets: defaultdict[str, list[Entry]] = defaultdict(list)
        # a target's record → place of a link → its results, of which there may be one
        self.results: defaultdict[int, defaultdict[int, list[LinkResult]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self.settlements: defaultdict[int, list[Settlement]] = defaultdict(list)
        self.opt_ins: defaultdict[tuple[str, str, str, bool], int] = defaultdict(int)
        self._causes: dict[int, Entry] = {}

    @property
    def last_seq(self) -> int:
        return self._reader.last_seq

    def read_on(self) -> int:
        """Take in what is new; returns the last sequence number."""
        for record in self._reader.read_on():
            try:
                self._take(record)
            except AssertionError as error:
                error.add_note(f"at {record}")
                raise
        return self.last_seq

    def _take(self, record: Record) -> None:
        match record:
            case Birth(instance_id=instance_id):
                assert instance_id not in self.jackpots, "born twice"
                self.jackpots[instance_id] = JackpotAccount(JACKPOTS[instance_id])
            case Entry():
                self._take_entry(record)
            case LinkRefusal():
                self._take_refusal(record)
            case Settlement():
                self.settlements[record.cause].append(record)

    def _take_entry(self, entry: Entry) -> None:
        if entry.contribution is not None and entry.request is not None:
            assert entry.cause is None
            self.targets[entry.contribution.reference_id or ""].append(entry)
            self._causes[entry.seq] = entry
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
        assert jackpot.must_refuse(cause.brand, cause.player_id), "refused without a reason"
        assert (refusal.code, refusal.message) == REFUSAL
        self._add_result(refusal.cause, refusal)

    def _add_result(self, cause: int, result: LinkResult) -> None:
        target = self._causes[cause]
        assert target.links[result.place] == result.instance_id
        results = self.results[cause][result.place]
        results.append(result)
        assert len(results) == 1, f"link {result.place} of record {cause} was served twice"

    def link_results(self, target: Entry) -> list[LinkResult]:
        """The one result of each link, in the order of the links."""
        results = self.results[target.seq]
        missing = [place for place in range(len(target.links)) if not results[place]]
        assert not missing, f"links {missing} of record {target.seq} have no result"
        return [results[place][0] for place in range(len(target.links))]

    def cut_off_links(self) -> int:
        """How many targets still wait for some of their links, as a crash has left them."""
        return sum(
            len(self.results[target.seq]) < len(target.links) for target in self._causes.values()
        )

    def check_settled(self, target: Entry) -> None:
        """A linked request is closed once, by a record that names its links' results in order."""
        expected = tuple(result.seq for result in self.link_results(target))
        settled = [record.results for record in self.settlements[target.seq]]
        assert settled == ([expected] if target.links else []), f"record {target.seq}: {settled}"

    def check_whole(self) -> None:
        """Nothing is under way: every target has all of its links, whether answered or not."""
        for target in self._causes.values():
            self.check_settled(target)
