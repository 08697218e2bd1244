"""What a contribution takes and where it goes: kinds, currencies, exact money (contract §3, §9)."""

from __future__ import annotations

import json
import re
import time
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Answer, Caller, Json, Lab, Platform

PATH = "/jackpots/contribute/instance"
VARIABLE = {"Variable": {"min": 0.1, "max": 5, "default": 0.1}}


def contribution(answer: Answer) -> tuple[Decimal | int, str]:
    body = answer.successful().body
    return body["contribution_amount"], body["contribution_currency"]


class Foreign:
    """A jackpot of the lab's brand one, where 1 EUR is 160 JPY, 2 USD or 0.5 KWD."""

    def __init__(self, platform: Platform, lab: Lab, jackpot: str) -> None:
        self.platform = platform
        self.jackpot = jackpot
        self.caller: Caller = platform.gateway.with_token(lab.service)
        self.brand = lab.one

    async def contribute(self, **changes: object) -> Answer:
        body = self.platform.v1(instance_id=self.jackpot, brand_id=self.brand, **changes)
        return await self.caller.post(PATH, body)

    async def growth(self) -> Decimal:
        return await self.platform.main_pot(self.jackpot) - 10


async def foreign(platform: Platform, lab: Lab, **rules: object) -> Foreign:
    jackpot = await platform.jackpot(
        owner_id=lab.operator, allowed_brands=[lab.one, lab.two], rules=rules
    )
    return Foreign(platform, lab, jackpot)


async def whole(platform: Platform) -> str:
    """A jackpot whose pot takes the whole base wager of each contribution."""
    hit_rate = {"max_magic_number": 1_000_000_000, "cost_per_attempt": 1_000_000}
    pot = platform.pot(
        contribution={"Percentage": 1},
        seed_contribution={"Percentage": 0},
        pot_types=[{"HitRate": hit_rate}],
    )
    return await platform.jackpot(
        pots=[pot],
        house_hold_contribution={"Percentage": 0},
        rules={"contribution_type": {"Percentage": 1}},
    )


async def send_wager(platform: Platform, jackpot: str, text: str) -> Answer:
    """A contribution whose base wager is this JSON text."""
    body = json.dumps(platform.v1(instance_id=jackpot, base_wager="WAGER"))
    raw = body.replace('"WAGER"', text).encode()
    headers = {"Content-Type": "application/json"}
    return await platform.gateway.send("POST", PATH, raw=raw, headers=headers)


@pytest.mark.parametrize("wager", [0.01, 1, 250])
async def test_fixed_takes_the_same_of_every_wager(platform: Platform, wager: float) -> None:
    """A Fixed contribution does not depend on the base wager."""
    jackpot = await platform.jackpot()
    answer = await platform.contribute(jackpot, base_wager=wager)

    assert contribution(answer) == (Decimal("0.1"), "EUR")


@pytest.mark.parametrize(
    ("wager", "amount"), [(1, "0.0775"), (2.5, "0.19375"), (0.01, "0.000775"), (100, "7.75")]
)
async def test_percentage_takes_a_share_of_the_wager(
    platform: Platform, wager: float, amount: str
) -> None:
    """A Percentage contribution is that share of the base wager, exactly."""
    jackpot = await platform.jackpot(rules={"contribution_type": {"Percentage": 0.0775}})
    answer = await platform.contribute(jackpot, base_wager=wager)

    assert contribution(answer) == (Decimal(amount), "EUR")


async def test_zero_wager_is_a_contribution_of_zero_without_an_attempt(platform: Platform) -> None:
    """A percentage of 0 is 0, answered 200, and cannot win even at odds of one."""
    jackpot = await platform.jackpot(
        rules={"contribution_type": {"Percentage": 0.5}}, pots=[platform.pot(odds=1)]
    )
    for wager in (0, 0.0, "0", -0.0):
        answer = await platform.contribute(jackpot, base_wager=wager)

        assert contribution(answer) == (0, "EUR")
        assert answer.body["win_amount"] == 0
        assert answer.body["win_pot_id"] is None
    assert await platform.main_pot(jackpot) == 10


async def test_variable_takes_the_default_without_an_opt_in(platform: Platform) -> None:
    """On an open Variable jackpot a player without a preference contributes the default."""
    jackpot = await platform.jackpot(rules={"contribution_type": VARIABLE})

    assert contribution(await platform.contribute(jackpot)) == (Decimal("0.1"), "EUR")


async def test_fixed_is_converted_to_the_players_currency(platform: Platform, lab: Lab) -> None:
    """0.10 EUR is 0.20 USD at 2 and 16 JPY at 160; the pot grows by the same in EUR."""
    there = await foreign(platform, lab)
    usd = contribution(await there.contribute(currency="USD"))
    jpy = contribution(await there.contribute(currency="JPY", base_wager=500))

    assert usd == (Decimal("0.2"), "USD")
    assert jpy == (16, "JPY")
    assert await there.growth() == 2 * Decimal("0.035")


