"""Raffles with rounds of about a second, and plans that end the server around the ends of their rounds.

One raffle is as most are. One has more prizes than a blink draws, with tickets so cheap that each of them is won. One
has the same beat, so that two are resolved at once, and prizes too small for most currencies. One begins later, and
ends in the middle of a round. And one may have a crowd of entrants, who come in one batch.
"""

from __future__ import annotations

import time
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from .audit import map_sources
from .calls import CutOffError, UnansweredError
from .demo_jackpots import (
    DAILY,
    JACKPOT_CURRENCY,
    JACKPOTS,
    OPERATOR,
    SCALE,
    SITEWIDE,
    TEN_CENTS,
    UNMAPPED,
    Jackpot,
    PotRule,
    RaffleRule,
    Tier,
    as_decimal,
)
from .operations import Maker
from .plans import CLIENTS, Death, Plan

if TYPE_CHECKING:
    from random import Random

    from .book import Book
    from .calls import Caller
    from .operations import Kind

HTTP_CONFLICT: Final = 409
BATCH: Final = "/v2/jackpots/contribute/batch"
CROWDED: Final = 4  # its place among the raffles
SECOND_MS: Final = 1000
CENT: Final = SCALE // 100
PRIZES_OF_MANY: Final = 1500
STAGGER_MS: Final = 400  # so that not all rounds end at once
BRIEF_MS: Final = (3_000, 9_500)  # from the creation to the beginning and to the end

