"""When and how, in its life, a server ends: plans of one life each, made at random from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

CLIENTS: Final = 24
DEATHS_IN_RECOVERY: Final = (0.3, 1.1)  # of the time that a start takes


class Death(StrEnum):
    """When, in its life, the server has to die; `TERM` is the one that it may prepare for."""

    RECOVERY = "while it starts"
    READY = "right after the ready line"
    SENT = "when so many requests have been sent"
    ANSWERED = "when so many requests have been answered"
    WORKER = "all of it, soon after one of its workers"
    ROUND = "around the end of a raffle's round"
    ROUND_WORKER = "all of it, soon after the worker of a raffle, around the end of a round"
    TERM = "by SIGTERM, when so many requests have been answered"


@dataclass(frozen=True, slots=True)
class Plan:
    """One life; `fuse_s` varies the moment within a request's life, which no event shows.

    Where nobody looks around first, what a crash left open is asked for right after the ready line. Around the end of a
    raffle's round, `raffle` is its place among those of the scene; `lead_s` is played at least, and the moment is
    `offset_s` after the end that comes then, or before it.
    """

    death: Death
    threshold: int = 0
    clients: int = 0
    fuse_s: float = 0.0
    start_share: float = 0.0
    checkpoint_interval_s: float = 2.0
    checkpoint_rows_max: int = 2000
    batch_records_max: int = 4096
    looks_around: bool = True
    verify_beside: bool = False
    raffle: int = 0
    lead_s: float = 0.0
    offset_s: float = 0.0
    verify_after: bool = True

    @property
    def environment(self) -> dict[str, str]:
        return {
            "JACKPOTD_JOURNAL_CHECKPOINT_INTERVAL_S": str(self.checkpoint_interval_s),
            "JACKPOTD_JOURNAL_CHECKPOINT_ROWS_MAX": str(self.checkpoint_rows_max),
            "JACKPOTD_JOURNAL_BATCH_RECORDS_MAX": str(self.batch_records_max),
        }


DYING_YOUNG: Final = Plan(Death.RECOVERY)


def plan_round(rng: Random, deaths: tuple[Death, ...], weights: tuple[int, ...]) -> Plan:
    """A round at random: small thresholds are as likely as large ones, bursts as trickles.

    Small batches part what belongs together, such as a target from its links, by whole commits.
    """
    has_checkpoints, has_small_batches = rng.random() < 0.6, rng.random() < 0.6
    return Plan(
        death=rng.choices(deaths, weights)[0],
        threshold=int(2 ** rng.uniform(3 if has_checkpoints else 0, 8)),
        clients=rng.choice((2, 6, 12, CLIENTS)),
        fuse_s=rng.choice((0.0, rng.uniform(0, 0.03))),
        start_share=rng.uniform(*DEATHS_IN_RECOVERY),
        checkpoint_interval_s=rng.choice((0.01, 0.05)) if has_checkpoints else 2.0,
        checkpoint_rows_max=rng.choice((1, 2, 5)) if has_checkpoints else 2000,
        batch_records_max=rng.choice((1, 1, 1, 2, 3)) if has_small_batches else 4096,
        looks_around=rng.random() < 0.5,
        verify_beside=rng.random() < 0.2,
    )
