"""The demo's players: who they are, where they play, what they stake, and the requests that this makes.

Owns the simulated behaviour. One seeded source of randomness makes the same traffic in every run; only keys and round
ids carry the run's own name, so two runs on one data directory never collide. It must never send anything: that is
`demo_traffic`'s work.
"""

import random
from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal
from itertools import count

import msgspec
from msgspec import Struct

from jackpotd.service.demo_data import BRANDS, DEPOSIT, OPERATOR

PLAYERS = 120
SEED = 1
V1_SHARE = 0.15
UNLINKED_SHARE = 0.1
REPEAT_SHARE = 0.02
SOURCE_WEIGHTS = {"sitewide-casino": 45, "casino-slots": 30, "daily": 15, "deposit": 10}
# Their jackpots, or those linked to them, ask for an opt-in.
SOURCES_WITH_OPT_IN = ("daily", "deposit")

_STAKES = tuple(Decimal(text) for text in ("0.10", "0.20", "0.50", "1", "2", "5", "10", "25"))
_STAKE_WEIGHTS = (10, 20, 25, 20, 12, 8, 4, 1)
_DEPOSITS = tuple(Decimal(text) for text in ("10", "20", "50", "100"))
# What a player may prefer to pay per deposit, in the jackpot's currency; None leaves the default.
_PREFERRED = (None, *(Decimal(text) for text in ("0.2", "0.5", "1", "2", "4.5")))
_COUNTRIES = {
    "EUR": "MT", "USD": "USA", "GBP": "UK", "CAD": "CA", "PLN": "PL",
    "NZD": "NZ", "AUD": "AU", "RON": "RO", "SGD": "SG", "SEK": "SE",
}  # fmt: skip
_SEGMENTS = (["regular"], ["regular", "vip-1"], None)
_ENCODE = msgspec.json.Encoder(decimal_format="number").encode


class Player(Struct, frozen=True):
    """One simulated player; `preferred` is in the player's own currency."""

    number: int
    brand: str
    country: str
    currency: str
    chip: int
    sources: tuple[str, ...]
    preferred: Decimal | None
    segments: list[str] | None

    @property
    def id(self) -> str:
        return f"player_{self.number:05d}"

    @property
    def token(self) -> str:
        return f"token_{self.number:05d}"

    @property
    def brand_path(self) -> str:
        return f"{OPERATOR}:{self.brand}"


class Call(Struct, frozen=True):
    """A request to the gateway, ready to be sent; `is_repeated` asks for the same once more."""

    path: str
    body: bytes
    player_id: str
    is_repeated: bool = False


class Crowd:
    """All players of a run.

    Args:
        rates: the multipliers of the demo's brands; their currencies are the players'.
        run: the name of this run, part of every key and round id.
    """

    def __init__(self, rates: Mapping[str, Decimal], run: str, *, seed: int = SEED) -> None:
        self._random = random.Random(seed)
        self._run = run
        self.players = [self._player(number, rates) for number in range(1, PLAYERS + 1)]

    def _player(self, number: int, rates: Mapping[str, Decimal]) -> Player:
        choose = self._random
        currency = choose.choice(sorted(rates))
        preferred = choose.choice(_PREFERRED)
        return Player(
            number=number,
            brand=choose.choice(BRANDS),
            country=_COUNTRIES.get(currency, "MT"),
            currency=currency,
            chip=_chip(rates[currency]),
            sources=tuple(source for source in SOURCE_WEIGHTS if choose.random() < 0.75)
            or tuple(SOURCE_WEIGHTS),
            preferred=None if preferred is None else _rounded(preferred * rates[currency]),
            segments=choose.choice(_SEGMENTS),
        )

    def opt_ins(self) -> Iterator[Call]:
        """One for each player and source that needs it: v2 with links, and v1 for every third deposit."""
        for player in self.players:
            for source in SOURCES_WITH_OPT_IN:
                if source in player.sources:
                    is_v1 = source == "deposit" and player.number % 3 == 0
                    yield _opt_in_v1(player) if is_v1 else _opt_in_v2(player, source)

    def contributions(self) -> Iterator[Call]:
        """What the players do, one after the other, without an end."""
        choose = self._random
        for number in count(1):
            player = choose.choice(self.players)
            weights = [SOURCE_WEIGHTS[source] for source in player.sources]
            (source,) = choose.choices(player.sources, weights)
            stake = self._stake(source) * player.chip
            is_repeated = choose.random() < REPEAT_SHARE
            name = f"{self._run}-{number}"
            if choose.random() < V1_SHARE:
                body = _contribution_v1(player, source, stake, name)
                yield Call("/jackpots/contribute/source", _ENCODE(body), player.id, is_repeated)
            else:
                with_links = choose.random() >= UNLINKED_SHARE
                body = _contribution_v2(player, source, stake, name, with_links=with_links)
                yield Call("/v2/jackpots/contribute", _ENCODE(body), player.id, is_repeated)

    def _stake(self, source: str) -> Decimal:
        if source == "deposit":
            return self._random.choice(_DEPOSITS)
        (stake,) = self._random.choices(_STAKES, _STAKE_WEIGHTS)
        return stake


def _chip(rate: Decimal) -> int:
    """What one unit of stake is in a currency: nobody bets 0.10 SEK."""
    return 10 if rate > 8 else 5 if rate > 3 else 1


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.1"), ROUND_HALF_UP)


def _opt_in_v1(player: Player) -> Call:
    body: dict[str, object] = {
        "instance_id": DEPOSIT,
        "player_id": player.id,
        "brand_id": player.brand_path,
        "player_country": player.country,
        "opt_in": True,
    }
    if player.preferred is not None:
        body["contribution_value"] = player.preferred
        body["contribution_currency"] = player.currency
    return Call("/jackpots/optin", _ENCODE(body), player.id)


def _opt_in_v2(player: Player, source: str) -> Call:
    body: dict[str, object] = {
        "target": {"type": "source", "id": source},
        "operator_id": OPERATOR,
        "player": {"id": player.id, "brand_id": player.brand, "country": player.country},
        "opt_in": True,
        "opt_linked": True,
    }
    if source == "deposit" and player.preferred is not None:
        body["contribution_preference"] = {"value": player.preferred, "currency": player.currency}
    return Call("/v2/jackpots/optin", _ENCODE(body), player.id)


def _contribution_v1(
    player: Player, source: str, stake: Decimal, name: str
) -> Mapping[str, object]:
    return {
        "token": player.token,
        "brand_id": player.brand_path,
        "player_id": player.id,
        "player_country": player.country,
        "base_wager": stake,
        "currency": player.currency,
        "gameround_id": f"round-{name}",
        "source_id": source,
        "segments": player.segments,
        "idempotency_key": f"demo-{name}",
    }


def _contribution_v2(
    player: Player, source: str, stake: Decimal, name: str, *, with_links: bool
) -> Mapping[str, object]:
    kind = "deposit" if source == "deposit" else "gameround"
    return {
        "target": {"type": "source", "id": source},
        "operator_id": OPERATOR,
        "player": {
            "id": player.id,
            "token": player.token,
            "country": player.country,
            "brand_id": player.brand,
            "segments": player.segments,
        },
        "base_wager": {"currency": player.currency, "value": stake},
        "source": {"type": kind, "id": f"{kind}-{name}"},
        "options": {
            "idempotency_key": f"demo-{name}",
            "allow_linked_contributions": with_links,
        },
    }
