"""The clients' own book: what was asked, what was answered, and what must be true of it.

The book knows the answers, the history knows the journal; `reckon` holds one against the other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final

from .demo_jackpots import JACKPOT_CURRENCY, OPERATOR, as_units, converted
from .jackpot_oracle import REFUSAL
from .journal_reader import Entry
from .operations import Contribute, OptInOut

if TYPE_CHECKING:
    from .calls import Answer
    from .history import History


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A request of the life under way that has no whole answer, and what was known of it before."""

    contribution: Contribute
    was_committed: bool
    cut_off: int | None  # the status of an answer that was begun


TURNED_AWAY: Final = 503  # by a server that drains
OptInKey = tuple[str, str, str]


@dataclass(slots=True)
class Book:
    """Everything that was ever asked of one data directory."""

    contributions: list[Contribute] = field(default_factory=list)
    by_reference: dict[str, Contribute] = field(default_factory=dict)
    opt_ins_sent: Counter[tuple[str, str, str, bool]] = field(default_factory=Counter)
    opt_ins_answered: Counter[tuple[str, str, str, bool]] = field(default_factory=Counter)
    may_be_opted_in: dict[OptInKey, set[bool]] = field(default_factory=dict)
    open_ends: list[Unanswered] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)
    # opt-ins of the life under way that nobody has answered: they may still happen, and later than others
    loose_opt_ins: set[OptInKey] = field(default_factory=set)

    def sending(self, contribution: Contribute) -> None:
        contribution.attempts += 1
        if contribution.attempts == 1:
            self.contributions.append(contribution)
            assert self.by_reference.setdefault(contribution.reference, contribution) is (
                contribution
            )

    def answered(self, contribution: Contribute, answer: Answer) -> None:
        """A whole answer; what it says about the past has to agree with what is known of it."""
        assert answer.status in {200, 204, 400}, f"{answer.status} {answer.text}"
        contribution.answers.append(answer)
        self.tally[f"answered {answer.status}"] += 1
        if answer.refusal is not None:
            assert not contribution.is_committed
            self._check_refusal(contribution, answer.refusal)
            return
        assert contribution.is_loose or answer.is_replay == contribution.is_committed, (
            f"attempt {contribution.attempts} was answered as if "
            f"{'it had' if answer.is_replay else 'nothing had'} happened before: {answer}"
        )
        self.tally["replays"] += answer.is_replay
        contribution.is_committed, contribution.is_loose = True, False
        if contribution.jackpot.opt_in_required:
            key = (contribution.jackpot.id, contribution.player.brand_path, contribution.player.id)
            assert answer.is_replay or True in self.may_be_opted_in.get(key, {False})

    def answered_in_batch(self, contribution: Contribute, part: dict[str, Any]) -> None:
        """One element of a batch, of which all was answered; of some perhaps that nobody knows."""
        if part["status_code"] == TURNED_AWAY:
            self.unanswered(contribution, cut_off=TURNED_AWAY)
            return
        assert part["status_code"] == 200, part
        self.tally["answered in a batch"] += 1
        contribution.is_committed, contribution.batched = True, part["result"]

    def unanswered(self, contribution: Contribute, *, cut_off: int | None) -> None:
        self.tally["unanswered" if cut_off is None else "cut off"] += 1
        contribution.is_loose = not contribution.is_committed
        self.open_ends.append(Unanswered(contribution, contribution.is_committed, cut_off))

    def check_nothing_hangs(self) -> None:
        """After an orderly end: each request was answered whole, or it never happened.

        Of a 503 that never happened the end may be missing: the connection was closing already.
        """
        for end in self.open_ends:
            assert end.cut_off in {None, TURNED_AWAY}, f"cut off: {end}"
            assert end.contribution.is_committed == end.was_committed, (
                f"accepted while draining, and never answered: {end.contribution}"
            )

    def _check_refusal(self, contribution: Contribute, refusal: tuple[str, str]) -> None:
        player = contribution.player
        key = (contribution.jackpot.id, player.brand_path, player.id)
        assert refusal == REFUSAL
        assert contribution.jackpot.opt_in_required
        assert False in self.may_be_opted_in.get(key, {False}), "an answered opt-in is lost"

    def opting(self, operation: OptInOut) -> None:
        for key in self._keys(operation):
            self.opt_ins_sent[(*key, operation.opt_in)] += 1
            self.may_be_opted_in.setdefault(key, {False}).add(operation.opt_in)

    def opted(self, operation: OptInOut, answer: Answer) -> None:
        assert answer.status == 200, f"{answer.status} {answer.text}"
        if len(operation.instances) > 1:
            assert answer.body == {"success": list(operation.instances), "failed": []}
        operation.is_answered = True
        self.tally["opt-ins answered"] += 1
        for key in self._keys(operation):
            self.opt_ins_answered[(*key, operation.opt_in)] += 1
            if key not in self.loose_opt_ins:
                self.may_be_opted_in[key] = {operation.opt_in}

    def opt_in_unanswered(self, operation: OptInOut) -> None:
        self.tally["opt-ins unanswered"] += 1
        self.loose_opt_ins.update(self._keys(operation))

    @staticmethod
    def _keys(operation: OptInOut) -> list[OptInKey]:
        player = operation.player
        return [(instance, player.brand_path, player.id) for instance in operation.instances]

    def reckon(self, history: History) -> None:
        """Hold all that was answered against the journal, and learn what became of the rest."""
        self.loose_opt_ins.clear()
        unknown = history.targets.keys() - self.by_reference.keys()
        assert not unknown, f"the journal knows requests that nobody sent: {unknown}"
        for contribution in self.contributions:
            try:
                _check(contribution, history)
            except AssertionError as error:
                error.add_note(f"at {contribution}")
                raise
        for key in self.opt_ins_sent.keys() | history.opt_ins.keys():
            found = history.opt_ins[key]
            assert self.opt_ins_answered[key] <= found <= self.opt_ins_sent[key], key
        for (instance_id, brand, player_id), possible in self.may_be_opted_in.items():
            is_opted_in = history.jackpots[instance_id].standing(brand, player_id).opted_in
            assert is_opted_in in possible, f"{player_id} {instance_id}: {is_opted_in}"
            possible.intersection_update({is_opted_in})


