"""Events of the gateway's stream, field by field, of stories that can be reckoned by hand (contract §6)."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from jackpotd.core.commands import DecideHeldWin, Trigger
from jackpotd.core.state import Contributor
from jackpotd.engine.places import Definitions
from jackpotd.feed.event_building import EventBuilder
from jackpotd.testing.cases import community, pot, raffle, schedule, template
from jackpotd.testing.house import BORN_MS, currencies, links
from jackpotd.testing.templates import Json, rates
from jackpotd.wire import records
from jackpotd.wire.catalog_records import CatalogEntity
from jackpotd.wire.feed_events import Kind

from .feed_oracle import plain
from .ground import catalog_of
from .stage import Stage, brands, jackpot, json, source

RATES = {
    "EUR": Decimal(1),
    "USD": Decimal("1.0762"),
    "GBP": Decimal("0.8592"),
    "SEK": Decimal("11.6761"),
    "JPY": Decimal("162.35"),
    "KWD": Decimal("0.33"),
    "VND": Decimal("27891.33333333"),
    "CLF": Decimal("0.02671"),
    "XAU": Decimal("0.00043217"),
}
CERTAIN = [(1, "0.1")]
WIN_FIELDS = [
    *("brand_id", "player_id", "source_id", "instance_id", "jackpot_name", "jackpot_currency"),
    *("timestamp", "win_pot_id", "win_amount", "currency_multipliers", "games_in_jackpot", "seed"),
    *("win_withheld", "seed_deficit", "community_winners", "metadata"),
]


def quick(**changes: Any) -> Json:
    """A jackpot whose only pot every contribution wins: half of 0.10 goes there, 0.85 of that to its reserve."""
    return template(pot("mini", share="0.5", seed="10", hits=CERTAIN), **changes)


async def test_a_win_says_who_won_what(tmp_path: Path) -> None:
    """All fields of `JackpotWinEvent`, in their order; the amount is what left the pot, in the jackpot's currency."""
    entities = [
        *brands("a", "b"),
        jackpot("one", quick(allowed_brands=["op:a", "op:b"]), name="Quick hit"),
        source("op", "slots", "one"),
        source("op:b", "tables", "one"),
    ]
    async with Stage(tmp_path, entities).open() as stage:
        await stage.contribute(
            "slots", by_source=True, event_metadata=json({"campaign": ["x", 7]}), currency="USD"
        )
        at_ms = stage.house.clock.now_ms
        ((position, event),) = await stage.log_of()
    data = plain(bytes(event.data))
    assert position == 1
    assert list(data) == WIN_FIELDS
    # 10.0075 in the pot make 10.77007… USD; the 10.77 that are paid are 10.00743… EUR.
    assert abs(data.pop("win_amount") - Decimal("10.77") / Decimal("1.0762")) < Decimal("1e-8")
    assert BORN_MS < data.pop("timestamp") <= at_ms
    assert data == {
        "brand_id": "op:a",
        "player_id": "player",
        "source_id": "slots",
        "instance_id": "one",
        "jackpot_name": "Quick hit",
        "jackpot_currency": "EUR",
        "win_pot_id": "mini",
        "currency_multipliers": {
            "brand_id": "op:a",
            "base_currency": "EUR",
            "multipliers": RATES,
        },
        "games_in_jackpot": ["slots", "tables"],
        "seed": Decimal(10),
        "win_withheld": False,
        "seed_deficit": Decimal("9.9575"),
        "community_winners": None,
        "metadata": {"campaign": ["x", 7]},
    }
    assert event.kind is Kind.WIN
    assert (event.instance_id, event.owner_id) == ("one", "op")
    assert (event.brand, event.player_id) == ("op:a", "player")
    assert event.brands == ("op:a", "op:b")
    assert BORN_MS < event.at_ms <= at_ms


