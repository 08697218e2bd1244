"""The messages that players send, as the documents have them, or changed."""

from jackpotd.service.demo_data import DEPOSIT

from .connect_data import Json

ENVELOPE = {"msg_type", "source", "msg_name", "operator_id", "brand_id", "player_id", "data"}
BRANDS = ["thrilltech:brand1", "thrilltech:brand2"]


def opt_in(instance_id: str = DEPOSIT, **changes: object) -> Json:
    """The document's first sample, or another one."""
    return {
        "PlayerOptInRequest": {
            "instance_id": instance_id,
            "player_id": "player_00001",
            "brand_id": "thrilltech:brand1",
            "player_country": "MT",
            "opt_in": True,
            **changes,
        }
    }


def opt_in_v2(target: Json | None = None, player: Json | None = None, **changes: object) -> Json:
    return {
        "PlayerOptInRequestV2": {
            "target": target or {"type": "instance", "id": DEPOSIT},
            "operator_id": "thrilltech",
            "player": {
                "id": "player_00001",
                "country": "MT",
                "brand_id": "brand1",
                **(player or {}),
            },
            "opt_in": True,
            **changes,
        }
    }


def tickets(**changes: object) -> Json:
    return {
        "PlayerRaffleTicketsRequest": {
            "player_id": "player_00001",
            "brand_id": "thrilltech:brand1",
            **changes,
        }
    }
