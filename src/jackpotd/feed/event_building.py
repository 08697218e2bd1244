"""Events of the gateway's stream, made from records of the journal and the catalog as it stands (contract §6).

One event for each pot won, one for each brand that won in a raffle's round, one for each opt-in and opt-out. Amounts
are in the jackpot's currency; who may see an event is what the jackpot allows when it is made.
"""

from collections.abc import Callable, Iterator

import structlog
import trio
from msgspec import Raw

from jackpotd.core.events import RoundResolved
from jackpotd.core.money import SCALE
from jackpotd.core.state import Definition
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.places import Definitions
from jackpotd.engine.winners import round_row, winner_rows
from jackpotd.wire import codec, raffle_events, records
from jackpotd.wire.codec import NULL, amount
from jackpotd.wire.event_records import CommunityPaid, Contributed, OptInChanged, PotWon
from jackpotd.wire.feed_bodies import JackpotWinData, OptInData, Payout, currencies_answer
from jackpotd.wire.feed_events import Kind, LoggedEvent
from jackpotd.wire.gateway_messages import CurrenciesAnswer
from jackpotd.wire.records import Entry

_log = structlog.get_logger("jackpotd.feed")

CATALOG_POLL_S = 0.05

ReadCause = Callable[[int, int], bytes | None]
"""A record by worker and sequence number; None where that journal is not there, or does not have it."""


class UnknownInstance(Exception):
    """The catalog does not name an instance yet that a journal has entries of."""

    def __init__(self, instance_id: str) -> None:
        super().__init__(instance_id)
        self.instance_id = instance_id


