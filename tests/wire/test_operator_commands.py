"""Operators' commands between nodes: each arrives as it was sent, whatever its amounts."""

from __future__ import annotations

from typing import get_args

import pytest

from jackpotd.core import commands as core
from jackpotd.core.schedule import DailyRule, Schedule, WeeklyRule
from jackpotd.core.state import Contributor, PendingChange, Status, Transfer
from jackpotd.wire import operator_commands

HUGE = 10**20  # more than 64 bits hold
TRANSFER = Transfer("t:0", 1, "other", "pot", HUGE, 1, 0)
PENDING = PendingChange("c", None, b'{"win_selector_strategy": "All"}', 0, "ann", "why")
SCHEDULE = Schedule(
    1, HUGE, (DailyRule(((2, 3), (4, 5)), 2),), (WeeklyRule(((0, None), (5, ((6, 7),))), 3),)
)
WINNER = Contributor("op:a", "pläyer", "USD", 107620000, 100000000)
COMMANDS: list[core.OperatorCommand] = [
    core.Trigger(0, "", "pot", WINNER, "round", "ann", "why", ()),
    core.DecideHeldWin(0, "round", "pot", True, "ann", "why", "id"),
    core.Boost(0, "pot", HUGE, "ann", "why"),
    core.Adjust(0, "pot", -HUGE, "ann", "why", "id"),
    core.AskChange(0, (PENDING, PENDING), b"{}"),
    core.SendTransfers(0, (TRANSFER,), (10**8,), "ann", "why"),
    core.TakeTransfer(0, "from", TRANSFER),
    core.FinishTransfer(0, "t:0"),
    core.Inherit(0, ""),
    core.SetSchedule(0, "op:a", SCHEDULE, "ann", "why"),
    core.SetSchedule(0, "", None, "ann", "why"),
    core.ChangeStatus(0, Status.PAUSED, "why", "ann"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_a_command_arrives_as_it_was_sent(command: core.OperatorCommand) -> None:
    """All that its sender filled in, and nothing else."""
    assert command == operator_commands.decode(*operator_commands.encode(command))


def test_every_kind_of_command_is_tried() -> None:
    """A new kind stands in the list above."""
    assert set(get_args(core.OperatorCommand)) == {type(command) for command in COMMANDS}