def _check(contribution: Contribute, history: History) -> None:
    entries = history.targets.get(contribution.reference, [])
    assert len(entries) <= 1, "contributed more than once"
    assert not (contribution.is_refused and entries), "refused, and contributed all the same"
    if contribution.is_committed or contribution.was_begun_to_answer:
        assert entries, "answered, and not in the journal"
    contribution.is_committed, contribution.is_loose = bool(entries), False
    for entry in entries:
        _check_request(contribution, entry)
        for part in (entry, *history.parts(entry)):
            _check_counted(contribution, part)
    if contribution.batched is not None:
        _check_results(contribution.batched, entries[0], history)
    for answer in contribution.answers:
        if answer.refusal is not None:
            continue
        if answer.has_pending_links:
            _check_result(answer.results[0], entries[0], history)
            continue
        history.check_settled(entries[0])
        _check_answer(answer, entries[0], history)


def _check_request(contribution: Contribute, entry: Entry) -> None:
    """The journal says what was asked."""
    came_in, request = entry.contribution, entry.request
    assert came_in is not None
    assert request is not None
    assert entry.instance_id == contribution.jackpot.id
    assert entry.links == contribution.expected_links
    assert (request.operator, request.key) == (OPERATOR, contribution.key)
    player = contribution.player
    assert (came_in.brand, came_in.player_id) == (player.brand_path, player.id)
    assert came_in.currency == contribution.currency
    assert came_in.amount == contribution.expected_amount or contribution.expected_amount is None
    source = contribution.jackpot.source if contribution.by_source else None
    assert came_in.source_id == source


def _check_counted(contribution: Contribute, entry: Entry) -> None:
    """A raffle counts the wager towards its tickets."""
    assert entry.contribution is not None
    issued = entry.contribution.issued
    if issued is not None:
        wager = converted(contribution.wager, contribution.currency, JACKPOT_CURRENCY)
        assert issued.counted == wager


def _check_answer(answer: Answer, entry: Entry, history: History) -> None:
    """What was answered is what the journal holds, to the unit and the millisecond."""
    assert entry.request is not None
    assert answer.trace_id == entry.request.trace_id
    assert answer.date == formatdate(entry.request.accepted_ms / 1000, usegmt=True)
    if answer.status == 204:
        assert (answer.is_replay, answer.text) == (True, "")
        return
    _check_results(answer.results, entry, history)


def _check_results(results: list[dict[str, Any]], entry: Entry, history: History) -> None:
    links = history.link_results(entry)
    for result, found in zip(results, [entry, *links], strict=True):
        if isinstance(found, Entry):
            _check_result(result, found, history)
        else:
            expected = {"status_code": 400, "code": found.code, "message": found.message}
            assert result == expected


def _check_result(result: dict[str, Any], entry: Entry, history: History) -> None:
    came_in, jackpot = entry.contribution, history.jackpots[entry.instance_id].jackpot
    assert came_in is not None
    assert result["instance_id"] == entry.instance_id
    assert result["gameround_id"] == came_in.round_id
    assert result["timestamp"] == came_in.at_ms
    assert result["contribution_currency"] == came_in.currency
    assert as_units(result["contribution_amount"]) == came_in.amount
    assert as_units(result["win_amount"]) == sum(win.win for win in entry.wins)
    won = jackpot.pots[entry.wins[0].pot].id if entry.wins else None
    assert result["win_pot_id"] == won
    issued = came_in.issued
    assert result["tickets_awarded"] == (None if issued is None else issued.awarded)
    assert result["metadata"] == {"reference": came_in.reference_id}
