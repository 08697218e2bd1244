"""A raffle of the core by itself, as large and as fast as one likes, told as the export tells it."""

from collections.abc import Sequence

from jackpotd.core import decide, raffle
from jackpotd.core.commands import Bet, Contribute
from jackpotd.core.events import Contributed, InstanceEvent, Prize
from jackpotd.core.evolve import create, evolve, evolve_player
from jackpotd.core.rejections import Rejection
from jackpotd.core.rules import WHOLE
from jackpotd.core.schedule import Schedule
from jackpotd.core.sealing import unsealed
from jackpotd.core.state import UNKNOWN_PLAYER, Contributor, Definition, Instance, Player, Status
from jackpotd.core.urn import Urn
from jackpotd.engine.consequences import Seals
from jackpotd.service.fairness_lines import FORMAT, Line, Story
from jackpotd.testing.templates import Json, compiled, rates
from jackpotd.testing.vault import SeededVault

from .rehearsal import BORN_MS, as_read

RATES = rates()


class CoreRaffle:
    """Contributions, draws and seals of one raffle; its tickets are counted from its players when a round is over."""

    def __init__(self, template: Json, schedule: Schedule, seed: int = 0) -> None:
        definition = Definition("i", "raffle", "op", "random", "op", BORN_MS, compiled(template))
        self.state: Instance = create(definition, Status.ACTIVE, schedule)
        self.players: dict[tuple[str, str], Player] = {}
        self.lines: list[Line] = [{"type": "export", "format": FORMAT, "units_in_1": WHOLE}]
        self._seals = Seals(SeededVault(seed), "i")
        self._story = Story(self.state)
        self.lines.append(as_read(self._story.birth()))
        self._take(self._seals.missing(self.state, BORN_MS))

    def contribute(self, bet: Bet, at_ms: int) -> bool:
        """Whether it was taken in; a round that is over by then is drawn before."""
        self.pass_time(at_ms)
        who = bet.brand, bet.player_id
        streams = self._seals.streams(self.state)
        command = Contribute(at_ms, "round", streams, bet, RATES)
        player = self.players.get(who, UNKNOWN_PLAYER)
        events = decide.contribute(self.state, player, command)
        if isinstance(events, Rejection):
            return False
        for event in events:
            if isinstance(event, Contributed):
                self.players[who] = evolve_player(player, event)
        self._take(events)
        return True

    def pass_time(self, at_ms: int) -> None:
        """Draws the round that is over by then."""
        due_ms = raffle.due_ms(self.state)
        if due_ms is not None and due_ms <= at_ms:
            self._take([raffle.resolved(self.state, at_ms, self._prizes())])

    def _prizes(self) -> list[Prize]:
        running, stream = self.state.rare.round, self._seals.streams(self.state)[0]
        assert running is not None
        assert stream is not None
        tickets, holders = [0] * running.entrants, [("", "")] * running.entrants
        for who, player in self.players.items():
            if player.tickets is not None and player.tickets.round == running.number:
                entrant = player.tickets.entrant
                tickets[entrant], holders[entrant] = player.tickets.count, who
        return [
            raffle.prize(self.state, drawn, self._winner(*holders[drawn.entrant]), f"prize {at}")
            for at, drawn in enumerate(raffle.draws(self.state, Urn(tickets), stream))
        ]

    def _winner(self, brand: str, player_id: str) -> Contributor:
        last = self.players[brand, player_id].last
        assert last is not None
        return Contributor(brand, player_id, last.currency, last.player_rate, last.jackpot_rate)

    def _take(self, events: Sequence[InstanceEvent]) -> None:
        """These events, and what follows from them, as one entry."""
        found, state = list(events), self.state
        for event in events:
            state = evolve(state, event)
        for event in raffle.next_round(state, state.updated_ms):
            found.append(event)
            state = evolve(state, event)
        for pot in unsealed(state, found):
            found.append(self._seals.sealed(state, pot, state.updated_ms))
            state = evolve(state, found[-1])
        self.state = state
        self.lines += [as_read(line) for line in self._story.told(found)]
