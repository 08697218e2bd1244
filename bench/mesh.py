"""What does a contribution cost its owner when other workers forward it, in frames of 64?

Two processes over a Unix socket: the owner, alone on the server's core, with real shard, router and journal; and a
front beside it that sends frames of 64 contributions of the demo's hottest jackpot, each with a key of its own, a few
frames at a time. Counted is the owner's processor time, its writer thread and the kernel included: decoding, the key,
the decision, the journal, the answer. It moves
less than the rate does on a busy machine, but it has been seen to move by a third from one run to the next.
"""

import sys
from pathlib import Path
from statistics import median

import trio
from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.forwarding.front import FRAME, FRAMES_UNDER_WAY, Round, forward
from bench.reporting.command import Options, run
from bench.reporting.report import Report, Table, goal_of, number
from bench.servers.machine import pinned
from bench.servers.programs import module, running

GOAL_US = 35.0


def measure(options: Options) -> Report:
    """Rounds of forwarding, one after the other, to one owner."""
    report = options.report("mesh", __doc__ or "")
    rounds = forwarded(options)
    figures = {
        "owner_us": [each.owner_us for each in rounds],
        "rate": [each.rate for each in rounds],
    }
    goal = goal_of(
        "the owner's processor time for a forwarded contribution",
        GOAL_US,
        figures["owner_us"],
        "µs",
        is_at_most=True,
    )
    refused = sum(each.refused for each in rounds)
    notes = [f"{refused} contributions were refused"] if refused else []
    return replace(
        report,
        tables=(table(rounds),),
        goals=(goal,),
        notes=(*report.notes, *notes),
        figures=figures,
    )


def forwarded(options: Options) -> list[Round]:
    """Starts the owner on the server's core, and forwards to it from the generator's.

    Raises:
        ProgramFailed: the owner does not start, or does not answer.
    """
    with (
        options.folder("mesh") as folder,
        running(
            module("bench.forwarding.owner", str(folder)), folder, core=options.cores.server
        ) as owner,
        pinned(options.cores.generator),
    ):
        owner.read_ready()
        return trio.run(forward, folder, owner, options)


def table(rounds: list[Round]) -> Table:
    """Each round, and their medians."""
    rows = [(str(place), *_figures([each])) for place, each in enumerate(rounds, 1)]
    columns = ("round", "owner, µs each", "contributions/s", "owner's share of its core")
    title = f"Frames of {FRAME}, up to {FRAMES_UNDER_WAY} under way"
    return Table(title, columns, (*rows, ("median", *_figures(rounds))))


def _figures(rounds: list[Round]) -> tuple[str, str, str]:
    return (
        number(median(each.owner_us for each in rounds)),
        f"{median(each.rate for each in rounds):,.0f}",
        f"{median(each.busy for each in rounds):.0%}",
    )


if __name__ == "__main__":
    run(measure, __doc__)
