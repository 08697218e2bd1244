"""What an integrator may send to the contribution and opt-in calls, right and wrong: a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from .stage import BATCH, BRAND, OPERATOR, V2

if TYPE_CHECKING:
    from .world import World

V1: Final = "/jackpots/contribute/instance"
V1_ALIAS: Final = "/jackpots/contribute"
V1_SOURCE: Final = "/jackpots/contribute/source"
OPT_IN: Final = "/jackpots/optin"
OPT_IN_V2: Final = "/v2/jackpots/optin"
DIRECT: Final = (V1, V1_ALIAS, V1_SOURCE, V2, OPT_IN, OPT_IN_V2)
NOWHERE: Final = "00000000-0000-4000-8000-000000000000"
PROBLEM: Final = {"Accept": "application/problem+json"}
REPRESENTATION: Final = {"Prefer": "return=representation"}
OVER_LIMIT: Final = b" " * 70_000


@dataclass(frozen=True)
class Step:
    """One request; a `body` of bytes goes as it is, anything else as JSON.

    A status of None is any: nobody has said what it should be, but the lanes must agree.
    """

    status: int | None
    path: str
    body: Any = b""
    headers: Mapping[str, str] | list[tuple[str, str]] = field(default_factory=dict)
    method: str = "POST"
    content_type: str | None = "application/json"
    token: bool = True

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Case = Callable[["World"], list[Step]]


def _plain() -> dict[str, Case]:
    ok, bad = 200, 400
    return {
        "v1 instance": lambda w: [Step(ok, V1, w.v1(instance_id=w.open))],
        "v1 alias": lambda w: [Step(ok, V1_ALIAS, w.v1(instance_id=w.open))],
        "v1 source": lambda w: [Step(ok, V1_SOURCE, w.v1(source_id=w.source))],
        "v1 linked": lambda w: [Step(ok, V1, w.v1(instance_id=w.linked))],
        "v2 instance": lambda w: [Step(ok, V2, w.v2("instance", w.open))],
        "v2 source": lambda w: [Step(ok, V2, w.v2("source", w.source))],
        "v2 linked": lambda w: [Step(ok, V2, w.v2("instance", w.linked))],
        "v2 linked source": lambda w: [Step(ok, V2, w.v2("source", w.linked_source))],
        "v2 links off": lambda w: [
            Step(ok, V2, w.v2("instance", w.linked, options={"allow_linked_contributions": False}))
        ],
        "v2 owner_id": lambda w: [
            Step(
                ok,
                V2,
                {
                    "owner_id" if k == "operator_id" else k: v
                    for k, v in w.v2("instance", w.open).items()
                },
            )
        ],
        "v2 metadata": lambda w: [
            Step(ok, V2, w.v2("instance", w.open, metadata={"a": [1, 2.50, None, "ż\u2028", {}]}))
        ],
        "v1 metadata": lambda w: [Step(ok, V1, w.v1(instance_id=w.open, metadata=[1e2, "x"]))],
        "unknown fields": lambda w: [
            Step(ok, V2, w.v2("instance", w.open, extra=1)),
            Step(ok, V1, w.v1(instance_id=w.open, extra={"a": []})),
        ],
        "wager as string": lambda w: [Step(ok, V1, w.v1(instance_id=w.open, base_wager="1.50"))],
        "wager of zero": lambda w: [Step(ok, V1, w.v1(instance_id=w.open, base_wager=0))],
        "other currency": lambda w: [Step(ok, V1, w.v1(instance_id=w.open, currency="USD"))],
        "negative wager": lambda w: [Step(bad, V1, w.v1(instance_id=w.open, base_wager=-1))],
        "huge wager": lambda w: [
            Step(bad, V1, b'{"base_wager":1e1000000,"instance_id":"' + w.open.encode() + b'"}')
        ],
        "not opted in": lambda w: [Step(bad, V2, w.v2("instance", w.private))],
        "pending": lambda w: [Step(bad, V2, w.v2("instance", w.pending))],
        "paused": lambda w: [Step(bad, V1, w.v1(instance_id=w.paused))],
        "terminated": lambda w: [Step(bad, V2, w.v2("instance", w.terminated))],
        "paused source": lambda w: [Step(bad, V1_SOURCE, w.v1(source_id=w.paused_source))],
        "country": lambda w: [Step(bad, V2, w.v2("instance", w.abroad))],
        "segment": lambda w: [Step(bad, V2, w.v2("instance", w.members))],
        "vertical": lambda w: [Step(bad, V2, w.v2("instance", w.sports))],
        "country by source": lambda w: [Step(403, V2, w.v2("source", w.abroad_source))],
        "unmapped source": lambda w: [Step(404, V2, w.v2("source", w.unmapped_source))],
        "unknown source": lambda w: [Step(404, V1_SOURCE, w.v1(source_id="no-such"))],
        "unknown instance": lambda w: [Step(404, V2, w.v2("instance", NOWHERE))],
        "brand of another jackpot": lambda w: [Step(403, V2, w.v2("instance", w.elsewhere))],
        "brand that is not": lambda w: [
            Step(403, V1, w.v1(instance_id=w.open, brand_id=f"{OPERATOR}:none"))
        ],
        "operator that is not mine": lambda w: [
            Step(403, V2, w.v2("instance", w.open, operator_id="somebody")),
            Step(403, V1, w.v1(instance_id=w.open, brand_id="somebody:brand1")),
        ],
        "currency that is not": lambda w: [Step(404, V1, w.v1(instance_id=w.open, currency="XTS"))],
        "callback": lambda w: [
            Step(bad, V1, w.v1(instance_id=w.open, callback={"web_hook": "https://your.host/x"}))
        ],
    }


def _keys() -> dict[str, Case]:
    def repeated(status: int, **headers: str) -> Case:
        return lambda w: [
            Step(200, V2, w.keyed("instance", w.linked)),
            Step(status, V2, w.keyed("instance", w.linked), headers),
            Step(status, V2, w.keyed("instance", w.linked), headers),
        ]

    return {
        "repeat": repeated(204),
        "repeat with a body": repeated(200, **REPRESENTATION),
        "repeat with several preferences": repeated(
            200, Prefer="respond-async, Return=Representation; foo=1, wait=5"
        ),
        "repeat with another preference": repeated(204, Prefer="return=minimal"),
        "repeat in v1": lambda w: [
            Step(200, V1, w.v1(instance_id=w.open, idempotency_key=w.key)),
            Step(204, V1_ALIAS, w.v1(instance_id=w.open, idempotency_key=w.key)),
            Step(200, V1, w.v1(instance_id=w.open, idempotency_key=w.key), REPRESENTATION),
        ],
        "repeat with preferences in two lines": lambda w: [
            Step(200, V2, w.keyed("instance", w.open)),
            Step(
                200,
                V2,
                w.keyed("instance", w.open),
                [("Prefer", "wait=1"), ("Prefer", "return=representation")],
            ),
        ],
        "reused": lambda w: [
            Step(200, V2, w.keyed("instance", w.open)),
            Step(422, V2, w.keyed("instance", w.linked)),
            Step(422, V2, w.keyed("instance", w.linked), PROBLEM),
        ],
        "key of a refused request": lambda w: [
            Step(400, V2, w.keyed("instance", w.private)),
            Step(200, V2, w.keyed("instance", w.open)),
        ],
        "keys that are none": lambda w: [
            Step(400, V2, w.v2("instance", w.open, options={"idempotency_key": ""})),
            Step(400, V2, w.v2("instance", w.open, options={"idempotency_key": "k" * 256})),
            Step(400, V2, w.v2("instance", w.open, options={"idempotency_key": 5})),
        ],
    }


def _opt_ins() -> dict[str, Case]:
    return {
        "opt in, contribute, opt out": lambda w: [
            Step(200, OPT_IN, w.opt_in(w.private)),
            Step(200, V2, w.v2("instance", w.private)),
            Step(200, OPT_IN, w.opt_in(w.private, opt_in=False)),
            Step(400, V2, w.v2("instance", w.private)),
        ],
        "opt in v2 with links": lambda w: [
            Step(200, OPT_IN_V2, w.opt_in_v2("instance", w.linked, opt_linked=True)),
            Step(200, OPT_IN_V2, w.opt_in_v2("source", w.linked_source, opt_in=False)),
        ],
        "preference": lambda w: [
            Step(200, OPT_IN, w.opt_in(w.variable, contribution_value="0.3")),
            Step(200, V1, w.v1(instance_id=w.variable)),
            Step(400, OPT_IN, w.opt_in(w.variable, contribution_value="7")),
            Step(
                200,
                OPT_IN_V2,
                w.opt_in_v2("instance", w.variable, contribution_preference={"value": 9}),
            ),
        ],
        "opt in refused": lambda w: [
            Step(400, OPT_IN, w.opt_in(w.pending)),
            Step(200, OPT_IN_V2, w.opt_in_v2("instance", w.terminated)),
            Step(404, OPT_IN, w.opt_in(NOWHERE)),
            Step(404, OPT_IN_V2, w.opt_in_v2("source", w.unmapped_source)),
            Step(403, OPT_IN, w.opt_in(w.elsewhere)),
            Step(400, OPT_IN, w.opt_in(w.open, opt_in="yes")),
            Step(400, OPT_IN_V2, w.opt_in_v2("game", w.open)),
            Step(403, OPT_IN, w.opt_in(w.open, brand_id="somebody:brand1")),
        ],
    }


MALFORMED: Final = (
    b"",
    b" ",
    b"{",
    b"[]",
    b"null",
    b"1",
    b'"text"',
    b"{}",
    b"{}{}",
    b'{"trailing": "comma",}',
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b"\x00",
    b"[" * 50_000,
    b'{"a":"\xff"}',
)


def _bodies() -> dict[str, Case]:
    def step(path: str, raw: bytes, status: int = 400) -> Case:
        return lambda _: [Step(status, path, raw)]

    def dropping(name: str) -> Case:
        return lambda w: [
            Step(400, V2, {k: v for k, v in w.v2("instance", w.open).items() if k != name}),
            Step(400, V2, w.v2("instance", w.open) | {name: 5}),
            Step(400, V2, w.v2("instance", w.open) | {name: None}, PROBLEM),
        ]

    def dropping_v1(name: str) -> Case:
        return lambda w: [
            Step(400, V1, {k: v for k, v in w.v1(instance_id=w.open).items() if k != name}),
            Step(400, V1, w.v1(instance_id=w.open) | {name: [{}]}),
        ]

    return {
        **{f"{path} {raw[:12]!r}": step(path, raw) for path in DIRECT for raw in MALFORMED},
        **{f"{path} too large": step(path, OVER_LIMIT, 413) for path in DIRECT},
        **{
            f"v2 without {name}": dropping(name)
            for name in ("target", "operator_id", "player", "base_wager", "source")
        },
        **{
            f"v1 without {name}": dropping_v1(name)
            for name in ("token", "brand_id", "player_id", "player_country", "currency")
        },
        "brand without operator": lambda w: [
            Step(400, V1, w.v1(instance_id=w.open, brand_id=brand)) for brand in ("", ":", "brand1")
        ],
        "brand of v2 with operator": lambda w: [
            Step(400, V2, w.v2("instance", w.open, player={"brand_id": BRAND}))
        ],
    }


def _exchanges() -> dict[str, Case]:
    def typed(status: int, content_type: str | None) -> Case:
        return lambda w: [
            Step(status, V2, w.v2("instance", w.open), content_type=content_type),
            Step(status, OPT_IN, w.opt_in(w.open), content_type=content_type),
        ]

    def accepting(value: str) -> Case:
        return lambda w: [
            Step(400, V2, w.v2("instance", w.private), {"Accept": value}),
            Step(200, V2, w.v2("instance", w.open), {"Accept": value}),
            Step(404, "/no/such/path", b"", {"Accept": value}),
            Step(405, V2, b"", {"Accept": value}, "GET"),
            Step(401, V2, b"{}", {"Accept": value}, token=False),
        ]

    def unauthorised(value: str) -> Case:
        return lambda w: [
            Step(401, path, w.v2("instance", w.open), {"Authorization": value}, token=False)
            for path in DIRECT
        ]

    def at(status: int | None, path: str, method: str = "POST") -> Case:
        return lambda w: [Step(status, path, w.v2("instance", w.open), method=method)]

    def without_content(status: int, path: str, method: str) -> Case:
        return lambda _: [Step(status, path, method=method, content_type=None)]

    return {
        **{f"type {t}": typed(200, t) for t in (None, "application/json; charset=utf-8")},
        **{f"type {t}": typed(200, t) for t in ("APPLICATION/JSON", "application/vnd.x+json")},
        **{f"type {t}": typed(415, t) for t in ("text/plain", "application/xml", "json")},
        **{
            f"accept {a}": accepting(a)
            for a in (
                "application/problem+json",
                "application/json;q=0.5, application/problem+json",
                "application/problem+json;q=0",
                "*/*",
                "text/html",
                "nonsense",
                "",
            )
        },
        "accept in two lines": lambda w: [
            Step(
                400,
                V2,
                w.v2("instance", w.private),
                [("Accept", "text/html"), ("Accept", "application/problem+json")],
            )
        ],
        **{
            f"authorization {a!r}": unauthorised(a)
            for a in ("", "Bearer", "Bearer a.b.c", "Basic YTpi", "x")
        },
        "no token": lambda w: [
            Step(401, path, w.v2("instance", w.open), token=False) for path in DIRECT
        ],
        "no token, no type, no JSON": lambda _: [
            Step(401, path, b"{", content_type="text/plain", token=False) for path in DIRECT
        ],
        **{
            f"{method} {path}": without_content(405, path, method)
            for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH")
            for path in (*DIRECT, BATCH)
        },
        **{f"OPTIONS {path}": without_content(200, path, "OPTIONS") for path in (*DIRECT, BATCH)},
        "TRACE": without_content(405, V2, "TRACE"),
        "unknown path": at(404, "/v2/jackpots/contributes"),
        "trailing slash": at(404, V2 + "/"),
        "double slash": at(None, "/" + V2),
        "upper case": at(404, V2.upper()),
        "query": at(200, V2 + "?a=b&c=d"),
        "query of a token": at(200, V2 + "?token=x&prefer=return%3Drepresentation"),
        "escaped letter": at(200, V2.replace("contrib", "contr%69b")),
        "escaped slash": at(None, V2.replace("jackpots/", "jackpots%2F")),
        "GET that is known": without_content(200, "/health", "GET"),
        "HEAD that is known": without_content(200, "/health", "HEAD"),
        "GET of a source": without_content(200, f"/sources?owner_id={BRAND}&name=no", "GET"),
        "GET of a currency": without_content(200, f"/currencies/{BRAND}", "GET"),
    }


CASES: Final[dict[str, Case]] = {**_plain(), **_keys(), **_opt_ins(), **_bodies(), **_exchanges()}
