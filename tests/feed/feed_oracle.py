"""What journals must have told the feed, worked out from every record as plain JSON, place by place.

It shares no code with the tail: no filter, no structs, no catalog. Amounts are exact decimals.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Json = Any
SCALE = Decimal(10**8)
STATUS = {
    "CONTRIBUTION_REJECTED": 400,
    "GAME_NOT_FOUND": 404,
    "SOURCE_JACKPOT_NOT_FOUND": 404,
    "SOURCE_JACKPOTS_NOT_ALLOWED": 403,
    "UNSUPPORTED_BRAND": 403,
    "CURRENCY_MULTIPLIERS_NOT_FOUND": 404,
    "JACKPOT_NOT_FOUND": 404,
    "INVALID_STATE": 409,
    "WALLET_NOT_CONFIGURED": 409,
    "SYSTEM_ERROR": 500,
}


def plain(data: bytes) -> Json:
    """JSON with exact numbers."""
    return json.loads(data, parse_float=Decimal, parse_int=Decimal)


def money(units: int | Decimal) -> Decimal:
    return Decimal(units) / SCALE


@dataclass(frozen=True)
class Jackpot:
    """What the catalog says of an instance."""

    id: str
    name: str
    owner_id: str
    currency: str
    pots: tuple[str, ...]
    is_raffle: bool
    brands: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass
class Expected:
    """What is expected of one worker: events and deliveries; `totals` are the players' contributions so far."""

    events: list[Json] = field(default_factory=list)
    deliveries: list[tuple[str, Json]] = field(default_factory=list)
    open_requests: dict[int, list[Any]] = field(default_factory=dict)
    totals: dict[tuple[str, str, str], tuple[Decimal, Decimal]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)


