"""Subscriptions by name and by pattern, in both spellings."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackpotd.connect.subscriptions import kinds_of, matches
from jackpotd.wire.connect_messages import SubscribeRequest, Wish
from jackpotd.wire.errors import RequestRefused
from jackpotd.wire.feed_events import Kind

ALL = frozenset({Kind.UPDATE, Kind.WIN, Kind.RAFFLE_WIN, Kind.OPT_IN})


def kinds(*wishes: tuple[str, str]) -> frozenset[Kind]:
    return kinds_of(SubscribeRequest([Wish(source, event) for source, event in wishes]))


@pytest.mark.parametrize(
    ("event_type", "expected"),
    [
        ("*", ALL),
        ("JackpotUpdate", {Kind.UPDATE}),
        ("JackpotUpdateEvent", {Kind.UPDATE}),
        ("WinEvent", {Kind.WIN}),
        ("JackpotWinEvent", {Kind.WIN}),
        ("RaffleWinEvent", {Kind.RAFFLE_WIN}),
        ("OptInEvent", {Kind.OPT_IN}),
        ("Jackpot*", {Kind.UPDATE, Kind.WIN}),
        ("*WinEvent", {Kind.WIN, Kind.RAFFLE_WIN}),
        ("*Win*", {Kind.WIN, Kind.RAFFLE_WIN}),
        ("*Event", ALL),
    ],
)
def test_an_event_goes_by_both_names_and_by_patterns(event_type: str, expected: set[Kind]) -> None:
    for source in ("thrillpots", "thrill*", "*"):
        assert expected == kinds((source, event_type))


def test_wishes_add_up() -> None:
    assert {Kind.WIN, Kind.OPT_IN} == kinds(("thrillpots", "WinEvent"), ("*", "OptInEvent"))
    assert frozenset() == kinds()


def test_freebets_may_be_wished_for_before_there_are_any() -> None:
    assert frozenset() == kinds(("thrillgate", "*"))
    assert frozenset() == kinds(("thrillgate", "PlayerBonusAdded"))


@pytest.mark.parametrize(
    ("wishes", "path"),
    [
        ([("thrillpot", "*")], "$.SubscribeRequest.events[0].source"),
        ([("ThrillPots", "*")], "$.SubscribeRequest.events[0].source"),
        ([("thrillpots", "WinEvents")], "$.SubscribeRequest.events[0].event_type"),
        ([("thrillpots", "CommunityPayoutErrorEvent")], "$.SubscribeRequest.events[0].event_type"),
        ([("thrillgate", "WinEvent")], "$.SubscribeRequest.events[0].event_type"),
        ([("*", "*"), ("*", "x*")], "$.SubscribeRequest.events[1].event_type"),
    ],
)
def test_what_there_is_not_is_refused_with_its_place(
    wishes: list[tuple[str, str]], path: str
) -> None:
    with pytest.raises(RequestRefused) as refused:
        kinds(*wishes)
    assert 400 == refused.value.body.status_code
    assert refused.value.body.message.startswith(path)


@given(st.text("ab*", max_size=12), st.text("ab", max_size=12))
def test_a_pattern_matches_as_an_expression_would(pattern: str, name: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert (re.fullmatch(expression, name) is not None) == matches(pattern, name)
