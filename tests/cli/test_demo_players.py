"""The demo's players: the same in every run, under names of their own, everywhere that the demo has."""

from decimal import Decimal
from itertools import islice

import msgspec

from jackpotd.cli.demo_players import PLAYERS, SOURCES_WITH_OPT_IN, Crowd

RATES = {"EUR": Decimal(1), "GBP": Decimal("0.8592"), "SEK": Decimal("11.6761")}


def bodies(crowd: Crowd, number: int) -> list[str]:
    return [call.body.decode() for call in islice(crowd.contributions(), number)]


def test_crowds_of_one_seed_differ_in_their_names_only() -> None:
    """The same players do the same in every run, under keys that no other run has."""
    first, second = (bodies(Crowd(RATES, run), 500) for run in ("one", "two"))

    assert [body.replace("-one-", "-two-") for body in first] == second
    assert not set(first) & set(second)
    assert len(set(first)) == 500


def test_crowd_plays_everything_that_the_demo_has() -> None:
    """Both versions, all sources and both brands, all currencies, linked and not, repeats."""
    calls = list(islice(Crowd(RATES, "run").contributions(), 2000))
    text = "\n".join(call.body.decode() for call in calls)

    assert {call.path for call in calls} == {
        "/jackpots/contribute/source",
        "/v2/jackpots/contribute",
    }
    for word in ("sitewide-casino", "casino-slots", "daily", "deposit", "brand1", "brand2", *RATES):
        assert f'"{word}"' in text or f':{word}"' in text
    assert '"allow_linked_contributions":true' in text
    assert '"allow_linked_contributions":false' in text
    assert 0 < sum(call.is_repeated for call in calls) < 100


def test_crowd_opts_in_whoever_plays_where_it_is_needed() -> None:
    """One opt-in for each player and source with an opt-in, with different preferences for the deposit."""
    crowd = Crowd(RATES, "run")
    calls = list(crowd.opt_ins())
    needed = [
        player.id
        for player in crowd.players
        for source in SOURCES_WITH_OPT_IN
        if source in player.sources
    ]
    preferred = {
        str(body.get("contribution_value") or body.get("contribution_preference"))
        for body in (msgspec.json.decode(call.body) for call in calls)
    }

    assert len(crowd.players) == PLAYERS
    assert [call.player_id for call in calls] == needed
    assert {call.path for call in calls} == {"/jackpots/optin", "/v2/jackpots/optin"}
    assert len(preferred) > 5
