"""The ticker page at Connect's `/`, in a headless Chromium, against a server with the demo data.

Without a browser these tests are skipped. The pictures `ticker.png` and `ticker-phone.png` go into the folder that
`TEST_ARTEFACTS` names, by default into the test's own temporary folder.
"""

from __future__ import annotations

import json
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
import trio

from jackpotd.testing.server_process import running_server, server_in_thread

from .casino import NEVER, Casino, casino
from .chromium import MISSING, Page, artefact, browser_page, is_installed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from jackpotd.testing.server_process import ServerProcess

pytestmark = pytest.mark.skipif(not is_installed(), reason=MISSING)

TEST_TIMEOUT_S = 120
SITEWIDE = "bdfa6295-d5a5-4c54-98bf-046355ce0252"
DEPOSIT = "8dcc9f5a-f1c5-466f-83e9-928277d8bfb7"
DEMO_JACKPOTS = {
    SITEWIDE,
    DEPOSIT,
    "3c90cb1e-a594-437e-a695-e76acb0e6809",
    "a49ff35f-6ecd-491f-b373-85e6caabacf1",
    "0a1cfeea-5b07-4f2b-b2f1-2e4cd2aa991d",
    "209cc142-ccb2-4e28-a763-0a031b560d74",
    "12231b6a-a774-4a93-8f16-f8af9aee2076",
}
LIVE = "document.getElementById('connection').dataset.state === 'open'"
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
LARGE = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}

# Promises the texts that a figure has from now on, until it shows what is awaited.
TEXTS_UNTIL = """
window.texts = new Promise((resolve) => {
  const figure = %s, texts = [];
  new MutationObserver(() => {
    texts.push(figure.textContent);
    if (figure.textContent === %s) resolve(texts);
  }).observe(figure, {childList: true, characterData: true, subtree: true});
});
0
"""


def card(instance_id: str, below: str = "") -> str:
    """The expression of a jackpot's card, or of an element in it."""
    return f"document.querySelector({json.dumps(f'[data-instance={json.dumps(instance_id)}] {below}')})"


def figure(instance_id: str, pot: str) -> str:
    return card(instance_id, f"[data-pot={json.dumps(pot)}] .figure")


ALL_THERE = " && ".join(f"{card(each, '.figure')}?.textContent" for each in DEMO_JACKPOTS)


def shows(element: str, text: str) -> str:
    """The condition that an element is there and shows a text."""
    return f"{element}?.textContent === {json.dumps(text)}"


def euros(amount: float) -> str:
    return f"€{amount:,.2f}"


@dataclass(frozen=True)
class Stage:
    """A server, the casino that uses it, and a browser."""

    page: Page
    casino: Casino
    url: str

    async def watch(self, **options: str) -> None:
        """Opens the page; returns once it is live."""
        await self.page.open(f"{self.url}/?{urlencode(options)}")
        await self.page.until(LIVE)

    async def device(self, metrics: dict[str, Any], **media: str) -> None:
        features = [{"name": name.replace("_", "-"), "value": media[name]} for name in media]
        await self.page.send("Emulation.setDeviceMetricsOverride", **metrics)
        await self.page.send("Emulation.setEmulatedMedia", features=features)


@pytest.fixture(scope="module")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with server_in_thread(tmp_path_factory.mktemp("ticker") / "data", live=True) as server:
        yield server


@pytest.fixture
async def stage(live_server: ServerProcess, tmp_path: Path) -> AsyncIterator[Stage]:
    with trio.fail_after(TEST_TIMEOUT_S):
        async with (
            casino(live_server.gateway_url, live_server.admin_url) as demo,
            browser_page(tmp_path) as page,
        ):
            yield Stage(page, demo, live_server.connect_url)


async def test_pots_of_the_demo_tick(stage: Stage) -> None:
    """All seven jackpots are shown, linked ones too; a bet moves the figures to what the pots hold."""
    await stage.watch()
    await stage.page.until(ALL_THERE)
    before = await stage.page.evaluate(f"{figure(SITEWIDE, 'mega')}.textContent")
    await stage.casino.contribute("sitewide-casino", 8)
    after = euros(await stage.casino.pot("sitewide-casino", "mega"))
    await stage.page.until(shows(figure(SITEWIDE, "mega"), after))

    assert before != after
    assert "Casino Sitewide Source" == await stage.page.text(f'[data-instance="{SITEWIDE}"] h3')
    assert [] == stage.page.problems


