"""Operators' commands as one node hands them to another: what a sender fills in, and nothing else.

JSON, like records and rows, because amounts have no size. A trigger travels without its round, its secrets and its
crowd: the owner of the instance adds them.
"""

import msgspec
from msgspec import Struct

from jackpotd.core import commands as core
from jackpotd.core.state import Contributor


class _Trigger(Struct, frozen=True):
    """What a sender knows of a trigger."""

    at_ms: int
    pot_id: str
    winner: Contributor
    reference_id: str
    by: str
    reason: str


_PLAIN = (
    core.DecideHeldWin,
    core.Boost,
    core.Adjust,
    core.AskChange,
    core.SendTransfers,
    core.TakeTransfer,
    core.FinishTransfer,
    core.Inherit,
    core.SetSchedule,
    core.ChangeStatus,
)
_TRIGGER = core.Trigger.__name__
_ENCODER = msgspec.json.Encoder()
_TRIGGER_DECODER = msgspec.json.Decoder(_Trigger)
_DECODERS: dict[str, msgspec.json.Decoder[core.OperatorCommand]] = {
    kind.__name__: msgspec.json.Decoder(kind) for kind in _PLAIN
}


def encode(command: core.OperatorCommand) -> tuple[str, bytes]:
    """The name of a command's kind, and its fields."""
    if isinstance(command, core.Trigger):
        known = _Trigger(
            command.at_ms,
            command.pot_id,
            command.winner,
            command.reference_id,
            command.by,
            command.reason,
        )
        return _TRIGGER, _ENCODER.encode(known)
    return type(command).__name__, _ENCODER.encode(command)


def decode(kind: str, data: bytes) -> core.OperatorCommand:
    """A command of another node, as it was before its owner stamps it."""
    if kind == _TRIGGER:
        known = _TRIGGER_DECODER.decode(data)
        return core.Trigger(
            at_ms=known.at_ms,
            round_id="",
            pot_id=known.pot_id,
            winner=known.winner,
            reference_id=known.reference_id,
            by=known.by,
            reason=known.reason,
            streams=(),
        )
    return _DECODERS[kind].decode(data)
