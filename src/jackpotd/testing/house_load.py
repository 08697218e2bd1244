"""Random load for a house: contributions at once, repeats, callers that go away, operators, and time that passes."""

import random

import msgspec
import trio

from jackpotd.core.commands import (
    Adjust,
    AskChange,
    Bet,
    Boost,
    ChangeStatus,
    DecideHeldWin,
    FinishTransfer,
    OperatorCommand,
    OptIn,
    SendTransfers,
    SetSchedule,
    TakeTransfer,
    Trigger,
)
from jackpotd.core.rejections import Rejection
from jackpotd.core.rules import WHOLE
from jackpotd.core.state import Contributor, Instance, PendingChange, Status, Transfer
from jackpotd.engine.messages import Accepted, ContributionRequest, Operated, Reply, Taken
from jackpotd.testing.house import House, request
from jackpotd.testing.house_bank import Bank, BooksDifferError
from jackpotd.testing.raffle_templates import random_rules, random_schedule
from jackpotd.testing.templates import MULTIPLIERS, Json, compiled_schedule, rates
from jackpotd.wire.errors import RequestRefused
from jackpotd.wire.parameter_changes import split_changes
from jackpotd.wire.parts import Callback

BRANDS = ("op:a", "op:b", "op:c")
IDS = ("one", "two", "three")
PLAYERS = ("anna", "bert", "caro", "dora")
WEBHOOK = "https://operator.example/results"


