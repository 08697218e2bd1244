"""A set of jackpots and sources in every state that a contribution can meet, twice the same.

Each lane gets a world of its own, so that what one lane did never shows in the answers of the other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from .stage import BRAND, OPERATOR, unique

if TYPE_CHECKING:
    import httpx

    from .stage import Json, Stage

UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIMESTAMP: Final = re.compile(r'"timestamp":\s*\d{13}\b')
HTTP_DATE: Final = re.compile(r"\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT")
PER_CONNECTION: Final = frozenset({"connection", "keep-alive", "transfer-encoding"})


@dataclass(frozen=True)
class World:
    """Ids of jackpots and sources, and a player and a key for the one case that is told."""

    open: str
    private: str
    linked: str  # to `open` and to `private`
    variable: str
    pending: str
    paused: str
    terminated: str
    elsewhere: str  # of another brand
    abroad: str  # of another country
    members: str  # of a segment
    sports: str  # of a vertical
    source: str
    linked_source: str
    abroad_source: str
    paused_source: str
    unmapped_source: str
    player: str = field(default_factory=lambda: unique("player"))
    key: str = field(default_factory=lambda: unique("key"))

    def v1(self, **changes: object) -> Json:
        body: Json = {
            "token": "token_00001",
            "brand_id": BRAND,
            "player_id": self.player,
            "player_country": "MT",
            "gameround_id": "1000",
            "base_wager": 1,
            "currency": "EUR",
        }
        return body | changes

    def v2(self, kind: str, target: str, *, player: Json | None = None, **changes: object) -> Json:
        body: Json = {
            "target": {"type": kind, "id": target},
            "operator_id": OPERATOR,
            "player": {
                "id": self.player,
                "token": "token_00001",
                "country": "MT",
                "brand_id": "brand1",
                **(player or {}),
            },
            "base_wager": {"currency": "EUR", "value": 1},
            "source": {"type": "gameround", "id": "1000"},
        }
        return body | changes

    def keyed(self, kind: str, target: str) -> Json:
        return self.v2(kind, target, options={"idempotency_key": self.key})

    def opt_in(self, target: str, **changes: object) -> Json:
        body: Json = {
            "instance_id": target,
            "player_id": self.player,
            "brand_id": BRAND,
            "player_country": "MT",
            "opt_in": True,
        }
        return body | changes

    def opt_in_v2(self, kind: str, target: str, **changes: object) -> Json:
        body: Json = {
            "target": {"type": kind, "id": target},
            "operator_id": OPERATOR,
            "player": {"id": self.player, "country": "MT", "brand_id": "brand1"},
            "opt_in": True,
        }
        return body | changes

    def anonymous(self, text: str) -> str:
        """The text with this world's names in place of its ids."""
        for each in fields(self):
            text = text.replace(getattr(self, each.name), f"<{each.name}>")
        return text


async def build_world(stage: Stage) -> World:
    async def in_state(status: str) -> str:
        jackpot = await stage.jackpot()
        body = {"status": status, "reason": "a test asks for it"}
        await stage.admin("PUT", f"/instances/{jackpot}/status", body)
        return jackpot

    opened, private = await stage.jackpot(), await stage.jackpot(opt_in_required=True)
    linked = await stage.jackpot()
    await stage.link(linked, opened, private)
    rules = {
        "opt_in_required": True,
        "contribution_type": {"Variable": {"min": 0.1, "max": 5, "default": 0.1}},
        "operator_contribution_percentage": 0,
    }
    abroad, paused = await stage.jackpot(allowed_countries=["UK"]), await in_state("Paused")
    return World(
        open=opened,
        private=private,
        linked=linked,
        variable=await stage.jackpot(contribution_rules=rules),
        pending=await stage.jackpot(status="Pending"),
        paused=paused,
        terminated=await in_state("Terminated"),
        elsewhere=await stage.jackpot(allowed_brands=[f"{OPERATOR}:brand2"]),
        abroad=abroad,
        members=await stage.jackpot(allowed_segments=["vip"]),
        sports=await stage.jackpot(allowed_verticals=["sports"]),
        source=await stage.source(opened),
        linked_source=await stage.source(linked),
        abroad_source=await stage.source(abroad),
        paused_source=await stage.source(paused),
        unmapped_source=await stage.source(),
    )


@dataclass(frozen=True)
class Seen:
    """An answer without what must differ: ids by name, traces by number, no moments."""

    status: int
    headers: list[tuple[str, str]]
    body: Any


class Normaliser:
    """Makes the answers that one lane gave in one case comparable with the other lane's."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._traces: list[str] = []
        self._dates: dict[str, str] = {}

    def __call__(self, response: httpx.Response) -> Seen:
        headers = sorted(
            (name.lower(), value)
            for name, value in response.headers.multi_items()
            if name.lower() not in PER_CONNECTION
        )
        trace = response.headers.get("X-Trace-Id")
        known = [self._header(name, value, trace, response.headers) for name, value in headers]
        return Seen(response.status_code, known, self._body(response))

    def _header(
        self, name: str, value: str, trace: str | None, all_headers: Mapping[str, str]
    ) -> tuple[str, str]:
        if name == "x-trace-id":
            if value not in self._traces:
                self._traces.append(value)
            return name, f"trace {self._traces.index(value)}"
        if name == "date":
            assert HTTP_DATE.fullmatch(value), value
            is_original = self._dates.setdefault(trace or "", value) == value
            return name, "original" if is_original or "X-Trace-Id" not in all_headers else value
        return name, self._anonymous(value)

    def _body(self, response: httpx.Response) -> Any:
        text = self._anonymous(response.text)
        if "json" not in response.headers.get("Content-Type", "") or not text:
            return text
        return json.loads(text, parse_float=str)

    def _anonymous(self, text: str) -> str:
        known = self._world.anonymous(text)
        for number, trace in enumerate(self._traces):
            known = known.replace(trace, f"<trace {number}>")
        return TIMESTAMP.sub('"timestamp":0', UUID.sub("<uuid>", known))
