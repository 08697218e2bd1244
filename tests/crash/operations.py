"""What the clients ask for: contributions of every kind and opt-ins, made from a seed.

Every contribution carries a reference of its own, which the journal keeps: by it the oracle finds
what a request has left, whether it was answered or not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from .demo_jackpots import (
    BRANDS,
    DAILY,
    DEPOSIT,
    MONTHLY,
    OPERATOR,
    RATES,
    SITEWIDE,
    SLOTS,
    WEEKLY,
    Jackpot,
    as_decimal,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from .calls import Answer

Json = dict[str, Any]

KEYED_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Player:
    """A player of one brand, whom one client alone acts for: what they do has an order."""

    id: str
    brand: str

    @property
    def brand_path(self) -> str:
        return f"{OPERATOR}:{self.brand}"


@dataclass(slots=True, eq=False)
class Contribute:
    """A contribution, the answers to it, and what is known of its fate."""

    path: str
    body: Json
    reference: str
    key: str | None
    jackpot: Jackpot
    player: Player
    currency: str
    wager: int
    by_source: bool
    with_links: bool
    attempts: int = 0
    answers: list[Answer] = field(default_factory=list)
    was_begun_to_answer: bool = False  # a 200 that was cut off: durable all the same
    is_loose: bool = False  # unanswered in the life under way: nobody has looked what became of it
    is_committed: bool = False  # as far as an answer or the journal of a dead server tells
    batched: list[Json] | None = None  # the answer as an element of a batch

    @property
    def expected_links(self) -> tuple[str, ...]:
        return self.jackpot.links if self.with_links else ()

    @property
    def is_refused(self) -> bool:
        return bool(self.answers) and self.answers[-1].refusal is not None

    @property
    def is_pending(self) -> bool:
        """Its key still has to be asked what became of it."""
        return self.key is not None and self.attempts > 0 and not self.answers

    @property
    def expected_amount(self) -> int | None:
        """Where it depends on the wager alone."""
        takes = self.jackpot.takes
        return round(self.wager * takes) if isinstance(takes, Fraction) else None


@dataclass(slots=True, eq=False)
class OptInOut:
    """An opt-in or opt-out; without a key, so it is not sent again."""

    path: str
    body: Json
    player: Player
    instances: tuple[str, ...]
    opt_in: bool
    is_answered: bool = False


Operation = Contribute | OptInOut
Kind = tuple[Jackpot, str, int]


class Maker:
    """Makes the operations of one client.

    Args:
        name: part of all names.
        rng: decides.
        kinds: what is played, and how, each with its weight.
    """

    def __init__(self, name: str, rng: Random, kinds: Sequence[Kind]) -> None:
        self._name = name
        self._rng = rng
        self._kinds = kinds
        self._made = 0
        self.players: Final = [
            Player(f"player-{name}-{number}", brand) for number in range(2) for brand in BRANDS
        ]

    def operation(self) -> Operation:
        """The next one, of a random kind."""
        rng = self._rng
        weights = [weight for _, _, weight in self._kinds]
        ((jackpot, kind, _),) = rng.choices(self._kinds, weights)
        player = rng.choice(self.players)
        if kind == "optin":
            return self._opt_in(jackpot, player)
        return self._contribution(jackpot, kind, player)

    def crowd(self, jackpot: Jackpot, size: int) -> list[Contribute]:
        """A contribution of each of so many players whom nobody else acts for; without keys, so none is sent again."""
        players = [
            Player(f"player-{self._name}-{number}", BRANDS[number % len(BRANDS)])
            for number in range(size)
        ]
        return [self._contribution(jackpot, "v2 instance", each, keyed=0) for each in players]

    def _contribution(
        self, jackpot: Jackpot, kind: str, player: Player, *, keyed: float = KEYED_SHARE
    ) -> Contribute:
        rng = self._rng
        self._made += 1
        reference = f"round-{self._name}-{self._made}"
        key = f"key-{reference}" if rng.random() < keyed else None
        currency, wager = rng.choice(list(RATES)), rng.randint(1, 5000) * 10**6
        by_source = "source" in kind
        made = Contribute(
            path="/v2/jackpots/contribute" if kind.startswith("v2") else _V1_PATHS[by_source],
            body={},
            reference=reference,
            key=key,
            jackpot=jackpot,
            player=player,
            currency=currency,
            wager=wager,
            by_source=by_source,
            with_links=kind.startswith("v2") and "alone" not in kind,
        )
        made.body = _body_v2(made) if kind.startswith("v2") else _body_v1(made)
        return made

    def _opt_in(self, jackpot: Jackpot, player: Player) -> OptInOut:
        opt_in = self._rng.random() < 0.7
        if jackpot.links:
            body: Json = {
                "target": {"type": "source", "id": jackpot.source},
                "operator_id": OPERATOR,
                "player": {"id": player.id, "brand_id": player.brand, "country": "MT"},
                "opt_in": opt_in,
                "opt_linked": True,
            }
            instances = (jackpot.id, *jackpot.links)
            return OptInOut("/v2/jackpots/optin", body, player, instances, opt_in)
        body = {
            "instance_id": jackpot.id,
            "player_id": player.id,
            "brand_id": player.brand_path,
            "player_country": "MT",
            "opt_in": opt_in,
        }
        if jackpot.is_variable and opt_in:
            body["contribution_value"] = self._rng.randint(10, 500) / 100
        return OptInOut("/jackpots/optin", body, player, (jackpot.id,), opt_in)


_V1_PATHS: Final = {True: "/jackpots/contribute/source", False: "/jackpots/contribute/instance"}
DEMO_KINDS: Final[tuple[Kind, ...]] = (
    (SITEWIDE, "v2 source", 22),
    (SITEWIDE, "v2 source alone", 5),
    (SITEWIDE, "v1 source", 6),
    (DAILY, "v2 source", 24),
    (DAILY, "v2 instance", 10),
    (DAILY, "v2 instance alone", 5),
    (SLOTS, "v1 source", 8),
    (SLOTS, "v1 instance", 4),
    (WEEKLY, "v1 instance", 4),
    (MONTHLY, "v2 instance", 2),
    (DEPOSIT, "v1 source", 4),
    (DAILY, "optin", 3),
    (WEEKLY, "optin", 2),
    (DEPOSIT, "optin", 2),
)


def _body_v1(made: Contribute) -> Json:
    target = made.jackpot.source if made.by_source else made.jackpot.id
    body: Json = {
        "token": "token_00001",
        "brand_id": made.player.brand_path,
        "player_id": made.player.id,
        "player_country": "MT",
        "gameround_id": made.reference,
        "base_wager": float(as_decimal(made.wager)),
        "currency": made.currency,
        "source_id" if made.by_source else "instance_id": target,
        "metadata": {"reference": made.reference},
    }
    if made.key is not None:
        body["idempotency_key"] = made.key
    return body


def _body_v2(made: Contribute) -> Json:
    kind = "source" if made.by_source else "instance"
    target = made.jackpot.source if made.by_source else made.jackpot.id
    options: Json = {}
    if not made.with_links:
        options["allow_linked_contributions"] = False
    if made.key is not None:
        options["idempotency_key"] = made.key
    return {
        "target": {"type": kind, "id": target},
        "operator_id": OPERATOR,
        "player": {
            "id": made.player.id,
            "token": "token_00001",
            "country": "MT",
            "brand_id": made.player.brand,
        },
        "base_wager": {"currency": made.currency, "value": float(as_decimal(made.wager))},
        "source": {"type": "gameround", "id": made.reference},
        "metadata": {"reference": made.reference},
        "options": options,
    }
