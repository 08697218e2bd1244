"""What the tests of Connect's sockets share: envelopes, requests, and the fields of the guide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from tests.contract.raffles import now_ms
from tests.contract.streams import is_a, tickets_request

if TYPE_CHECKING:
    from tests.contract.conftest import Json, Platform
    from tests.contract.streams import Socket

DEPOSIT = "8dcc9f5a-f1c5-466f-83e9-928277d8bfb7"
WEEKLY = "209cc142-ccb2-4e28-a763-0a031b560d74"
DAILY = "0a1cfeea-5b07-4f2b-b2f1-2e4cd2aa991d"
SITEWIDE = "bdfa6295-d5a5-4c54-98bf-046355ce0252"
DAILY_DROP = "3c90cb1e-a594-437e-a695-e76acb0e6809"
NOWHERE = "00000000-0000-4000-8000-000000000000"
ENVELOPE = {
    "msg_type",
    "source",
    "msg_name",
    "operator_id",
    "brand_id",
    "player_id",
    "data",
    "timestamp",
}
UPDATE_FIELDS = {
    "id",
    "status",
    "jackpot_type",
    "currency",
    "allowed_brands",
    "allowed_sources",
    "pots",
    "timestamp_start",
    "timestamp_end",
    "last_updated",
}
WIN_FIELDS = {
    "brand_id",
    "player_id",
    "source_id",
    "instance_id",
    "jackpot_name",
    "jackpot_currency",
    "timestamp",
    "win_pot_id",
    "win_amount",
    "currency_multipliers",
    "win_withheld",
    "community_winners",
    "games_in_jackpot",
    "seed",
    "metadata",
}
OPT_IN_FIELDS = {
    "instance_id",
    "player_id",
    "player_brand_id",
    "preferred_contribution_value",
    "opted_in",
    "last_updated",
}
MORE_OPT_IN_FIELDS = {"ext_player_id", "contribution_count", "contribution_value"}
TWENTY_CENTS: Any = {"contribution_type": {"Fixed": 0.2}}
VARIABLE: Any = {
    "contribution_type": {"Variable": {"min": 0.1, "max": 5, "default": 0.1}},
    "opt_in_required": True,
}

SUBSCRIBE_TO_ALL = """
{
"SubscribeRequest": {
"events": [{
"source": "thrillpots",
"event_type": "*"
}]
}
}
"""
SUBSCRIBE_TO_UPDATES = SUBSCRIBE_TO_ALL.replace('"*"', '"JackpotUpdate"')


def assert_envelope(
    message: Json, msg_type: str, msg_name: str, player_id: str | None, brand: str = "brand1"
) -> Any:
    """The data of a message whose envelope is as documented, with `event_id` on events."""
    found = dict(message)
    data = found.pop("data")
    if msg_type == "Event":
        assert str(UUID(found.pop("event_id"))) == message["event_id"]
    assert set(found) == ENVELOPE - {"data"}
    assert abs(found.pop("timestamp") - now_ms()) < 60_000
    assert found == {
        "msg_type": msg_type,
        "source": "thrillpots",
        "msg_name": msg_name,
        "operator_id": "thrilltech",
        "brand_id": brand,
        "player_id": player_id,
    }
    return data


def assert_error(
    message: Json, msg_name: str, status: int, code: str | None, player_id: str
) -> None:
    """A documented error, which names the request."""
    data = assert_envelope(message, "Error", msg_name, player_id)
    assert set(data) - {"instance_id"} == {"status_code", "code", "message"}
    assert data["status_code"] == status, data
    assert isinstance(data["message"], str)
    if code is not None:
        assert data["code"] == code, data


def opt_in_request(player_id: str, instance_id: str, **changes: object) -> Json:
    body: Json = {
        "instance_id": instance_id,
        "player_id": player_id,
        "brand_id": "thrilltech:brand1",
        "player_country": "MT",
        "opt_in": True,
    }
    return {"PlayerOptInRequest": body | changes}


def opt_in_v2_request(player_id: str, kind: str, target: str, **changes: object) -> Json:
    body: Json = {
        "target": {"type": kind, "id": target},
        "operator_id": "thrilltech",
        "player": {"id": player_id, "country": "MT", "brand_id": "brand1"},
        "opt_in": True,
    }
    return {"PlayerOptInRequestV2": body | changes}


async def certain(platform: Platform, **changes: Any) -> str:
    """The id of a jackpot that every contribution wins: 10.07, and 10 is the next seed."""
    return await platform.jackpot(pots=[platform.pot(odds=1)], rules=TWENTY_CENTS, **changes)


async def still_answers(socket: Socket, player_id: str) -> None:
    """The socket is open and does what it is there for."""
    await socket.send(tickets_request(player_id))
    await socket.until(is_a("PlayerRaffleTicketListResponse"))