async def test_a_win_without_a_source_or_metadata_says_null(tmp_path: Path) -> None:
    """Of a contribution to the instance itself; a jackpot without sources has an empty list of them."""
    async with Stage(tmp_path, [*brands("a"), jackpot("one", quick())]).open() as stage:
        await stage.contribute("one")
        ((_, data),) = await stage.told()
    assert data["win_amount"] == 10
    assert (data["source_id"], data["metadata"], data["games_in_jackpot"]) == (None, None, [])


async def test_each_pot_won_is_an_event(tmp_path: Path) -> None:
    """Where all tips are paid, in the order of the pots; each with its own pot's seed."""
    pots = (
        pot("minor", share="0.25", seed="1", hits=CERTAIN),
        pot("major", share="0.25", seed="20", hits=CERTAIN),
    )
    entities = [*brands("a"), jackpot("one", template(*pots, strategy="All"))]
    async with Stage(tmp_path, entities).open() as stage:
        await stage.contribute("one", event_metadata=json(5))
        told = await stage.told()
    shown = [
        (data["win_pot_id"], data["win_amount"], data["seed"], data["metadata"]) for _, data in told
    ]
    assert shown == [("minor", 1, 1, 5), ("major", 20, 20, 5)]


async def test_a_win_names_its_community(tmp_path: Path) -> None:
    """What each of them got, in the jackpot's currency, which is named; in the order in which they were found."""
    shared = pot(
        "mini",
        share="1",
        seed="0",
        seed_share="0",
        hits=[],
        points=[{"Value": {"min": "2.95", "max": "2.95"}}],
        community_payout=community(
            {"HighestLifetimeContributor": {"share": "0.5", "winners": 2}},
        ),
    )
    entities = [*brands("a", "b"), jackpot("one", template(shared, kind={"Percentage": "1"}))]
    entities[2] = jackpot(
        "one", template(shared, kind={"Percentage": "1"}, allowed_brands=["op:a", "op:b"])
    )
    async with Stage(tmp_path, entities).open() as stage:
        await stage.contribute("one", player_id="bert", brand="op:b")
        await stage.contribute("one", player_id="anna", wager=90_000_000)
        assert await stage.told() == []
        await stage.contribute("one", player_id="caro", wager=110_000_000)
        ((_, data),) = await stage.told()
    assert data["player_id"] == "caro"
    assert data["win_amount"] == Decimal("1.5")
    winners = [
        (each["player_id"], each["brand_id"], each["currency"], each["win_amount"])
        for each in data["community_winners"]
    ]
    assert winners == [
        ("bert", "op:b", "EUR", Decimal("0.75")),
        ("anna", "op:a", "EUR", Decimal("0.75")),
    ]
    assert list(data["community_winners"][0]) == [
        "player_id",
        "brand_id",
        "currency",
        "win_amount",
    ]


async def test_a_win_by_a_trigger_is_no_contribution(tmp_path: Path) -> None:
    """It has no source and no metadata; also not those of what the player contributed before."""
    triggered = template(
        pot("bad-beat", share="0.5", seed="30", hits=[], supports_external_trigger=True)
    )
    entities = [*brands("a"), jackpot("one", triggered), source("op", "slots", "one")]
    async with Stage(tmp_path, entities).open() as stage:
        await stage.contribute("slots", by_source=True, event_metadata=json({"no": 1}))
        winner = Contributor("op:a", "bert", "EUR", 10**8, 10**8)
        await stage.operate("one", Trigger(0, "", "bad-beat", winner, "hand", "me", "why", ()))
        ((_, data),) = await stage.told()
    assert (data["source_id"], data["metadata"]) == (None, None)
    assert (data["player_id"], data["win_pot_id"], data["win_amount"]) == ("bert", "bad-beat", 30)
    assert data["games_in_jackpot"] == ["slots"]


async def test_a_withheld_win_says_so_and_is_told_once(tmp_path: Path) -> None:
    """Its release is no second win."""
    entities = [*brands("a"), jackpot("one", quick(withhold_wins_above="5"))]
    async with Stage(tmp_path, entities).open() as stage:
        await stage.contribute("one")
        (held,) = stage.house.fold.cells["one"].state.rare.held
        await stage.operate("one", DecideHeldWin(0, held.round_id, "mini", True, "me", "why"))
        ((kind, data),) = await stage.told()
    assert (kind, data["win_withheld"], data["win_amount"]) == ("JackpotWinEvent", True, 10)