async def test_win_is_shown_as_it_happens(stage: Stage, tmp_path: Path) -> None:
    """In the banner that is read out and in the list, under the jackpot's name, which is text whatever it says."""
    name = '<img src=x onerror="document.title=1"> & Co'
    source_id = await stage.casino.source(name, one_in=1)
    instance_id = (await stage.casino.instance(source_id))["id"]
    await stage.device(LARGE, prefers_reduced_motion="reduce")  # a picture of what has come to rest
    await stage.watch()
    await stage.page.until(ALL_THERE)
    await stage.page.until(shows(figure(instance_id, "main"), euros(100)))
    answer = await stage.casino.contribute(source_id, 1)
    await stage.page.until("document.querySelector('#wins .win')")
    banner = await stage.page.text("#banner")
    shown = await stage.page.text("#wins .win")
    await stage.page.until(shows(figure(instance_id, "main"), euros(100)))
    await stage.page.picture(artefact("ticker.png", tmp_path))

    assert 100.35 == answer["win_amount"]
    assert f"p…042 has won €100.35: {name}, main" == banner
    assert ["€100.35", f"{name}, main"] == [line for line in shown.splitlines() if line][:2]
    assert name == await stage.page.text(f'[data-instance="{instance_id}"] h3')
    assert 1 == await stage.page.evaluate("document.images.length")  # the page's own
    assert "polite" == await stage.page.evaluate("document.getElementById('banner').ariaLive")
    assert [] == stage.page.problems


async def test_player_reads_of_an_own_win_as_such(stage: Stage) -> None:
    """Amounts are in the player's currency, at the rates of the win."""
    source_id = await stage.casino.source("Own", one_in=1)
    await stage.watch(currency="USD")
    await stage.casino.contribute(source_id, 1, "player_00001")
    await stage.page.until("document.querySelector('#wins .win.own')")

    assert "You have won US$108.00: Own, main" == await stage.page.text("#banner")


async def test_switch_opts_the_player_in_and_out(stage: Stage) -> None:
    """By the keyboard alone, with the contribution that was chosen; a refusal is shown, and changes nothing."""
    switch, chosen = card(DEPOSIT, ".switch"), card(DEPOSIT, ".preferred input")

    async def press(expected: str) -> None:
        await stage.page.evaluate(f"{switch}.focus()")
        await stage.page.press("Space")
        await stage.page.until(expected)

    async def standing() -> tuple[bool, float | None]:
        status = (await stage.casino.instance("deposit", "player_00007"))["optin_status"]
        return status["opted_in"], status["preferred_contribution_value"]

    await stage.watch(token="token_00007")
    await stage.page.evaluate(f"{chosen}.value = '0.25'")
    await press(f"{switch}.ariaChecked === 'true'")
    opted_in = await standing()
    await press(f"{switch}.ariaChecked === 'false'")
    opted_out = await standing()
    await stage.page.evaluate(f"{chosen}.value = '99'")
    await press(f"{card(DEPOSIT, '.problem')}.textContent.includes('ContributionOutOfRange')")

    assert (True, 0.25) == opted_in
    assert not opted_out[0]
    assert not (await standing())[0]
    assert "false" == await stage.page.evaluate(f"{switch}.ariaChecked")
    assert [] == stage.page.problems


async def test_switch_is_there_only_where_players_decide(stage: Stage) -> None:
    """And it stands as the player has left it, also on another day."""
    await stage.watch(token="token_00008")
    await stage.page.evaluate(f"{card(DEPOSIT, '.switch')}.click()")
    await stage.page.until(f"{card(DEPOSIT, '.switch')}.ariaChecked === 'true'")
    await stage.watch(token="token_00008")
    await stage.page.until(f"{card(DEPOSIT, '.switch')}?.ariaChecked === 'true'")

    assert await stage.page.evaluate(f"{card(SITEWIDE, '.opt-in')}.hidden")
    assert "You take part" == await stage.page.text(f'[data-instance="{DEPOSIT}"] .words')


