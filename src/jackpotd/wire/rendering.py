"""Core and catalog things as more than one listener shows them."""

from collections.abc import Mapping
from typing import Any

from jackpotd.core.rules import Fixed, Percentage, Variable
from jackpotd.wire.catalog_records import InstanceEntry, Source
from jackpotd.wire.codec import amount
from jackpotd.wire.gateway_messages import SourceAnswer, SourceJackpot


def source_answer(source: Source, owners: Mapping[str, InstanceEntry]) -> SourceAnswer:
    """A source and its jackpots in the order of resolution, each with the owner of the instance."""
    jackpots = [
        SourceJackpot(known.priority, owners[known.instance_id].owner_id, known.instance_id)
        for known in source.jackpots
    ]
    return SourceAnswer(source.owner_id, source.name, source.source_id, jackpots)


def contribution_type(rules: Fixed | Percentage | Variable) -> dict[str, Any]:
    """How an instance takes contributions, externally tagged as in the template."""
    match rules:
        case Fixed(units=value):
            return {"Fixed": amount(value)}
        case Percentage(share=value):
            return {"Percentage": amount(value)}
        case Variable(range=value_range):
            return {
                "Variable": {
                    "min": amount(value_range.minimum),
                    "max": amount(value_range.maximum),
                    "default": amount(value_range.default),
                }
            }