async def test_a_win_has_the_multipliers_it_was_converted_by(tmp_path: Path) -> None:
    """Those of the brand as they are now, but for the two that made the amount; unless the base has changed."""
    entities: list[CatalogEntity] = [*brands("a"), jackpot("one", quick())]
    other = replace(currencies("op:a"), rates={**rates(), "USD": 2 * 10**8, "GBP": 7 * 10**7})
    dollars = replace(
        currencies("op:a"), base_currency="USD", rates={"USD": 10**8, "EUR": 93 * 10**6}
    )
    async with Stage(tmp_path, entities).open() as stage:
        await stage.contribute("one", currency="USD")
        ((_, data),) = await stage.told([*entities, other])
        shown = data["currency_multipliers"]
        assert shown["base_currency"] == "EUR"
        assert shown["multipliers"] == RATES | {"GBP": Decimal("0.7")}
    entities = [*brands("a"), jackpot("one", quick())]
    async with Stage(tmp_path / "again", entities).open() as stage:
        await stage.contribute("one", currency="USD")
        ((_, data),) = await stage.told([*entities, dollars])
    assert data["currency_multipliers"] == {
        "brand_id": "op:a",
        "base_currency": "USD",
        "multipliers": {"USD": Decimal(1), "EUR": Decimal("0.93")},
    }


async def test_a_link_that_wins_has_the_metadata_and_source_of_its_request(tmp_path: Path) -> None:
    """Each instance that wins has an event of its own."""
    entities = [
        *brands("a"),
        jackpot("one", template(pot("plain", hits=[(1_000_000, "0.1")]))),
        jackpot("two", quick()),
        links("one", "two"),
        source("op", "slots", "one"),
    ]
    async with Stage(tmp_path, entities).open() as stage:
        await stage.contribute("slots", by_source=True, event_metadata=json({"a": "b"}))
        ((_, data),) = await stage.told()
    assert (data["instance_id"], data["source_id"]) == ("two", "slots")
    assert data["metadata"] == {"a": "b"}
    assert data["games_in_jackpot"] == []


async def test_a_raffle_tells_each_brand_of_its_winners(tmp_path: Path) -> None:
    """All fields of `RaffleWinEvent`; those whose prizes are withheld have an event of their own."""
    document = raffle(
        {"count": 1, "amount": "8"},
        {"count": 3, "amount": "2"},
        cost="1",
        allowed_brands=["op:a", "op:b"],
        withhold_wins_above="5",
        pot={"seed": "14"},
    )
    entities = [
        *brands("a", "b"),
        jackpot("draw", document, schedule=schedule(BORN_MS), name="Draw"),
    ]
    async with Stage(tmp_path, entities).open() as stage:
        for brand in ("op:a", "op:b"):
            for player_id in ("anna", "bert"):
                await stage.contribute("draw", brand=brand, player_id=player_id)
        stage.house.clock.now_ms += 200_000
        await stage.contribute("draw", wager=1)
        log = await stage.log_of()
        told = await stage.told()
    assert {event.player_id for _, event in log} == {""}
    assert [event.brand for _, event in log] == [data["brand_id"] for _, data in told]
    shown = {(data["brand_id"], data["win_withheld"]): data for _, data in told}
    assert len(shown) == len(told) == 3
    winners = [
        (data["brand_id"], each["player_id"], each["win_amount"])
        for _, data in told
        for each in data["winners"]
    ]
    assert sorted((brand, name) for brand, name, _ in winners) == [
        (brand, name) for brand in ("op:a", "op:b") for name in ("anna", "bert")
    ]
    assert sorted(amount for *_, amount in winners) == [2, 2, 2, 8]
    for kind, data in told:
        assert kind == "RaffleWinEvent"
        assert [each["win_amount"] for each in data["winners"]] == (
            [8] if data["win_withheld"] else [2] * len(data["winners"])
        )
        for each in data.pop("winners"):
            assert list(each) == ["player_id", "brand_id", "currency", "win_amount"]
            assert (each["brand_id"], each["currency"]) == (data["brand_id"], "EUR")
        assert data.pop("timestamp") > BORN_MS + 100_000
        assert data == {
            "brand_id": data["brand_id"],
            "instance_id": "draw",
            "jackpot_name": "Draw",
            "jackpot_currency": "EUR",
            "currency_multipliers": {
                "brand_id": data["brand_id"],
                "base_currency": "EUR",
                "multipliers": RATES,
            },
            "win_withheld": data["win_withheld"],
            "metadata": None,
        }