async def test_percentage_is_of_the_wager_in_the_players_currency(
    platform: Platform, lab: Lab
) -> None:
    """10 % of 2 USD is 0.20 USD, which is 0.10 EUR for the pot."""
    there = await foreign(platform, lab, contribution_type={"Percentage": 0.1})
    usd = contribution(await there.contribute(currency="USD", base_wager=2))

    assert usd == (Decimal("0.2"), "USD")
    assert await there.growth() == Decimal("0.035")


async def test_demo_rates_convert_a_fixed_contribution(platform: Platform) -> None:
    """At the demo's 1.0762 a fixed 0.10 EUR is 0.10762 USD."""
    jackpot = await platform.jackpot()
    answer = await platform.contribute(jackpot, currency="USD")

    assert contribution(answer) == (Decimal("0.10762"), "USD")
    assert await platform.main_pot(jackpot) == Decimal("10.035")


async def test_brand_without_rates_of_its_own_uses_the_default(
    platform: Platform, lab: Lab
) -> None:
    """Brand one has its own USD rate, brand two the default one."""
    there = await foreign(platform, lab)
    one = contribution(await there.contribute(currency="USD"))
    there.brand = lab.two
    two = contribution(await there.contribute(currency="USD"))

    assert one == (Decimal("0.2"), "USD")
    assert two == (Decimal("0.10762"), "USD")


@pytest.mark.parametrize("kind", [VARIABLE, {"Fixed": 0.1}], ids=str)
async def test_currency_values_replace_the_converted_value(
    platform: Platform, lab: Lab, kind: Json
) -> None:
    """`currency_values` name what a player in that currency contributes; others are converted."""
    there = await foreign(
        platform,
        lab,
        contribution_type=kind,
        currency_values={"JPY": {"min": 10, "max": 500, "default": 10}},
    )
    jpy = contribution(await there.contribute(currency="JPY", base_wager=500))
    growth = await there.growth()
    usd = contribution(await there.contribute(currency="USD"))

    assert jpy == (10, "JPY")
    assert growth == Decimal("0.021875")  # 10 JPY are 0.0625 EUR, of which the pot keeps 0.35
    assert usd == (Decimal("0.2"), "USD")


async def opt_in_with(there: Foreign, value: object, currency: str) -> Answer:
    body = {
        "instance_id": there.jackpot,
        "player_id": there.platform.player,
        "brand_id": there.brand,
        "player_country": "MT",
        "opt_in": True,
        "contribution_value": value,
        "contribution_currency": currency,
    }
    return await there.caller.post("/jackpots/optin", body)


async def test_currency_values_bound_the_preference(platform: Platform, lab: Lab) -> None:
    """A preference in JPY is held against JPY's own range, not the converted one."""
    there = await foreign(
        platform,
        lab,
        contribution_type=VARIABLE,
        currency_values={"JPY": {"min": 10, "max": 500, "default": 10}},
    )
    below = await opt_in_with(there, "9", "JPY")
    above = await opt_in_with(there, "501", "JPY")
    inside = await opt_in_with(there, "500", "JPY")
    jpy = contribution(await there.contribute(currency="JPY", base_wager=500))

    assert below.refusal[:2] == (400, "OPTIN_ERROR")
    assert above.refusal[:2] == (400, "OPTIN_ERROR")
    assert inside.status == 200
    assert jpy == (500, "JPY")


async def test_operator_funded_share_leaves_the_contribution_whole(platform: Platform) -> None:
    """What the operator pays of it does not change `contribution_amount`, nor the pot's growth."""
    jackpot = await platform.jackpot(rules={"operator_contribution_percentage": 1})
    answer = await platform.contribute(jackpot)

    assert contribution(answer) == (Decimal("0.1"), "EUR")
    assert await platform.main_pot(jackpot) == Decimal("10.035")


async def test_three_pots_share_a_contribution(platform: Platform) -> None:
    """The published example: 0.25, 0.25 and 0.2 of 0.10, of which 0.85 goes to the seed."""
    seed = {"Percentage": 0.85}
    shares = {"minor": 0.25, "major": 0.25, "mega": 0.2}
    pots = [
        platform.pot(name, contribution={"Percentage": share}, seed_contribution=seed)
        for name, share in shares.items()
    ]
    jackpot = await platform.jackpot(pots=pots)
    for _ in range(4):
        (await platform.contribute(jackpot)).successful()

    assert await platform.pots(jackpot) == {
        "minor": Decimal("10.015"),
        "major": Decimal("10.015"),
        "mega": Decimal("10.012"),
    }


@pytest.mark.parametrize(
    ("strategy", "value"), [("CollectToMinReseed", "10.18"), ("CollectAlways", "10.14")]
)
async def test_full_reserve_sends_the_rest_to_the_pot(
    platform: Platform, strategy: str, value: str
) -> None:
    """A reserve of 0.10 is full within the third of four parts of 0.035, if it collects so far."""
    seeds = {
        "initial_seed_value": 10,
        "min_reseed_value": 0.1,
        "fund_strategy": strategy,
        "reseed_strategy": "Full",
    }
    jackpot = await platform.jackpot(pots=[platform.pot(seed_strategy=seeds)])
    for _ in range(4):
        (await platform.contribute(jackpot)).successful()

    assert await platform.main_pot(jackpot) == Decimal(value)