class FeedOracle:
    """Reads whole journals.

    Args:
        jackpots: the catalog's instances.
        rates: the multipliers of each brand, in units, and of `default`; the base currency is EUR.
        journals: all records of each worker, the genesis at 0.
    """

    def __init__(
        self,
        jackpots: Mapping[str, Jackpot],
        rates: Mapping[str, Mapping[str, int]],
        journals: Mapping[int, Sequence[bytes]],
    ) -> None:
        self._jackpots = jackpots
        self._rates = rates
        self._journals = journals

    def expected(self, worker: int) -> Expected:
        """What the journal of a worker tells."""
        found = Expected()
        for seq, data in enumerate(self._journals[worker]):
            if seq:
                self._read(worker, seq, plain(data), found)
        return found

    def _read(self, worker: int, seq: int, record: Json, found: Expected) -> None:
        match record[0]:
            case "E":
                self._entry(worker, seq, record, found)
            case "Y":
                _, _, request, instance_id, code, message = record
                self._refused(found, _wanted(request), instance_id, code, message)
            case "L" if record[6] is None:
                _, cause, _, instance_id, code, message, _ = record
                self._refused(
                    found, found.open_requests.get(int(cause)), instance_id, code, message
                )
            case "R":
                _, cause, _, _, instance_id, events, code, message = record
                wanted = found.open_requests.get(int(cause))
                if events is None:
                    self._refused(found, wanted, instance_id, code, message)
                else:
                    self._result(found, wanted, instance_id, events)
            case "S":
                found.open_requests.pop(int(record[1]), None)

    def _entry(self, worker: int, seq: int, record: Json, found: Expected) -> None:
        _, instance_id, events, request, links, cause, _, other = record
        jackpot = self._jackpots[instance_id]
        community: Json = None
        for event in events:
            found.seen[event[0]] += 1
            if event[0] == "p":
                community = event
            elif event[0] == "w":
                found.events.append(self._win(worker, jackpot, record, event, community))
                community = None
            elif event[0] == "j":
                found.events += self._raffle(jackpot, event)
            elif event[0] == "o":
                found.events.append(self._opt_in(jackpot, event, found))
            elif event[0] == "c":
                whose = (instance_id, event[3], event[4])
                count, value = found.totals.get(whose, (Decimal(0), Decimal(0)))
                found.totals[whose] = (count + 1, value + event[7])
        if request is not None and request[12] is not None:
            wanted = _wanted(request)
            self._result(found, wanted, instance_id, events)
            if links:
                found.open_requests[seq] = wanted
        elif cause is not None and other is None:
            self._result(found, found.open_requests.get(int(cause)), instance_id, events)

    # Events.

    def _win(
        self, worker: int, jackpot: Jackpot, record: Json, event: Json, community: Json
    ) -> Json:
        _, at_ms, _, brand, player, currency, pot, _, paid, rate, own_rate, *rest = event
        _, deficit, seed, _, _, withheld, _ = rest
        is_of_contribution = record[2][0][0] == "c"
        multipliers = {code: money(units) for code, units in self._of_brand(brand).items()}
        return {
            "kind": "JackpotWinEvent",
            "at_ms": at_ms,
            "owner_id": jackpot.owner_id,
            "brands": list(jackpot.brands),
            "brand": brand,
            "player_id": player,
            "data": {
                "brand_id": brand,
                "player_id": player,
                "source_id": record[2][0][11] if is_of_contribution else None,
                "instance_id": jackpot.id,
                "jackpot_name": jackpot.name,
                "jackpot_currency": jackpot.currency,
                "timestamp": at_ms,
                "win_pot_id": jackpot.pots[int(pot)],
                "win_amount": money(paid),
                "currency_multipliers": {
                    "brand_id": brand,
                    "base_currency": "EUR",
                    "multipliers": multipliers
                    | {currency: money(rate), jackpot.currency: money(own_rate)},
                },
                "games_in_jackpot": list(jackpot.sources),
                "seed": money(seed),
                "win_withheld": withheld,
                "seed_deficit": money(deficit),
                "community_winners": None
                if community is None
                else [
                    {
                        "player_id": payout[2][1],
                        "brand_id": payout[2][0],
                        "currency": jackpot.currency,
                        "win_amount": money(payout[4]),
                    }
                    for payout in community[4]
                ],
                "metadata": self._metadata(worker, record) if is_of_contribution else None,
            },
        }

    def _opt_in(self, jackpot: Jackpot, event: Json, found: Expected) -> Json:
        _, at_ms, brand, player, opted_in, preferred, _, count, value = event
        if (
            len(self._journals) == 1
        ):  # nobody came from elsewhere with what they had contributed there
            known = found.totals.get((jackpot.id, brand, player), (0, 0))
            assert (count, value) == known
        return {
            "kind": "OptInEvent",
            "at_ms": at_ms,
            "owner_id": jackpot.owner_id,
            "brands": list(jackpot.brands),
            "brand": brand,
            "player_id": player,
            "data": {
                "instance_id": jackpot.id,
                "player_id": player,
                "ext_player_id": player,
                "player_brand_id": brand,
                "preferred_contribution_value": None if preferred is None else money(preferred),
                "contribution_count": count,
                "contribution_value": money(value),
                "opted_in": opted_in,
                "last_updated": at_ms,
            },
        }

    def _of_brand(self, brand: str) -> Mapping[str, int]:
        return self._rates.get(brand) or self._rates["default"]

    def _metadata(self, worker: int, record: Json) -> Json:
        _, _, _, request, _, cause, _, other = record
        if request is None:
            holder = worker if other is None else int(other)
            request = plain(self._journals[holder][int(cause)])[3]
        return request[7]

    def _raffle(self, jackpot: Jackpot, event: Json) -> Iterator[Json]:
        _, at_ms, _, _, _, _, _, _, _, prizes, *_ = event
        groups: dict[tuple[str, bool], list[Json]] = {}
        for prize in prizes:
            if prize[7]:
                groups.setdefault((prize[1][0], prize[9]), []).append(prize)
        for (brand, is_withheld), own in groups.items():
            yield {
                "kind": "RaffleWinEvent",
                "at_ms": at_ms,
                "owner_id": jackpot.owner_id,
                "brands": list(jackpot.brands),
                "brand": brand,
                "player_id": "",
                "data": {
                    "brand_id": brand,
                    "instance_id": jackpot.id,
                    "jackpot_name": jackpot.name,
                    "jackpot_currency": jackpot.currency,
                    "currency_multipliers": {
                        "brand_id": brand,
                        "base_currency": "EUR",
                        "multipliers": {
                            code: money(units) for code, units in self._of_brand(brand).items()
                        },
                    },
                    "timestamp": at_ms,
                    "winners": [
                        {
                            "player_id": prize[1][1],
                            "brand_id": brand,
                            "currency": jackpot.currency,
                            "win_amount": money(prize[8]),
                        }
                        for prize in own
                    ],
                    "win_withheld": is_withheld,
                    "metadata": None,
                },
            }

    # Results.

    def _result(
        self, found: Expected, wanted: list[Any] | None, instance_id: str, events: Json
    ) -> None:
        if wanted is None:
            return
        contributed, jackpot = events[0], self._jackpots[instance_id]
        wins = [event for event in events if event[0] == "w"]
        if wanted[2] and not wins:
            return
        issued = contributed[17]
        best = max(wins, key=lambda event: event[8], default=None)
        body = {
            "type": "data",
            "instance_id": instance_id,
            "timestamp": contributed[1],
            "gameround_id": contributed[2],
            "win_amount": money(sum(event[7] for event in wins)),
            "win_pot_id": None if best is None else jackpot.pots[int(best[6])],
            "tickets_awarded": (0 if issued is None else issued[3]) if jackpot.is_raffle else None,
            "win_withheld": any(event[16] for event in wins),
            "contribution_currency": contributed[5],
            "contribution_amount": money(contributed[6]),
            "metadata": wanted[4],
        }
        found.deliveries.append((wanted[1], body))

    def _refused(
        self, found: Expected, wanted: list[Any] | None, instance_id: str, code: str, message: str
    ) -> None:
        if wanted is None or wanted[2]:
            return
        body = {
            "type": "error",
            "status_code": STATUS[code],
            "code": code,
            "message": message,
            "metadata": wanted[4],
            "trace_id": wanted[3],
        }
        if instance_id:
            body["instance_id"] = instance_id
        found.deliveries.append((wanted[1], body))


def _wanted(request: Json) -> list[Any]:
    """Operator, URL, whether wins alone are wanted, trace id, metadata."""
    _, url, wins_alone = request[12]
    return [request[0], url, wins_alone, request[3], request[6]]