_POT: Final = PotRule("main", Fraction(70, 100), 100 * SCALE)
_COMMON: Final = RaffleRule(
    SECOND_MS,
    (Tier(1, 5 * SCALE), Tier(3, share=Fraction(1, 20)), Tier(4, SCALE)),
)
_MANY: Final = RaffleRule(
    2 * SECOND_MS,
    (Tier(1, share=Fraction(1, 2)), Tier(PRIZES_OF_MANY, CENT)),
    cost=2 * CENT,
    one_prize_per_player=False,
)
_SMALL: Final = RaffleRule(
    2 * SECOND_MS,
    (Tier(40, CENT * 7 // 10), Tier(40, 3 * CENT)),
    cost=SCALE // 2,
    one_prize_per_player=False,
)
_CROWDED: Final = RaffleRule(
    4 * SECOND_MS,
    (Tier(1, share=Fraction(1, 2)), Tier(500, SCALE // 10)),
)


class RaffleScene:
    """Raffles of the test's own beside the demo; the first is linked to the next three.

    Args:
        crowd: how many players come at once, in each life; 0 is no crowd.
    """

    players_read = 16

    def __init__(self, crowd: int = 0) -> None:
        self._crowd = crowd
        self._crowds = 0
        self.jackpots: dict[str, Jackpot] = dict(JACKPOTS)
        self.kinds: list[Kind] = []
        self.raffles: list[Jackpot] = []

    async def build(self, admin: Caller) -> None:
        """Create the raffles, their first rounds to begin now and a little later."""
        now_ms = time.time_ns() // 10**6
        many = await self._create(admin, "many", _MANY, now_ms)
        small = await self._create(admin, "small", _SMALL, now_ms)
        begins_ms, ends_ms = (now_ms + each for each in BRIEF_MS)
        brief = await self._create(admin, "brief", _COMMON, begins_ms, ends_ms=ends_ms)
        links = (many.id, small.id, brief.id)
        common = await self._create(admin, "common", _COMMON, now_ms - STAGGER_MS, links)
        (await admin.put(f"/instances/{common.id}/links", {"linked_instances": links})).successful()
        self.raffles += [common, many, small, brief]
        if self._crowd:
            self.raffles.append(await self._create(admin, "crowded", _CROWDED, now_ms))
        await map_sources(admin, [*UNMAPPED, *self.raffles])
        self.kinds += [
            (common, "v2 source", 30),
            (common, "v2 instance", 10),
            (many, "v1 source", 15),
            (small, "v2 instance", 10),
            (small, "v1 instance", 5),
            (SITEWIDE, "v2 source", 5),
            (DAILY, "v2 source", 5),
        ]

    async def beside(self, gateway: Caller, book: Book, rng: Random) -> None:
        """Another crowd; what becomes of it where the server dies, nobody asks."""
        if not self._crowd:
            return
        self._crowds += 1
        maker = Maker(f"crowd-{self._crowds}", rng, self.kinds)
        made = maker.crowd(self.raffles[CROWDED], self._crowd)
        for each in made:
            book.sending(each)
        try:
            answer = await gateway.post(BATCH, [each.body for each in made])
        except (UnansweredError, CutOffError):
            for each in made:
                book.unanswered(each, cut_off=None)
            return
        for each, part in zip(made, answer.successful(), strict=True):
            book.answered_in_batch(each, part)

    async def rest(self, admin: Caller) -> None:
        """A raffle that is paused resolves nothing; nor does one that has ended."""
        for raffle in self.raffles:
            body = {"status": "Paused", "reason": "a last look"}
            answer = await admin.put(f"/instances/{raffle.id}/status", body)
            if answer.status != HTTP_CONFLICT:
                answer.successful()

    async def _create(
        self,
        admin: Caller,
        name: str,
        rule: RaffleRule,
        starts_ms: int,
        links: tuple[str, ...] = (),
        *,
        ends_ms: int | None = None,
    ) -> Jackpot:
        template = _template(name, rule)
        (await admin.post("/templates", template)).successful()
        path = f"/templates/{name}/publish?owner_id={OPERATOR}"
        (await admin.post(path, {})).successful()
        asked = {
            "template_owner_id": OPERATOR,
            "template_id": name,
            "instance_owner_id": OPERATOR,
            "instance_name": name,
            "schedule": {"timestamp_start": starts_ms, "timestamp_end": ends_ms},
        }
        created = (await admin.post("/templates/instantiate", asked)).successful()
        made = Jackpot(created["id"], f"{name}-alone", TEN_CENTS, (_POT,), links=links, raffle=rule)
        self.jackpots[made.id] = made
        return made


def _template(name: str, rule: RaffleRule) -> dict[str, Any]:
    seed = float(as_decimal(_POT.seed))
    pot = {
        "id": _POT.id,
        "contribution": {"Percentage": 0.7},
        "seed_contribution": {"Percentage": 0.85},
        "seed_strategy": {"initial_seed_value": seed, "min_reseed_value": seed},
        "pot_types": [],
    }
    return {
        "id": name,
        "name": name,
        "owner_id": OPERATOR,
        "currency": JACKPOT_CURRENCY,
        "jackpot_type": "Raffle",
        "contribution_rules": {"opt_in_required": False, "contribution_type": {"Fixed": 0.1}},
        "house_hold_contribution": {"Percentage": 0.3},
        "pots": [pot],
        "raffle": {
            "duration": {"Seconds": rule.duration_ms // SECOND_MS},
            "ticket": {
                "cost": float(as_decimal(rule.cost)),
                "metric": "BaseWager",
                "accumulate": True,
            },
            "prizes": [_prize(tier) for tier in rule.tiers],
            "one_prize_per_player": rule.one_prize_per_player,
        },
    }


def _prize(tier: Tier) -> dict[str, Any]:
    if tier.share is not None:
        return {"count": tier.count, "share": float(tier.share)}
    return {"count": tier.count, "amount": float(as_decimal(tier.amount))}


def plan_life(rng: Random, deaths: tuple[Death, ...], weights: tuple[int, ...]) -> Plan:
    """A life that ends around the end of a round: just before, while prizes are drawn and written, or soon after."""
    has_checkpoints = rng.random() < 0.5
    plan = Plan(
        death=rng.choices(deaths, weights)[0],
        clients=rng.choice((0, 4, 12, CLIENTS)),
        start_share=rng.uniform(0.3, 1.1),
        checkpoint_interval_s=rng.choice((0.01, 0.05)) if has_checkpoints else 2.0,
        checkpoint_rows_max=rng.choice((1, 5, 100)) if has_checkpoints else 2000,
        batch_records_max=rng.choice((1, 2, 4096)),
        looks_around=False,
        raffle=rng.choice((0, 1, 1, 1, 2)),
        lead_s=rng.uniform(0.2, 0.8),
        verify_after=rng.random() < 0.3,
    )
    spread = rng.choice(((-0.1, 0.0), (0.0, 0.03), (0.0, 0.3), (0.0, 0.3), (0.3, 0.8)))
    return replace(plan, offset_s=rng.uniform(*spread))
