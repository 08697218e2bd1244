"""How long does the core take to decide and apply one contribution to a jackpot of three pots?

`decide` and `evolve`, with everything that the template of the demo's slots asks for: conversion, split into pots,
reserves and house, three draws, wins where a draw tips a pot. No disk, no scheduler, no HTTP. Beside it, what the
engine adds for each contribution: the player, the check of the ledger, the record. Time is that of the processor.
"""

import random
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.reporting.command import Options, run
from bench.reporting.report import Report, Table, goal_of, number
from bench.servers.machine import pinned
from bench.servers.slots import BORN_MS, contribution, record, slots
from jackpotd.core import decide, ledger
from jackpotd.core.commands import Contribute
from jackpotd.core.events import InstanceEvent
from jackpotd.core.evolve import evolve, evolve_player
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import UNKNOWN_PLAYER, Instance, Player

CONTRIBUTIONS = 5_000
GOAL_US = 10

_CORE = "decide + evolve"
_PARTS = (_CORE, "evolve the player", "check of the ledger", "record of the journal, encoded")
_clock = time.thread_time


def measure(options: Options) -> Report:
    """Times rounds of contributions on the server's core."""
    report = options.report("core", __doc__ or "")
    draw = random.Random(options.seed)
    state, seals = slots()
    streams = seals.streams(state)
    commands = [contribution(draw, BORN_MS + at, streams) for at in range(CONTRIBUTIONS)]
    with pinned(options.cores.server):
        players = _play(state, commands)
        rounds = [_round(state, players, commands) for _ in range(options.rounds * 4)]
    figures = dict(zip(_PARTS, zip(*rounds, strict=True), strict=True))
    applied_us = figures[_CORE]
    goal = goal_of(
        "decide + evolve of a three-pot contribution", GOAL_US, applied_us, "µs", is_at_most=True
    )
    rows = tuple((name, *_spread(times)) for name, times in figures.items())
    table = Table(
        f"µs each, rounds of {CONTRIBUTIONS}", ("", "median", "smallest", "largest"), rows
    )
    return replace(
        report,
        tables=(table,),
        goals=(goal,),
        figures={name: list(times) for name, times in figures.items()},
    )


def _spread(figures: tuple[float, ...]) -> tuple[str, str, str]:
    return number(median(figures)), number(min(figures)), number(max(figures))


def _decided(state: Instance, player: Player, command: Contribute) -> list[InstanceEvent]:
    events = decide.contribute(state, player, command)
    if isinstance(events, Rejection):
        raise TypeError(f"the workload is refused: {events}")
    return events


def _play(state: Instance, commands: list[Contribute]) -> dict[str, Player]:
    """The players after the first round, so that those that are timed meet known ones."""
    players: dict[str, Player] = {}
    for command in commands:
        player = players.get(command.bet.player_id, UNKNOWN_PLAYER)
        for event in _decided(state, player, command):
            state, player = evolve(state, event), evolve_player(player, event)
        players[command.bet.player_id] = player
    return players


def _round(
    state: Instance, players: dict[str, Player], commands: list[Contribute]
) -> tuple[float, ...]:
    """µs of each part for one contribution."""
    pairs = [(players[command.bet.player_id], command) for command in commands]
    decided: list[list[InstanceEvent]] = []
    times = [_clock()]
    for player, command in pairs:
        events = _decided(state, player, command)
        for event in events:
            state = evolve(state, event)
        decided.append(events)
    times.append(_clock())
    for (player, _), events in zip(pairs, decided, strict=True):
        after = player
        for event in events:
            after = evolve_player(after, event)
    times.append(_clock())
    for _ in pairs:
        ledger.check(state)
    times.append(_clock())
    for at, events in enumerate(decided):
        record(events, at)
    times.append(_clock())
    return tuple((end - begin) / len(commands) * 1e6 for begin, end in pairwise(times))


if __name__ == "__main__":
    run(measure, __doc__)
