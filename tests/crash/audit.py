"""What the server shows over HTTP, held against what the journal makes of it.

The server is quiet during an audit: no client sends. Links that a crash cut off may still be on
their way, so an audit reads the journal before and after and starts again if it has grown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio

from .demo_jackpots import as_units
from .raffle_audit import check_raffle, read_raffle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .calls import Caller
    from .demo_jackpots import Jackpot
    from .history import History
    from .jackpot_oracle import JackpotAccount
    from .operations import Player
    from .raffle_audit import RaffleShown

WINNERS_MAX = 1000
LOOK_INTERVAL_S = 0.01


@dataclass(frozen=True, slots=True)
class Shown:
    """One reading of everything that an audit looks at."""

    instances: dict[str, Any]
    winners: dict[str, Any]
    players: dict[tuple[str, Player], Any]
    raffles: dict[str, RaffleShown]


async def map_sources(admin: Caller, jackpots: Iterable[Jackpot]) -> None:
    """Give each of these jackpots a source of its own, so its players can be read."""
    mapped, owner = list(jackpots), {"owner_id": "thrilltech"}
    sources = [owner | {"source_name": each.source, "source_id": each.source} for each in mapped]
    created = (await admin.post("/config/sources", sources)).successful()
    assert created["failed"] == []
    for jackpot in mapped:
        assignment = owner | {"source_id": [jackpot.source], "instance_id": jackpot.id}
        assigned = await admin.post("/config/sources/assignjackpot", assignment)
        assert assigned.successful()["failed"] == []


async def audit(
    history: History, gateway: Caller, admin: Caller, players: Iterable[Player]
) -> None:
    """Counts, ledgers, pots, winners and players are what the journal adds up to."""
    asked = list(players)
    while True:
        before = history.read_on()
        shown = await _read(history, gateway, admin, asked)
        if history.read_on() == before and history.is_whole:
            break
        await trio.sleep(LOOK_INTERVAL_S)  # links that a crash has cut off are on their way
    history.check_whole()
    for instance_id, account in history.jackpots.items():
        _check_instance(account, shown.instances[instance_id])
        _check_winners(account, shown.winners[instance_id])
        if account.raffle is not None:
            check_raffle(account, shown.instances[instance_id], shown.raffles[instance_id])
    for (instance_id, player), status in shown.players.items():
        _check_player(history.jackpots[instance_id], player, status)


async def _read(history: History, gateway: Caller, admin: Caller, players: list[Player]) -> Shown:
    shown = Shown({}, {}, {}, {})
    for instance_id, account in history.jackpots.items():
        jackpot = account.jackpot
        if account.raffle is not None:
            shown.raffles[instance_id] = await read_raffle(gateway, admin, account.raffle, jackpot)
        shown.instances[instance_id] = await admin.get(f"/instances/{instance_id}")
        shown.winners[instance_id] = await gateway.get(
            f"/jackpots/instances/jackpot/{instance_id}/latest_winners", {"limit": WINNERS_MAX}
        )
        for player in players:
            path = f"/jackpots/instances/source/{jackpot.source}/brand/{player.brand_path}"
            seen = await gateway.get(path, {"player_id": player.id})
            assert seen["id"] == instance_id
            shown.players[(instance_id, player)] = seen["optin_status"]
    return shown


def _check_instance(account: JackpotAccount, shown: dict[str, Any]) -> None:
    assert shown["contribution_count"] == account.contributions
    ledger = {name: as_units(amount) for name, amount in shown["ledger"].items()}
    assert sum(ledger.values()) == 0
    assert {name: units for name, units in ledger.items() if units} == account.ledger()
    for pot, pot_shown in zip(account.pots, shown["pots"], strict=True):
        assert pot_shown["id"] == pot.rule.id
        assert as_units(pot_shown["current_value"]) == pot.value
        assert as_units(pot_shown["seed_reserve"]) == pot.reserve
        assert as_units(pot_shown["wins"]) == pot.paid
        assert (pot_shown["instance_count"], pot_shown["hits"]) == (pot.cycle, pot.hits)


def _check_winners(account: JackpotAccount, shown: list[dict[str, Any]]) -> None:
    """The latest first."""
    expected = [
        (win.round_id, win.player_id, win.brand, win.at_ms, win.paid)
        for win in reversed(account.winners[-WINNERS_MAX:])
    ]
    found = [
        (
            winner["gameround_id"],
            winner["player_id"],
            winner["brand_id"],
            winner["timestamp"],
            as_units(winner["win_amount"]),
        )
        for winner in shown
    ]
    assert found == expected


def _check_player(account: JackpotAccount, player: Player, shown: dict[str, Any] | None) -> None:
    expected = account.players.get((player.brand_path, player.id))
    if expected is None or shown is None:
        assert expected is None
        assert shown is None
        return
    assert shown["contribution_count"] == expected.count
    assert as_units(shown["contribution_value"]) == expected.value
    assert shown["opted_in"] == expected.opted_in