class EventBuilder:
    """Makes events.

    Args:
        catalog: a copy that follows the edge's.
        definitions: of that catalog.
        read_cause: reads what caused the entry of a link.
    """

    def __init__(self, catalog: Catalog, definitions: Definitions, read_cause: ReadCause) -> None:
        self._catalog = catalog
        self._definitions = definitions
        self._read_cause = read_cause

    def definition(self, instance_id: str) -> Definition:
        """Who an instance is.

        Raises:
            UnknownInstance: the catalog does not say yet.
        """
        if instance_id not in self._catalog.instances:
            raise UnknownInstance(instance_id)
        return self._definitions.of(instance_id)

    async def known(self, instance_id: str) -> None:
        """Returns once the catalog names an instance: its worker has it from there, so this copy will, too."""
        # Rare and short: only while a change of the catalog is on its way here.
        while instance_id not in self._catalog.instances:  # noqa: ASYNC110
            await trio.sleep(CATALOG_POLL_S)

    def events_of(self, worker: int, entry: Entry) -> list[LoggedEvent]:
        """The events of an entry of a worker's journal, in the order in which they happened.

        Raises:
            UnknownInstance: the catalog does not know the instance yet.
        """
        found: list[LoggedEvent] = []
        for place, event in enumerate(entry.events):
            if isinstance(event, PotWon):
                found.append(self._win(worker, entry, event, _community(entry, place, event)))
            elif isinstance(event, records.RoundResolved):
                found += self._round(entry.instance_id, event)
            elif isinstance(event, OptInChanged):
                found += self._opt_in(entry.instance_id, event)
        return found

    def _win(
        self, worker: int, entry: Entry, won: PotWon, community: CommunityPaid | None
    ) -> LoggedEvent:
        definition = self.definition(entry.instance_id)
        rules = definition.rules
        first = entry.events[0]
        contributed = first if isinstance(first, Contributed) else None
        data = JackpotWinData(
            brand_id=won.brand,
            player_id=won.player_id,
            source_id=None if contributed is None else contributed.source_id,
            instance_id=definition.instance_id,
            jackpot_name=definition.name,
            jackpot_currency=rules.currency,
            timestamp=won.at_ms,
            win_pot_id=rules.pots[won.pot].id,
            win_amount=amount(won.paid),
            currency_multipliers=self._used_multipliers(won, rules.currency),
            games_in_jackpot=list(dict.fromkeys(self._catalog.sources_of(definition.instance_id))),
            seed=amount(won.seed),
            win_withheld=won.is_withheld,
            seed_deficit=amount(won.deficit),
            community_winners=_winners(community, rules.currency),
            metadata=NULL if contributed is None else self._event_metadata(worker, entry),
        )
        return self._logged(
            Kind.WIN, won.at_ms, definition, Raw(codec.encode(data)), won.brand, won.player_id
        )

    def _used_multipliers(self, won: PotWon, currency: str) -> CurrenciesAnswer | None:
        """The brand's multipliers, with those by which this win was converted, should they have changed since."""
        known = self._catalog.multipliers_for(won.brand)
        if known is None:
            return None
        used = {**known.rates, currency: won.jackpot_rate, won.currency: won.player_rate}
        # Against another base currency they would make no sense beside the others.
        is_same_base = used.get(known.base_currency, SCALE) == SCALE
        rates = used if is_same_base else known.rates
        return currencies_answer(won.brand, known.base_currency, rates)

    def _event_metadata(self, worker: int, entry: Entry) -> Raw:
        """That of the request: a link's entry does not have it, its cause does."""
        if entry.request is not None:
            return entry.request.event_metadata
        if entry.cause is None:
            return NULL
        holder = worker if entry.worker is None else entry.worker
        data = self._read_cause(holder, entry.cause)
        cause = None if data is None else records.decode(data)
        if not isinstance(cause, Entry) or cause.request is None:
            _log.warning("event without metadata: no cause", worker=holder, seq=entry.cause)
            return NULL
        return cause.request.event_metadata

    def _round(self, instance_id: str, resolved: records.RoundResolved) -> list[LoggedEvent]:
        definition = self.definition(instance_id)
        (event,) = records.to_events((resolved,))
        assert isinstance(event, RoundResolved)  # noqa: S101 - narrows the type
        winners = [row for _, row in winner_rows([event])]
        wins = raffle_events.raffle_wins(
            definition, round_row(event, 0), winners, self._multipliers
        )
        return [
            self._logged(
                Kind.RAFFLE_WIN, event.at_ms, definition, Raw(codec.encode(data)), data.brand_id, ""
            )
            for data in wins
        ]

    def _multipliers(self, brand: str) -> CurrenciesAnswer | None:
        known = self._catalog.multipliers_for(brand)
        if known is None:
            return None
        return currencies_answer(brand, known.base_currency, known.rates)

    def _opt_in(self, instance_id: str, changed: OptInChanged) -> Iterator[LoggedEvent]:
        """Its event; none of one that was journalled before its record said what the player had contributed."""
        if changed.count is None or changed.value is None:
            return
        data = OptInData(
            instance_id=instance_id,
            player_id=changed.player_id,
            ext_player_id=changed.player_id,
            player_brand_id=changed.brand,
            preferred_contribution_value=NULL
            if changed.preferred is None
            else amount(changed.preferred),
            contribution_count=changed.count,
            contribution_value=amount(changed.value),
            opted_in=changed.opted_in,
            last_updated=changed.at_ms,
        )
        yield self._logged(
            Kind.OPT_IN,
            changed.at_ms,
            self.definition(instance_id),
            Raw(codec.encode(data)),
            changed.brand,
            changed.player_id,
        )

    def _logged(
        self,
        kind: Kind,
        at_ms: int,
        definition: Definition,
        data: Raw,
        brand: str,
        player_id: str,
    ) -> LoggedEvent:
        return LoggedEvent(
            kind=kind,
            at_ms=at_ms,
            instance_id=definition.instance_id,
            owner_id=definition.owner_id,
            brands=tuple(sorted(definition.rules.allowed_brands)),
            brand=brand,
            player_id=player_id,
            data=data,
        )


def _community(entry: Entry, place: int, won: PotWon) -> CommunityPaid | None:
    """What the community got of the pot that was won at this place: it stands right before, if there is any."""
    before = entry.events[place - 1] if place else None
    return before if isinstance(before, CommunityPaid) and before.pot == won.pot else None


def _winners(community: CommunityPaid | None, currency: str) -> list[Payout] | None:
    if community is None:
        return None
    return [
        Payout(each.winner.player_id, each.winner.brand, currency, amount(each.paid))
        for each in community.payouts
    ]