class Load:
    """Callers at once, some of whom go away and come back; operators among them, and time that passes.

    `bets` are what was asked, by trace id. Keys are counted from `keys`.
    """

    def __init__(self, house: House, bank: Bank, rng: random.Random, keys: int = 0) -> None:
        self.house, self.bank, self.rng = house, bank, rng
        self.bets: dict[str, Bet] = {}
        self._keys = keys

    async def round(self, callers: int) -> None:
        """So many requests at once, answered or given up; then whoever gave up asks again."""
        gone: list[ContributionRequest] = []
        self.house.clock.now_ms += self.rng.choice((0, 500, 61_000, 3_700_000, 12_000_000))
        async with trio.open_nursery() as nursery:
            for _ in range(callers):
                nursery.start_soon(self._call, gone)
        for asked in gone:
            answer = await self.house.router.contribute(asked)
            if isinstance(answer, Accepted):
                self.bank.book(answer)
                self.bank.seen["came back"] += answer.is_replay

    async def _call(self, gone: list[ContributionRequest]) -> None:
        rng = self.rng
        if rng.random() < 0.25:
            await self._opt_in_or_operate()
            return
        self._keys += 1
        asked = self._request()
        with trio.CancelScope() as scope:
            if rng.random() < 0.2:
                scope.deadline = trio.current_time() + rng.choice((0, 0.0002, 0.001))
            answer = await self.house.router.contribute(asked)
        if scope.cancelled_caught:
            gone.append(asked)
        elif isinstance(answer, Accepted):
            self.bank.book(answer)
            await self._repeat(asked, answer)
        else:
            self.bank.seen["refused"] += 1

    async def _repeat(self, asked: ContributionRequest, answer: Accepted) -> None:
        """A repeat gets the same answer, and nothing more is contributed."""
        if self.rng.random() < 0.2:
            again = await self.house.router.contribute(asked)
            if not isinstance(again, Accepted) or not again.is_replay:
                raise BooksDifferError(f"a repeat was answered {again}")
            if _told(answer) != _told(again):
                raise BooksDifferError(f"a repeat of {answer} was answered {again}")

    def _request(self) -> ContributionRequest:
        rng = self.rng
        asked = request(
            rng.choice(IDS),
            wager=rng.choice((rng.randint(1, 10**10), 10**8, 10**8, 0)),
            key=f"key {self._keys}",
            brand=rng.choice(BRANDS),
            player_id=rng.choice(PLAYERS),
            segments=rng.choice((None, ("vip",), ("new",))),
            currency=rng.choice(list(MULTIPLIERS)),
            with_links=rng.random() < 0.8,
            callback=Callback(WEBHOOK, rng.random() < 0.5) if rng.random() < 0.25 else None,
        )
        self.bets[asked.trace_id] = asked.bet
        return asked

    async def _opt_in_or_operate(self) -> None:
        rng, instance_id = self.rng, self.rng.choice(IDS)
        if rng.random() < 0.2:
            for status in (Status.PAUSED, Status.ACTIVE):
                await self.operate(instance_id, ChangeStatus(0, status, "", "test"))
            return
        if rng.random() < 0.75:
            command = self._command(instance_id)
            if command is not None:
                await self.operate(instance_id, command)
            return
        opt_in = OptIn(0, rng.choice(BRANDS), rng.choice(PLAYERS), None, True, None, None, rates())
        reply: Reply[Taken | Rejection | None] = Reply()
        self.house.shard.opt_in(instance_id, opt_in, reply.resolve)
        await reply.wait()

    async def operate(self, instance_id: str, command: OperatorCommand) -> Operated | Rejection:
        """An operator's command; what it did is booked."""
        found = await self.house.shard.operate(instance_id, command)
        if isinstance(found, Operated):
            self.bank.operated(instance_id, found.events)
        return found

    def _command(self, instance_id: str) -> OperatorCommand | None:
        rng, state = self.rng, self.house.fold.cells[instance_id].state
        pot_id = rng.choice(state.rules.pots).id
        kinds = (Boost, Adjust, Trigger, DecideHeldWin, AskChange)
        kind = rng.choice((*kinds, SetSchedule) if state.rare.schedules else kinds)
        if kind is Boost:
            return Boost(0, pot_id, rng.randint(1, 10**10), "someone", "why")
        if kind is Adjust:
            return Adjust(0, pot_id, rng.randint(-(10**8), 10**8), "someone", "why")
        if kind is AskChange:
            return self._change(instance_id, pot_id)
        if kind is SetSchedule:
            return self._schedule(state)
        self._keys += 1
        if kind is Trigger:
            jackpot = rates()[state.rules.currency]
            winner = Contributor("op:a", rng.choice(PLAYERS), "EUR", rates()["EUR"], jackpot)
            hand = f"hand {self._keys}"
            return Trigger(0, "", pot_id, winner, hand, "someone", "why", ())
        if not state.rare.held:
            return None
        win = rng.choice(state.rare.held)
        pot_id = state.rules.pots[win.pot].id
        return DecideHeldWin(0, win.round_id, pot_id, rng.random() < 0.5, "someone", "why")

    def _schedule(self, state: Instance) -> SetSchedule:
        """Another schedule, or none, for a brand or for the instance; now and then one that a raffle must refuse."""
        rng, brand = self.rng, self.rng.choice(("", *BRANDS))
        now_ms = self.house.clock.now_ms
        document = random_schedule(rng, now_ms, is_raffle=state.rules.raffle is not None)
        new = None if rng.random() < 0.2 else compiled_schedule(document)
        return SetSchedule(0, brand, new, "someone", "why")

    def _change(self, instance_id: str, pot_id: str) -> AskChange | None:
        """A change as the admin calls split it, or nothing where the template does not allow it."""
        rng, state = self.rng, self.house.fold.cells[instance_id].state
        entry = self.house.catalog.instances[instance_id]
        whole: Json = {
            "win_selector_strategy": rng.choice(("Highest", "Lowest", "All")),
            "pots": {pot_id: {"seed_strategy": {"min_reseed_value": rng.choice(("0", "0.7"))}}},
        }
        if state.rules.raffle is not None:
            whole["raffle"] = random_rules(rng, must_last=rng.random() < 0.5)
        document = state.rare.document or bytes(entry.document)
        ids = [pot.id for pot in state.rules.pots]
        pending = [(each.pot, each.changes) for each in state.rare.pending]
        try:
            pieces = split_changes(
                msgspec.json.encode(whole), document, list(entry.brands), ids, pending
            )
        except RequestRefused:
            return None
        self._keys += 1
        parts = tuple(
            PendingChange(f"change {self._keys} {pot}", pot, changes, 0, "someone", "why")
            for pot, changes in pieces
        )
        return AskChange(0, parts, b"{}")

    async def decommission(self) -> None:
        """All money of the first instance goes to the second, which takes it once however often it is sent."""
        state = self.house.fold.cells["one"].state
        to_pot = self.house.fold.cells["two"].state.rules.pots[0].id
        transfers = tuple(
            Transfer(f"transfer {pot}", pot, "two", to_pot, 0, 0, 0)
            for pot in range(len(state.pots))
        )
        weights = (WHOLE,) * len(transfers)
        sent = await self.operate("one", SendTransfers(0, transfers, weights, "someone", "why"))
        if isinstance(sent, Rejection):
            return
        for transfer in sent.state.rare.transfers:
            for _ in range(2):
                await self.operate("two", TakeTransfer(0, "one", transfer))
            await self.operate("one", FinishTransfer(0, transfer.id))
        if self.house.fold.cells["one"].state.rare.transfers:
            raise BooksDifferError("a transfer that was finished is still under way")


def _told(answer: Accepted) -> tuple[object, ...]:
    """What an answer says: the rules beside it may have changed since."""
    outcomes = [
        (outcome.instance_id, outcome.events) if isinstance(outcome, Taken) else outcome
        for outcome in answer.outcomes
    ]
    return (
        answer.trace_id,
        answer.accepted_ms,
        answer.api_version,
        answer.is_asynchronous,
        outcomes,
    )
