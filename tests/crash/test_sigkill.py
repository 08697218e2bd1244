"""What was answered survives any end; what was not happened once or not at all (contract §3).

The server runs as a process and is killed at random moments, over and over, on one directory. The
clients' book, the journal and the HTTP reads must agree after each end, by an oracle of our own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
import trio

from .plans import CLIENTS, Death, plan_round

if TYPE_CHECKING:
    from .campaign import Campaign

ROUNDS: Final = 24
ORDERLY_ROUNDS: Final = 6
TOKEN_ROUNDS: Final = 4
SLOW_CAMPAIGNS: Final = 6
SLOW_ROUNDS: Final = 50
LONG_LIVES: Final = 6
LONG_LIFE_ANSWERS: Final = 5000  # long enough for key files to be merged, and 10 MB of journal
TIMEOUT_S: Final = 300.0
SLOW_TIMEOUT_S: Final = 1200.0

SEVERAL: Final = 3
SEVERAL_ROUNDS: Final = 8

KILLS: Final = (Death.READY, Death.SENT, Death.ANSWERED)
ALL: Final = (*KILLS, Death.RECOVERY, Death.TERM)


async def fight(
    campaign: Campaign, rounds: int, deaths: tuple[Death, ...], weights: tuple[int, ...]
) -> None:
    await campaign.begin()
    for _ in range(rounds):
        await campaign.round(plan_round(campaign.rng, deaths, weights))
    await campaign.finish()


async def test_sigkill_at_random_moments_loses_nothing_and_repeats_nothing(
    campaign: Campaign,
) -> None:
    """Answered is in the journal once, unanswered at most once, and its key tells which."""
    with trio.fail_after(TIMEOUT_S):
        await fight(campaign, ROUNDS, KILLS, (1, 3, 3))

    assert campaign.book.tally["kills"] == ROUNDS + 1


@pytest.mark.parametrize("workers", [SEVERAL])
async def test_sigkill_of_one_worker_and_of_all_loses_nothing_and_repeats_nothing(
    campaign: Campaign,
) -> None:
    """The same with several workers, of which one may be killed alone, with its peers in the middle of its links."""
    with trio.fail_after(TIMEOUT_S):
        await fight(campaign, SEVERAL_ROUNDS, (*KILLS, Death.WORKER), (1, 2, 2, 4))

    assert campaign.book.tally["kills"] == SEVERAL_ROUNDS + 1


@pytest.mark.parametrize("workers", [1, SEVERAL])
async def test_sigterm_under_load_answers_everything_or_nothing(campaign: Campaign) -> None:
    """An orderly end cuts no answer off, accepts nothing that it does not answer, and exits 0."""
    with trio.fail_after(TIMEOUT_S):
        await campaign.begin()
        for _ in range(ORDERLY_ROUNDS):
            plan = plan_round(campaign.rng, (Death.TERM,), (1,))
            await campaign.round(replace(plan, clients=CLIENTS))
        await campaign.finish()

    assert campaign.book.tally["stops"] == ORDERLY_ROUNDS


async def test_tokens_outlive_every_kill(campaign: Campaign) -> None:
    """A token from before a kill opens both listeners after it, wherever in its life that came."""
    with trio.fail_after(TIMEOUT_S):
        for _ in range(TOKEN_ROUNDS):
            await campaign.die_young()
        await campaign.begin()
        for _ in range(TOKEN_ROUNDS):
            await campaign.round(plan_round(campaign.rng, (Death.READY, Death.RECOVERY), (1, 2)))
            await campaign.show_tokens()
        await campaign.finish()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, SEVERAL])
@pytest.mark.parametrize("number", range(SLOW_CAMPAIGNS))
async def test_long_campaigns_with_every_kind_of_end_lose_nothing(
    campaign: Campaign, number: int
) -> None:
    """The same for longer, with kills while the server starts and orderly ends among them."""
    with trio.fail_after(SLOW_TIMEOUT_S):
        for _ in range(number):
            await campaign.die_young()
        deaths = ALL if campaign.workers == 1 else (*ALL, Death.WORKER)
        await fight(campaign, SLOW_ROUNDS, deaths, (2, 4, 4, 3, 2, 6)[: len(deaths)])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, SEVERAL])
async def test_long_lives_end_as_well_as_short_ones(campaign: Campaign) -> None:
    """Killed after thousands of answers, with `verify` beside each life, nothing is lost."""
    with trio.fail_after(SLOW_TIMEOUT_S):
        await campaign.begin()
        for _ in range(LONG_LIVES):
            plan = plan_round(campaign.rng, (Death.ANSWERED,), (1,))
            answers = campaign.rng.randint(LONG_LIFE_ANSWERS // 2, LONG_LIFE_ANSWERS)
            await campaign.round(
                replace(plan, threshold=answers, clients=CLIENTS, verify_beside=True)
            )
        await campaign.finish()