async def test_figures_are_in_the_currency_that_was_asked_for(stage: Stage) -> None:
    """By the address and by the form; one that nobody has rates for leaves the jackpot's own."""
    source_id = await stage.casino.source("Rates", one_in=NEVER)
    instance_id = (await stage.casino.instance(source_id))["id"]
    await stage.watch(currency="USD")
    await stage.page.until(shows(figure(instance_id, "main"), "US$107.62"))
    await stage.page.evaluate("document.querySelector('#settings summary').click()")
    await stage.page.evaluate("document.querySelector('[name=currency]').value = 'sek'")
    await stage.page.evaluate("document.querySelector('#options button').click()")
    await stage.page.until(shows(figure(instance_id, "main"), "SEK\xa01,167.61"))

    assert "currency=SEK" in await stage.page.evaluate("location.search")
    assert "token" not in await stage.page.evaluate("location.search")


async def test_token_that_is_not_welcome_is_said_and_another_one_helps(stage: Stage) -> None:
    """Pots are public and are shown; what happens to them is for players."""
    await stage.page.open(f"{stage.url}/?token=nobody")
    await stage.page.until("document.getElementById('connection').dataset.state === 'waiting'")
    await stage.page.until(f"{figure(SITEWIDE, 'mega')}?.textContent")
    assert "Not connected" in await stage.page.text("#connection")

    await stage.page.evaluate("document.querySelector('[name=token]').value = 'token_00003'")
    await stage.page.evaluate("document.querySelector('#options').requestSubmit()")
    await stage.page.until(LIVE)


@pytest.mark.parametrize(("motion", "is_smooth"), [("reduce", False), ("no-preference", True)])
async def test_figures_move_smoothly_unless_that_is_not_wanted(
    stage: Stage, motion: str, is_smooth: bool
) -> None:
    """One bet of 1 adds 0.35: seen on its way, or at once."""
    source_id = await stage.casino.source("Motion", one_in=NEVER)
    instance_id = (await stage.casino.instance(source_id))["id"]
    main = figure(instance_id, "main")
    await stage.device(LARGE, prefers_reduced_motion=motion)
    await stage.watch()
    await stage.page.until(shows(main, euros(100)))
    await stage.page.evaluate(TEXTS_UNTIL % (main, json.dumps(euros(100.35))))
    await stage.casino.contribute(source_id, 1)
    told = await stage.page.evaluate("window.texts")

    assert is_smooth == (len(told) > 1)
    assert sorted(told) == told


async def test_page_fits_a_phone_in_the_dark(stage: Stage, tmp_path: Path) -> None:
    """Nothing is wider than the screen, what is tapped is large enough, and the ground is dark."""
    await stage.device(PHONE, prefers_color_scheme="dark")
    await stage.watch()
    await stage.page.until(f"{figure(SITEWIDE, 'mega')}?.textContent")
    await stage.page.evaluate("document.getElementById('settings').open = true")
    await stage.page.picture(artefact("ticker-phone.png", tmp_path))
    heights = await stage.page.evaluate(
        "[...document.querySelectorAll('button, input, summary')].map((each) => each.offsetHeight).filter(Boolean)"
    )
    ground = await stage.page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert await stage.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert len(heights) > 6
    assert min(heights) >= 24
    assert max(int(each) for each in ground.strip("rgb()").split(",")) < 64


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_win_that_was_missed_is_shown_after_the_break(tmp_path: Path) -> None:
    """The page comes back by itself, and asks for what has happened since the last event that it saw."""
    port = free_port()
    there = {"JACKPOTD_CONNECT_BIND": f"127.0.0.1:{port}"}
    elsewhere = {"JACKPOTD_CONNECT_BIND": "127.0.0.1:0"}

    @asynccontextmanager
    async def life(environment: dict[str, str]) -> AsyncIterator[Casino]:
        async with (
            running_server(tmp_path / "data", environment=environment, live=True) as server,
            casino(server.gateway_url, server.admin_url) as demo,
        ):
            yield demo
            await server.stop()

    with trio.fail_after(TEST_TIMEOUT_S):
        async with browser_page(tmp_path) as page:
            async with life(there) as demo:
                source_id = await demo.source("Missed", one_in=1)
                instance_id = (await demo.instance(source_id))["id"]
                await page.open(f"http://127.0.0.1:{port}/")
                await page.until(LIVE)
                await page.until(shows(figure(instance_id, "main"), euros(100)))
                await demo.contribute(source_id, 1)
                await page.until("document.querySelectorAll('#wins .win').length === 1")
            await page.until(f"!({LIVE})")
            async with life(elsewhere) as demo:
                await demo.contribute(source_id, 1, "player_00077")
            async with life(there):
                await page.until("document.querySelectorAll('#wins .win').length === 2")
                shown = await page.text("#wins .win")

    assert "p…077" in shown
    assert "Missed, main" in shown


