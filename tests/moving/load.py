"""Random work for a neighbourhood: contributions with keys and links, opt-ins, pauses, moves, checkpoints."""

import random
from contextlib import suppress

from jackpotd.core.commands import ChangeStatus, OptIn
from jackpotd.core.money import SCALE
from jackpotd.core.state import Status
from jackpotd.engine.messages import ContributionRequest, OperateMessage, OptInMessage
from jackpotd.testing.house import instance, request
from jackpotd.testing.templates import MULTIPLIERS, random_template, rates

from .neighbourhood import Neighbourhood
from .neighbours import Port, WorkerGone

NAMES = ("one", "two", "three")
LINKED = {"one": ("two", "three"), "two": ("one",), "three": ("two", "one")}
PLAYERS = ("anna", "bert", "caro", "dora", "with\0nul")


def hood_of(rng: random.Random, count: int) -> Neighbourhood:
    """Three instances of random templates, linked to each other, over so many workers."""
    entries = []
    for name in NAMES:
        template = random_template(rng, ["op:a"])
        template["contribution_rules"] |= {"opt_in_required": rng.random() < 0.2}
        entries.append(instance(name, template))
    return Neighbourhood(
        count,
        entries,
        LINKED,
        seed=rng.getrandbits(40),
        transaction_rows_max=rng.choice((1, 3, 100)),
    )


class Load:
    """What clients and people do."""

    def __init__(self, hood: Neighbourhood, rng: random.Random) -> None:
        self.hood = hood
        self.rng = rng
        self.asked: dict[str, ContributionRequest] = {}

    def requests(self, count: int) -> None:
        """So many at once; now and then something else than a contribution."""
        for _ in range(count):
            what = self.rng.random()
            if what < 0.1:
                self._opt_in()
            elif what < 0.15:
                self._pause()
            else:
                self._contribute()

    def _contribute(self) -> None:
        rng, key = self.rng, f"k{len(self.asked)}"
        asked = self.asked[key] = request(
            rng.choice(NAMES),
            wager=rng.choice((0, SCALE, rng.randint(1, 10**10))),
            key=key,
            player_id=rng.choice(PLAYERS),
            currency=rng.choice(list(MULTIPLIERS)),
            with_links=rng.random() < 0.7,
        )
        self.hood.submit(asked)

    def _opt_in(self) -> None:
        rng = self.rng
        command = OptIn(
            0, "op:a", rng.choice(PLAYERS), None, rng.random() < 0.7, None, None, rates()
        )
        self.hood.post(rng.choice(NAMES), OptInMessage(command, lambda _: None))

    def _pause(self) -> None:
        name = self.rng.choice(NAMES)
        for status in (Status.PAUSED, Status.ACTIVE):
            self.hood.post(
                name, OperateMessage(ChangeStatus(0, status, "", "test"), lambda _: None)
            )

    async def move_somewhere(self) -> None:
        """Moves a random instance; a worker may be down, and the move then goes on when it is back."""
        name, to_worker = self.rng.choice(NAMES), self.rng.randrange(len(self.hood.grounds))
        try:
            refused = await self.hood.move(name, to_worker)
        except WorkerGone:
            return
        assert refused is None, refused

    async def checkpoint_somewhere(self) -> None:
        with suppress(WorkerGone):
            await Port(self.hood, self.rng.choice(list(self.hood.workers))).checkpoint()

    def ask_again(self) -> None:
        """Whoever was not answered asks again, if the key was not used."""
        for key, asked in self.asked.items():
            if key not in self.hood.answers:
                self.hood.ask_again(asked)
