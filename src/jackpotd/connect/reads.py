"""Connect's public reads (contract §7): currencies, sources, the instance behind a source, tickers.

Front ends call them without a token. What is told of an instance is asked of its owner, and durable there; where that
one is away, a ticker shows what the board of the fan-out has last heard.
"""

from typing import Protocol

from msgspec import Struct

from jackpotd.cluster.feed_answering import ticker_of
from jackpotd.connect.node import ConnectNode
from jackpotd.core import money
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.rules import Rules
from jackpotd.core.state import Instance
from jackpotd.edge.exchange import Incoming, Outgoing, answer, page_of, refused_by
from jackpotd.engine.catalog import DEFAULT_CURRENCIES
from jackpotd.wire import codec
from jackpotd.wire import connect_messages as wire
from jackpotd.wire.errors import RequestRefused
from jackpotd.wire.feed_messages import Ticker
from jackpotd.wire.instance_answers import instance_answer, opt_in_status
from jackpotd.wire.rendering import source_answer


class SourcesQuery(Struct, frozen=True):
    owner_id: str
    name: str | None = None
    sort_field: str | None = None
    sort_direction: int | None = None
    page: int | None = None
    limit: int | None = None


class InstanceQuery(Struct, frozen=True):
    player_id: str | None = None
    country_code: str | None = None
    segments: str | None = None


class Tickers(Protocol):
    """What all tickers show: the board."""

    def ticker(self, instance_id: str) -> Ticker | None:
        """The last that is known of an instance; None where nothing is."""
        ...


class Reads:
    """The handlers of the public reads.

    Args:
        node: the platform.
        tickers: what is known of instances without asking their owners.
        list_limit_max: how long a list may be.
    """

    def __init__(self, node: ConnectNode, tickers: Tickers, *, list_limit_max: int) -> None:
        self._node = node
        self._tickers = tickers
        self._list_limit_max = list_limit_max

    async def currencies(self, _request: Incoming) -> Outgoing:
        """Get the default multipliers from the base currency."""
        found = self._node.catalog.currencies.get(DEFAULT_CURRENCIES)
        if found is None:
            raise RequestRefused(Code.CURRENCY_MULTIPLIERS_NOT_FOUND, DEFAULT_CURRENCIES)
        rates = {code: codec.amount(rate) for code, rate in found.rates.items()}
        return answer(wire.DefaultCurrencies(found.updated_ms, found.base_currency, rates))

    async def sources(self, request: Incoming) -> Outgoing:
        """List the sources that an owner can contribute through.

        For a brand: its own, and those of its operator that it does not override. For an operator: all below it.
        """
        owner = request.query.get("owner_id", "")
        if not owner:
            raise RequestRefused(Code.INVALID_REQUEST, "query parameter owner_id is missing")
        name = request.query.get("name")
        catalog = self._node.catalog
        found = [
            source_answer(source, catalog.instances)
            for source in catalog.sources_for(owner)
            if not name or name == source.name
        ]
        fields = {
            "source_id": lambda source: source.source_id,
            "source_name": lambda source: source.source_name,
            "owner_id": lambda source: source.owner_id,
        }
        return answer(page_of(request, found, fields, self._list_limit_max))

    async def instance_by_source(self, request: Incoming) -> Outgoing:
        """Get the instance that a source gives to a player, with the player's opt-in status if one is named."""
        brand = request.path["brand_id"]
        if brand.count(":") != 1:
            raise RequestRefused(Code.INVALID_REQUEST, "brand_id must be operator:brand")
        if not self._node.catalog.brand_exists(brand):
            raise RequestRefused(Code.UNSUPPORTED_BRAND, brand)
        player_id = request.query.get("player_id") or ""
        found = await self._node.shown(
            request.path["source_id"],
            brand,
            request.query.get("country_code") or None,
            tuple(part for part in request.query.get("segments", "").split(",") if part) or None,
            player_id,
        )
        if isinstance(found, Rejection):
            raise refused_by(found)
        state, player = found
        status = opt_in_status(state, brand, player_id, player) if player_id else None
        return answer(instance_answer(state, status))

    async def ticker(self, request: Incoming) -> Outgoing:
        """Get what an instance's ticker shows; amounts are decimal strings."""
        instance_id = request.path["instance_id"]
        if instance_id not in self._node.catalog.instances:
            raise RequestRefused(Code.JACKPOT_NOT_FOUND, instance_id)
        state = await self._node.owners.instance(instance_id)
        if isinstance(state, Instance):
            return answer(self._ticker_answer(state.rules, ticker_of(state)))
        last_heard = self._tickers.ticker(instance_id)
        if last_heard is None:
            raise refused_by(state)
        rules = self._node.definitions.of(instance_id).rules
        return answer(self._ticker_answer(rules, last_heard))

    def _ticker_answer(self, rules: Rules, ticker: Ticker) -> wire.TickerAnswer:
        pots = zip(rules.pots, ticker.values, strict=True)
        return wire.TickerAnswer(
            id=ticker.instance_id,
            jackpot_type="Jackpot" if rules.raffle is None else "Raffle",
            currency=rules.currency,
            pots=[
                wire.PotTicker(
                    id=pot.id,
                    is_progressive=pot.is_progressive,
                    current_value=money.decimal_text(value),
                    community_split=money.decimal_text(sum(each.share for each in pot.community)),
                )
                for pot, value in pots
            ],
            allowed_brands=sorted(rules.allowed_brands),
            allowed_sources=sorted(set(self._node.catalog.sources_of(ticker.instance_id))),
            status=ticker.status,
            timestamp_start=ticker.starts_ms,
            timestamp_end=ticker.ends_ms,
            last_updated=ticker.updated_ms,
        )