PARTS = [
    ("messages", "retryDelayMs(0, 0)", 250),
    ("messages", "retryDelayMs(0, 1)", 500),
    ("messages", "retryDelayMs(3, 1)", 4000),
    ("messages", "retryDelayMs(1000, 1)", 30000),
    ("messages", "heard('no JSON')", None),
    ("messages", "heard('7')", None),
    ("messages", 'heard(\'{"msg_name": "JackpotUpdateEvent"}\').kind', "update"),
    ("messages", 'heard(\'{"msg_name": "JackpotWinEvent"}\').kind', "win"),
    ("messages", 'heard(\'{"msg_type": "Error", "msg_name": "OptInEvent"}\').kind', "error"),
    ("messages", "heard('{}').kind", "other"),
    ("messages", "subscribeRequest(null).SubscribeRequest.last_event_id", None),
    ("messages", "subscribeRequest('e').SubscribeRequest.last_event_id", "e"),
    ("messages", "optInRequest('i', {}, false, 1).PlayerOptInRequest.contribution_value", None),
    ("messages", "masked('ann')", "a player"),
    ("messages", "winsOf({kind: 'win', data: {}}).length", 1),
    ("messages", "winsOf({kind: 'win', data: {community_winners: [{}, {}]}}).length", 3),
    (
        "messages",
        "winsOf({kind: 'raffle-win', data: {winners: [{player_id: 'a', win_amount: 2, currency: 'EUR'}]}})[0]",
        {
            "instanceId": "",
            "name": "",
            "at": 0,
            "pot": "raffle",
            "player": "a",
            "amount": 2,
            "currency": "EUR",
        },
    ),
    (
        "messages",
        "eventsAddress('https://x.example/', {operator: 'a/b', brand: 'c', token: '&', currency: 'EUR'})",
        "wss://x.example/v1/events/a%2Fb/c?token=%26&currency=EUR",
    ),
    ("money", "converted(2, 'EUR', 'USD', {EUR: 1, USD: 1.5})", 3),
    ("money", "converted(3, 'USD', 'SEK', {EUR: 1, USD: 1.5, SEK: 10})", 20),
    ("money", "converted(3, 'USD', 'XXX', {USD: 1.5})", None),
    ("money", "shownAs('3.5', 'USD', 'XXX', undefined).currency", "USD"),
    ("money", "formatted(1234.5, 'EUR')", "€1,234.50"),
    ("money", "formatted(1234.5, 'JPY')", "JP¥1,235"),
    ("money", "formatted(1234.5, 'POINTS')", "1,234.50 POINTS"),
]


async def test_parts_of_the_script(stage: Stage) -> None:
    """What is said and heard, and how amounts are shown: each without the page."""
    await stage.page.open(f"{stage.url}/")
    await stage.page.until(LIVE)
    found = [
        await stage.page.evaluate(f"import('/{module}.js').then((part) => part.{expression})")
        for module, expression, _ in PARTS
    ]

    assert [(each[1], each[2]) for each in PARTS] == [
        (each[1], value) for each, value in zip(PARTS, found, strict=True)
    ]