async def test_pot_that_is_not_progressive_stays_at_its_seed(platform: Platform) -> None:
    """All that such a pot takes goes to its reserve."""
    jackpot = await platform.jackpot(pots=[platform.pot(is_progressive=False)])
    for _ in range(3):
        (await platform.contribute(jackpot)).successful()

    assert await platform.main_pot(jackpot) == 10


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("0.30000000000000004", "0.3"),
        ('"0.30000000000000004"', "0.3"),
        ("1e0", "1"),
        ("1E+1", "10"),
        ("100e-2", "1"),
        ('"1e1"', "10"),
        ("0.1000000000000000055511151231257827", "0.1"),
        ("1.000000000000000000000000000000000", "1"),
        ("0.00000001", "0.00000001"),
        ("0.000000005", "0"),
        ("0.000000015", "0.00000002"),
        ("0.0000000149", "0.00000001"),
        ("0.000000025", "0.00000002"),
        ("123456.12345678", "123456.12345678"),
        ("1e-20", "0"),
        ("100.2175", "100.2175"),
    ],
)
async def test_wager_is_read_exactly_to_eight_places(
    platform: Platform, sent: str, meant: str
) -> None:
    """Numbers and strings alike are rounded half-even to 1e-8, and come back without noise."""
    jackpot = await whole(platform)
    answer = (await send_wager(platform, jackpot, sent)).successful()

    assert answer.body["contribution_amount"] == Decimal(meant)
    assert await platform.main_pot(jackpot) - 10 == Decimal(meant)


@pytest.mark.parametrize(
    ("wager", "printed"), [(100.2175, "100.2175"), (0.1 + 0.2, "0.3"), (1.1, "1.1"), (7, "7")]
)
async def test_amounts_are_printed_without_binary_noise(
    platform: Platform, wager: float, printed: str
) -> None:
    """The raw JSON holds the shortest exact decimal, as a number."""
    jackpot = await whole(platform)
    answer = (await platform.contribute(jackpot, base_wager=wager)).successful()

    (text,) = re.findall(r'"contribution_amount"\s*:\s*([^,}\s]+)', answer.text)
    assert re.fullmatch(rf"{re.escape(printed)}(\.0)?", text)


async def test_pot_value_is_printed_without_binary_noise(platform: Platform) -> None:
    """Ten contributions of 0.1 to a pot of 10 read 11 exactly, on both listeners."""
    jackpot = await whole(platform)
    source = await platform.source(jackpot)
    for _ in range(10):
        (await platform.contribute(jackpot, base_wager=0.1)).successful()
    path = f"/jackpots/instances/source/{source}/brand/{platform.brand}"
    answers = [
        await platform.gateway.get(path),
        await platform.admin.get(f"/instances/{jackpot}"),
    ]

    for answer in answers:
        (text,) = re.findall(r'"current_value"\s*:\s*"?([^,}"\s]+)', answer.text)
        assert re.fullmatch(r"11(\.0*)?", text)


async def test_shares_that_do_not_divide_carry_their_remainder(platform: Platform) -> None:
    """Ten contributions of the smallest unit, 0.7 of each for the pot, are seven units."""
    pot = platform.pot(seed_contribution={"Percentage": 0})
    jackpot = await platform.jackpot(pots=[pot], rules={"contribution_type": {"Percentage": 1}})
    for _ in range(10):
        (await platform.contribute(jackpot, base_wager=1e-8)).successful()

    assert await platform.main_pot(jackpot) - 10 == Decimal("0.00000007")


@pytest.mark.parametrize(
    "sent",
    [
        "1e1000000",
        '"1e1000000"',
        "-1e1000000",
        "1e-1000000",
        "1e999999999999999999999",
        "1e21",
        "1e-21",
        "1" * 35,
        "0." + "1" * 35,
        '"' + "9" * 5000 + '"',
        "1e11",
        "90000000001",
        '"NaN"',
        '"Infinity"',
        '"-Infinity"',
        '"sNaN"',
        '"abc"',
        '""',
        '"0x10"',
        '"1_000"',
        '"1,5"',
    ],
)
async def test_wager_that_is_no_bounded_decimal_is_refused(platform: Platform, sent: str) -> None:
    """Not a number, too many digits, too large an exponent or value: named, and at no cost."""
    jackpot = await whole(platform)
    started = time.monotonic()
    status, code, message = (await send_wager(platform, jackpot, sent)).refusal

    assert time.monotonic() - started < 2
    assert (status, code) == (400, "INVALID_REQUEST")
    assert "base_wager" in message
    assert await platform.main_pot(jackpot) == 10
