"""Currency multipliers of brands, and the default ones (later-facts §1.2)."""

from jackpotd.admin.context import AdminContext
from jackpotd.core.money import SCALE
from jackpotd.core.rejections import Code, Rejection
from jackpotd.edge.exchange import Incoming, Outgoing, answer, page_of
from jackpotd.edge.guard import forbidden, require_reach
from jackpotd.engine.catalog import DEFAULT_CURRENCIES, Catalog, Multipliers
from jackpotd.identity.principal import Principal, Resource
from jackpotd.wire import admin_messages as wire
from jackpotd.wire import codec
from jackpotd.wire.catalog_records import CatalogEntity, Currencies
from jackpotd.wire.errors import RequestRefused, invalid
from jackpotd.wire.gateway_messages import CurrenciesAnswer

_DECODER = codec.decoder(wire.CurrenciesDoc)


class CurrencyTables:
    """The handlers of `/config/currencies`."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context

    async def listing(self, request: Incoming) -> Outgoing:
        """List the currency tables that this account reaches; `default` is everybody's."""
        principal = self._context.reader(request, Resource.CURRENCIES)
        found = [
            _answer(brand, table)
            for brand, table in self._context.catalog.currencies.items()
            if brand == DEFAULT_CURRENCIES or principal.reaches(brand)
        ]
        fields = {"brand_id": lambda table: table.brand_id}
        return answer(page_of(request, found, fields, self._context.list_limit_max))

    async def get(self, request: Incoming) -> Outgoing:
        """Get the multipliers that apply to a brand."""
        principal = self._context.reader(request, Resource.CURRENCIES)
        brand = request.path["brand_id"]
        self._require_known(principal, brand)
        table = self._context.catalog.multipliers_for(brand)
        if table is None:
            raise RequestRefused(Code.CURRENCY_MULTIPLIERS_NOT_FOUND, brand)
        return answer(_answer(brand, table))

    def _require_known(self, principal: Principal, brand: str) -> None:
        if brand == DEFAULT_CURRENCIES:
            return
        require_reach(principal, brand)
        if not self._context.catalog.brand_exists(brand):
            raise RequestRefused(Code.UNSUPPORTED_BRAND, brand)

    async def put(self, request: Incoming) -> Outgoing:
        """Set all multipliers of a brand, or the default ones; they apply from the next contribution on."""
        principal = self._context.writer(request, Resource.CURRENCIES)
        brand = request.path["brand_id"]
        if brand == DEFAULT_CURRENCIES and not principal.is_platform:
            raise forbidden("set the default currencies")
        document = self._context.body(_DECODER, request)
        rates = _rates(document)
        self._require_known(principal, brand)
        entity = Currencies(
            brand_id=brand,
            base_currency=document.base_currency,
            rates=rates,
            updated_ms=self._context.clock(),
        )

        def change(_catalog: Catalog) -> list[CatalogEntity] | Rejection:
            return [entity]

        await self._context.change(principal, change)
        return answer(_answer(brand, self._context.catalog.currencies[brand]))


def _rates(document: wire.CurrenciesDoc) -> dict[str, int]:
    rates = {document.base_currency: SCALE}
    for code, value in document.multipliers.items():
        path = f"$.multipliers.{code}"
        rate = codec.decode_part(codec.IncomingAmount, value, path).units
        if rate <= 0:
            raise invalid(path, "must be greater than 0")
        if code == document.base_currency and rate != SCALE:
            raise invalid(path, "is the base currency, which counts 1")
        rates[code] = rate
    return rates


def _answer(brand: str, table: Multipliers) -> CurrenciesAnswer:
    rates = {code: codec.amount(rate) for code, rate in table.rates.items()}
    return CurrenciesAnswer(brand, table.base_currency, rates)
