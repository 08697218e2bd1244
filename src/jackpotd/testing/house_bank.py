"""Money in and money out of a house's instances, counted from its answers alone.

What was accepted for a webhook is told by the journal, and must be there exactly once.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from msgspec.structs import replace

from jackpotd.core import ledger
from jackpotd.core.events import (
    Adjusted,
    Boosted,
    CommunityPaid,
    Contributed,
    HeldWinDecided,
    InstanceEvent,
    PotWon,
    RoundResolved,
    StatusChanged,
    TipHeld,
    TransfersSent,
    TransferTaken,
    WindowEnded,
)
from jackpotd.core.passing import BY
from jackpotd.core.rejections import Rejection
from jackpotd.engine.messages import Accepted, Taken
from jackpotd.testing.house import House
from jackpotd.wire import records, rows

_HELD = ("house", "withheld", "pot:", "seed_reserve:", "boost:", "undistributed:")


class Bank:
    """Money in and money out of each instance, from the answers; from the journal where time alone did something."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.balance = {
            instance_id: sum(pot.initial_seed for pot in cell.state.rules.pots)
            for instance_id, cell in house.fold.cells.items()
        }
        self.withheld: dict[tuple[str, str, int], int] = {}
        self.seen: Counter[str] = Counter()
        self.rounds: Counter[str] = Counter()
        self.accepted: set[str] = set()
        self._for_webhooks: Counter[str] = Counter()
        self._causes: set[int] = set()
        self._read_seq = house.log.last_seq

    def book(self, answer: Accepted) -> None:
        """What a caller was answered; of a contribution for a webhook that is no more than its trace id."""
        if answer.is_asynchronous:
            self.accepted.add(answer.trace_id)
        for outcome in answer.outcomes:
            if isinstance(outcome, Taken):
                self.enter(outcome.instance_id, outcome.events)
            elif isinstance(outcome, Rejection):
                self.seen["links refused"] += 1

    def enter(self, instance_id: str, events: Iterable[InstanceEvent]) -> None:
        """What an answer says that has happened."""
        for item in events:
            self.balance[instance_id] += self._flow(instance_id, item)
            self.seen[type(item).__name__] += 1
            if isinstance(item, Contributed):
                self.rounds[item.round_id] += 1

    def operated(self, instance_id: str, events: Iterable[InstanceEvent]) -> None:
        """What a person did; it may be about a win that nobody was answered."""
        self._read_what_nobody_was_answered()
        self.enter(instance_id, events)

    def _flow(self, instance_id: str, item: InstanceEvent) -> int:
        """What came in by this, less what went out."""
        match item:
            case Contributed():
                return item.worth
            case CommunityPaid():
                return -sum(payout.paid for payout in item.payouts)
            case PotWon(is_withheld=True):
                self.withheld[instance_id, item.round_id, item.pot] = item.paid
                return item.deficit
            case PotWon():
                return item.deficit - item.paid
            case RoundResolved():
                self.withheld |= {
                    (instance_id, prize.round_id, 0): prize.paid
                    for prize in item.prizes
                    if prize.is_withheld
                }
                paid = sum(prize.paid for prize in item.prizes if not prize.is_withheld)
                return item.shortfall + item.deficit - paid
            case HeldWinDecided():
                paid = self.withheld.pop((instance_id, item.round_id, item.pot))
                return -paid if item.is_released else 0
            case Boosted() | Adjusted():
                return item.amount_units
            case TransfersSent():
                return -sum(each.value + each.reserve + each.boost for each in item.transfers)
            case TransferTaken():
                return item.value + item.reserve + item.boost
            case _:
                return 0

    @classmethod
    def of_what_stands(cls, house: House) -> "Bank":
        """A bank that begins with what the instances hold already."""
        bank = cls(house)
        for name, cell in house.fold.cells.items():
            state = cell.state
            came = state.contributed + state.operator + state.deficit + state.rare.received
            bank.balance[name] = came - state.payouts - state.rare.sent
            bank.withheld |= {(name, win.round_id, win.pot): win.paid for win in state.rare.held}
        return bank

    def check(self) -> None:
        """Every unit that came in and did not leave is in one of the instance's accounts."""
        self._read_what_nobody_was_answered()
        for instance_id, cell in self.house.fold.cells.items():
            books = ledger.accounts(cell.state)
            held = sum(units for name, units in books.items() if name.startswith(_HELD))
            carried = Fraction(sum(cell.state.carried), cell.state.plan.denominator)
            _same(self.balance[instance_id], held + carried, f"money of {instance_id}")
            waiting = sum(paid for key, paid in self.withheld.items() if key[0] == instance_id)
            _same(waiting, books["withheld"], f"withheld money of {instance_id}")
        _same([], [each for each, times in self.rounds.items() if times > 1], "rounds used twice")
        _same(set(), self.accepted - self._for_webhooks.keys(), "accepted for webhooks, and lost")
        twice = [each for each, times in self._for_webhooks.items() if times > 1]
        _same([], twice, "accepted for webhooks twice")

    def _read_what_nobody_was_answered(self) -> None:
        """Windows and rounds that end are nobody's request, nor what a schedule does; the rest is for webhooks."""
        for seq, data in self.house.log.scan(self._read_seq + 1):
            record = records.decode(data)
            self._read_seq = seq
            if isinstance(record, records.Declined):
                self._for_webhooks[record.request.trace_id] += 1
                self.seen["declined"] += 1
            elif isinstance(record, records.Entry):
                events = records.to_events(record.events)
                if self._is_for_webhook(seq, record) or _is_by_time(events[0]):
                    self.enter(record.instance_id, events)

    def _is_for_webhook(self, seq: int, entry: records.Entry) -> bool:
        """Whether an entry is what a webhook is told of: a target's, or that of one of its links."""
        request = entry.request
        if request is not None and request.callback is not None:
            self._for_webhooks[request.trace_id] += 1
            self._causes.add(seq)
            self.seen["accepted"] += 1
            return True
        return entry.worker is None and entry.cause in self._causes

    def check_credits(self) -> None:
        """What wallets have still to be told: each prize of each round, but for those that were rejected."""
        overlay = self.house.fold.overlay
        expected: dict[str, dict[int, dict[str, rows.CreditRow]]] = {}
        for _, data in self.house.log.scan(1):
            record = records.decode(data)
            if isinstance(record, records.Entry):
                rounds = expected.setdefault(record.instance_id, {})
                for item in records.to_events(record.events):
                    _enter_credits(rounds, item)
        for name, rounds in expected.items():
            numbers = [row.number for row in overlay.rounds_down(name)]
            _same(sorted(rounds, reverse=True), numbers, f"rounds of {name}")
            for number, owed in rounds.items():
                found = {row.round_id: row for row in overlay.round_credits(name, number)}
                _same(owed, found, f"credits of round {number} of {name}")
                round_ = overlay.round(name, number)
                order = 0 if round_ is None else round_.order
                won = {row.round_id for row in overlay.round_winners(name, order)}
                _same({*owed}, won, f"winners of round {number} of {name}")

    def check_winners(self) -> None:
        """Winners are read in the order of the journal, the latest first, over all pots and for each."""
        won: dict[str, list[tuple[int, str, int]]] = {name: [] for name in self.house.fold.cells}
        for _, data in self.house.log.scan(1):
            record = records.decode(data)
            if isinstance(record, records.Entry):
                won[record.instance_id] += _winners_of(record.events)
                _without_rejected(won[record.instance_id], record.events)
        overlay = self.house.fold.overlay
        for name, expected in won.items():
            pots = len(self.house.fold.cells[name].state.pots)
            found = [(r.pot, r.round_id, r.paid) for r in overlay.winners_down(name, pots)]
            _same(expected[::-1], found, f"winners of {name}")
            for pot in range(pots):
                of_pot = [row.paid for _, row in overlay.pot_winners_down(name, pot)]
                paid = [paid for at, _, paid in expected[::-1] if at == pot]
                _same(paid, of_pot, f"winners of pot {pot} of {name}")


