"""Each round of a raffle is resolved once, with one set of winners and one credit each, whatever dies around its end.

The server runs as a process with raffles whose rounds last about a second, and is killed around their ends, over and
over, on one directory. Players go on contributing; what they were answered, the journal, the rows and the HTTP reads
must agree, by an oracle of our own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
import trio

from .campaign import Campaign
from .plans import Death
from .raffle_campaign import CROWDED, RaffleScene, plan_life

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIVES: Final = {1: 4, 3: 3}
SLOW_CAMPAIGNS: Final = 3
SLOW_LIVES: Final = 60
CROWD: Final = 3000
CROWD_LIVES: Final = 20
TIMEOUT_S: Final = 300.0
SLOW_TIMEOUT_S: Final = 1800.0

ALONE: Final = ((Death.ROUND, Death.RECOVERY), (6, 1))
TOGETHER: Final = ((Death.ROUND, Death.ROUND_WORKER, Death.RECOVERY), (2, 4, 1))


@pytest.fixture
def crowd() -> int:
    """How many players come at once, where a test does not say."""
    return 0


@pytest.fixture
def campaign(tmp_path: Path, seed: int, workers: int, crowd: int) -> Iterator[Campaign]:
    """A campaign with raffles."""
    campaign = Campaign(tmp_path / "data", seed, workers, RaffleScene(crowd))
    yield campaign
    print(f"{campaign.history.last_seq} records, {dict(campaign.book.tally)}")  # noqa: T201


async def fight(campaign: Campaign, lives: int) -> None:
    deaths, weights = ALONE if campaign.workers == 1 else TOGETHER
    await campaign.begin()
    for _ in range(lives):
        await campaign.round(plan_life(campaign.rng, deaths, weights))
    await campaign.finish()


@pytest.mark.parametrize("workers", LIVES)
async def test_round_is_resolved_once_whenever_its_server_dies(campaign: Campaign) -> None:
    """A few lives that end around the end of a round, by SIGKILL of one worker or of all."""
    lives = LIVES[campaign.workers]
    with trio.fail_after(TIMEOUT_S):
        await fight(campaign, lives)

    assert campaign.book.tally["kills"] == lives + 1


@pytest.mark.slow
@pytest.mark.parametrize("workers", LIVES)
@pytest.mark.parametrize("number", range(SLOW_CAMPAIGNS))
async def test_long_campaigns_resolve_each_round_once(campaign: Campaign, number: int) -> None:
    """The same for longer; some of the kills must have come after the end of a round and before its draw was kept."""
    with trio.fail_after(SLOW_TIMEOUT_S):
        for _ in range(number):
            await campaign.die_young()
        await fight(campaign, SLOW_LIVES)

    assert campaign.book.tally["rounds over and unresolved"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", LIVES)
@pytest.mark.parametrize("crowd", [CROWD])
async def test_draw_among_a_crowd_is_held_once_whenever_its_server_dies(campaign: Campaign) -> None:
    """Thousands of entrants in each round, and hundreds of prizes: the kill comes around the end of such a round."""
    with trio.fail_after(SLOW_TIMEOUT_S):
        await campaign.begin()
        for _ in range(CROWD_LIVES):
            deaths, weights = ALONE if campaign.workers == 1 else TOGETHER
            plan = plan_life(campaign.rng, deaths, weights)
            await campaign.round(replace(plan, raffle=CROWDED, lead_s=1 + plan.lead_s, clients=4))
        await campaign.finish()

    assert campaign.book.tally["answered in a batch"] > CROWD