async def test_an_opt_in_says_how_the_player_stood(tmp_path: Path) -> None:
    """All fields of `OptInEvent`; what was contributed afterwards does not count, however late it is told."""
    rules: Json = {"Variable": {"min": "0.1", "max": "5", "default": "0.5"}}
    free = template(pot("plain", hits=[(1_000_000, "0.1")]), kind=rules)
    async with Stage(tmp_path, [*brands("a"), jackpot("one", free)]).open() as stage:
        await stage.contribute("one", player_id="anna")
        await stage.contribute("one", player_id="anna")
        await stage.opt("one", "anna", opt_in=True, preferred=30_000_000)
        await stage.contribute("one", player_id="anna")
        at_ms = stage.house.clock.now_ms
        (event,) = (event for _, event in await stage.log_of())
        ((kind, data),) = await stage.told()
    assert kind == "OptInEvent"
    assert list(data) == [
        *("instance_id", "player_id", "ext_player_id", "player_brand_id"),
        *("preferred_contribution_value", "contribution_count", "contribution_value", "opted_in"),
        "last_updated",
    ]
    assert BORN_MS < data.pop("last_updated") < at_ms
    assert data == {
        "instance_id": "one",
        "player_id": "anna",
        "ext_player_id": "anna",
        "player_brand_id": "op:a",
        "preferred_contribution_value": Decimal("0.3"),
        "contribution_count": 2,
        "contribution_value": Decimal(1),
        "opted_in": True,
    }
    assert (event.kind, event.brand, event.player_id) == (Kind.OPT_IN, "op:a", "anna")
    assert (event.instance_id, event.owner_id, event.brands) == ("one", "op", ("op:a",))


async def test_opt_ins_and_wins_are_told_in_their_order(tmp_path: Path) -> None:
    """As they happened, with the preference that came with each change: none, or none any more, is null."""
    rules: Json = {"Variable": {"min": "0.1", "max": "5", "default": "0.5"}}
    async with Stage(tmp_path, [*brands("a"), jackpot("one", quick(kind=rules))]).open() as stage:
        for opt_in, preferred in ((True, 30_000_000), (False, None), (True, None)):
            await stage.opt("one", "anna", opt_in=opt_in, preferred=preferred)
            await stage.contribute("one", player_id="anna")
        told = await stage.told()
    assert [kind for kind, _ in told] == ["OptInEvent", "JackpotWinEvent"] * 3
    shown = [
        (data["opted_in"], data["preferred_contribution_value"], data["contribution_count"])
        for _, data in told[::2]
    ]
    assert shown == [(True, Decimal("0.3"), 0), (False, None, 1), (True, None, 2)]


def test_an_opt_in_of_an_older_journal_is_not_told() -> None:
    """Its record does not say what the player had contributed, and nobody can say it any more."""
    catalog = catalog_of([*brands("a"), jackpot("one", quick())])
    builder = EventBuilder(catalog, Definitions(catalog), lambda _worker, _seq: None)
    older = records.decode(b'["E","one",[["o",9,"op:a","p",true,5,"EUR"]]]')
    newer = records.decode(b'["E","one",[["o",9,"op:a","p",true,5,"EUR",0,0]]]')

    assert isinstance(older, records.Entry)
    assert isinstance(newer, records.Entry)
    assert builder.events_of(0, older) == []
    assert len(builder.events_of(0, newer)) == 1