class BooksDifferError(AssertionError):
    """What was answered and what is in the books are not the same."""


def _same(expected: object, found: object, what: str) -> None:
    if expected != found:
        raise BooksDifferError(f"{what}: {expected} by the answers, {found} in the books")


def _is_by_time(event: InstanceEvent) -> bool:
    if isinstance(event, StatusChanged):
        return event.by == BY
    return isinstance(event, WindowEnded | TipHeld | CommunityPaid | PotWon | RoundResolved)


def _enter_credits(rounds: dict[int, dict[str, rows.CreditRow]], item: InstanceEvent) -> None:
    if isinstance(item, RoundResolved):
        rounds[item.number] = {
            prize.round_id: rows.CreditRow(
                item.at_ms,
                item.number,
                prize.winner.brand,
                prize.winner.player_id,
                prize.winner.currency,
                prize.win,
                prize.round_id,
                prize.is_withheld,
            )
            for prize in item.prizes
            if prize.win
        }
    elif isinstance(item, HeldWinDecided):
        for owed in rounds.values():
            held = owed.pop(item.round_id, None)
            if held is not None and item.is_released:
                owed[item.round_id] = replace(held, is_withheld=False)


def _without_rejected(
    won: list[tuple[int, str, int]], events: Sequence[records.EventRecord]
) -> None:
    """A rejected win was nobody's: the player's own is the last one of its round."""
    for item in events:
        if isinstance(item, records.HeldWinDecided) and not item.is_released:
            own = [at for at, (*win, _) in enumerate(won) if win == [item.pot, item.round_id]]
            del won[own[-1]]


def _winners_of(events: Sequence[records.EventRecord]) -> Iterator[tuple[int, str, int]]:
    """Pot, round and payment of every winner in an entry, the community's before the player's own."""
    for item in events:
        if isinstance(item, records.CommunityPaid):
            yield from ((item.pot, item.round_id, each.paid) for each in item.payouts)
        elif isinstance(item, records.RoundResolved):
            yield from ((0, each.round_id, each.paid) for each in item.prizes if each.win)
        elif isinstance(item, records.PotWon):
            yield item.pot, item.round_id, item.paid
