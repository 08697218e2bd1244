"""What was answered survives any end; what was not happened once or not at all (contract §3).

The server runs as a process and is killed at random moments, over and over, on one directory. The
clients' book, the journal and the HTTP reads must agree after each end, by an oracle of our own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
import trio

from .campaign import Death, plan_round

if TYPE_CHECKING:
    from .campaign import Campaign

ROUNDS: Final = 24
SLOW_CAMPAIGNS: Final = 6
SLOW_ROUNDS: Final = 50
TIMEOUT_S: Final = 180.0
SLOW_TIMEOUT_S: Final = 900.0

KILLS: Final = (Death.READY, Death.SENT, Death.ANSWERED)
ALL: Final = (*KILLS, Death.RECOVERY, Death.TERM)


async def fight(
    campaign: Campaign, rounds: int, deaths: tuple[Death, ...], weights: tuple[int, ...]
) -> None:
    await campaign.begin()
    for _ in range(rounds):
        await campaign.round(plan_round(campaign.rng, deaths, weights))
    await campaign.finish()
    print(dict(campaign.book.tally))  # noqa: T201 - for `pytest -rP`


async def test_sigkill_at_random_moments_loses_nothing_and_repeats_nothing(
    campaign: Campaign,
) -> None:
    """Answered is in the journal once, unanswered at most once, and its key tells which."""
    with trio.fail_after(TIMEOUT_S):
        await fight(campaign, ROUNDS, KILLS, (1, 3, 3))

    assert campaign.book.tally["kills"] == ROUNDS + 1


@pytest.mark.slow
@pytest.mark.parametrize("number", range(SLOW_CAMPAIGNS))
async def test_long_campaigns_with_every_kind_of_end_lose_nothing(
    campaign: Campaign, number: int
) -> None:
    """The same for longer, with kills while the server starts and orderly ends among them."""
    print(f"campaign {number}")  # noqa: T201
    with trio.fail_after(SLOW_TIMEOUT_S):
        await fight(campaign, SLOW_ROUNDS, ALL, (2, 4, 4, 3, 2))
