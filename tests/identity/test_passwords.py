"""Passwords: how they are stored, when an account locks, and which ones open nothing from outside."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import argon2
import pytest
import trio
from msgspec.structs import replace

from jackpotd.identity import passwords
from jackpotd.identity.passwords import (
    DEMO_PASSWORDS,
    AccountLocked,
    PasswordDesk,
    hash_password,
)
from jackpotd.wire.catalog_records import Account

RIGHT = "Correct-Horse-7-Battery"
WRONG = "Correct-Horse-7-Batterie"
FAILURES_MAX = 3
LOCK_S = 60.0
DEADLINE_S = 30
# What a hash costs is one test's matter; the others are about what comes of it.
CHEAP_HASHER = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@cache
def hashed(password: str) -> str:
    return CHEAP_HASHER.hash(password)


def account(username: str, **changes: Any) -> Account:
    plain = Account(
        id=username,
        username=username,
        password_hash=hashed(RIGHT),
        account_type="User",
        org_id=None,
        unit_ids=(),
        permissions=(),
        enabled=True,
        created_ms=0,
    )
    return replace(plain, **changes)


@dataclass
class Watch:
    """Seconds that pass when a test says so."""

    now_s: float = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class House:
    """A password desk for two accounts, with the hands of its clock and all that its hasher checked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(passwords, "_HASHER", CHEAP_HASHER)
        self.accounts = {name: account(name) for name in ("anna", "bert")}
        self.watch = Watch()
        self.checked: list[str] = []
        self.desk = PasswordDesk(
            self.accounts.get, failures_max=FAILURES_MAX, lock_s=LOCK_S, monotonic=self.watch
        )
        verify = argon2.PasswordHasher.verify

        def noted(hasher: argon2.PasswordHasher, stored: str, password: str) -> bool:
            self.checked.append(stored)
            return verify(hasher, stored, password)

        # The library's hasher still does its work; the test learns what it was given.
        monkeypatch.setattr(argon2.PasswordHasher, "verify", noted)

    async def opens(self, username: str, password: str, *, is_loopback: bool = True) -> bool:
        """Whether a password opens an account."""
        found = await self.desk.check(username, password, is_loopback=is_loopback)
        assert found in (None, self.accounts.get(username))
        return found is not None

    async def fail(self, username: str, times: int) -> None:
        for _ in range(times):
            assert not await self.opens(username, WRONG)


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    with trio.fail_after(DEADLINE_S):
        yield House(monkeypatch)


# -- hashes


def test_hash_password_is_argon2id_with_a_salt_of_its_own() -> None:
    """The stored form names argon2id and its costs, holds no password, and is new each time."""
    one, other = hash_password(RIGHT), hash_password(RIGHT)
    parameters = argon2.extract_parameters(one)
    assert argon2.Type.ID == parameters.type
    assert one.startswith("$argon2id$v=19$m=")
    # The least that RFC 9106 and OWASP call fit for interactive use: 19 MiB with two passes.
    assert parameters.memory_cost >= 19 * 1024
    assert parameters.time_cost >= 2
    assert one != other
    assert RIGHT not in one


async def test_check_right_password_gives_the_account(house: House) -> None:
    """The right password opens its own account and no other, letter by letter."""
    assert await house.opens("anna", RIGHT)
    assert not await house.opens("anna", RIGHT.lower())
    assert not await house.opens("anna", RIGHT + " ")
    assert not await house.opens("anna", "")
    house.accounts["bert"] = account("bert", password_hash=hashed("another password"))
    assert not await house.opens("bert", RIGHT)
    assert await house.opens("bert", "another password")


async def test_check_password_of_any_letters_is_taken_as_it_is(house: House) -> None:
    """A password is its UTF-8 bytes: nothing is cut at a NUL, nor after 72 bytes."""
    long = "ä\0€" * 60
    house.accounts["anna"] = account("anna", password_hash=hashed(long))
    assert await house.opens("anna", long)
    assert not await house.opens("anna", "ä")
    assert not await house.opens("anna", long[:-1])


async def test_check_unknown_name_costs_a_check_of_the_same_kind(house: House) -> None:
    """A name that nobody has is hashed too, at the cost of a real one, so that time tells nothing."""
    assert not await house.opens("nobody", RIGHT)
    assert not await house.opens("anna", WRONG)
    decoy, real = house.checked
    assert argon2.extract_parameters(real) == argon2.extract_parameters(decoy)
    assert decoy not in {found.password_hash for found in house.accounts.values()}


async def test_check_disabled_account_costs_a_check_and_opens_nothing(house: House) -> None:
    """A disabled account answers as a wrong password does."""
    house.accounts["anna"] = account("anna", enabled=False)
    assert not await house.opens("anna", RIGHT)
    assert [house.accounts["anna"].password_hash] == house.checked
    house.accounts["anna"] = account("anna")
    assert await house.opens("anna", RIGHT)


# -- locks


async def test_check_locks_after_failures_in_a_row(house: House) -> None:
    """After so many wrong passwords not even the right one is looked at."""
    await house.fail("anna", FAILURES_MAX)
    looked_at = len(house.checked)
    for password in (RIGHT, WRONG):
        with pytest.raises(AccountLocked, match="locked for 60 s") as locked:
            await house.opens("anna", password)
        assert locked.value.seconds == 60
    assert looked_at == len(house.checked)
    assert await house.opens("bert", RIGHT)


async def test_check_right_password_ends_the_row(house: House) -> None:
    """Failures count in a row: a right password in between forgives those before it."""
    for _ in range(2):
        await house.fail("anna", FAILURES_MAX - 1)
        assert await house.opens("anna", RIGHT)
    await house.fail("anna", FAILURES_MAX)
    with pytest.raises(AccountLocked):
        await house.opens("anna", RIGHT)


async def test_check_lock_is_released_after_its_time_and_not_before(house: House) -> None:
    """The lock counts from the last failure, and says in whole seconds how long it still is."""
    await house.fail("anna", FAILURES_MAX - 1)
    house.watch.now_s += 30
    await house.fail("anna", 1)
    for passed, left in ((0.0, 60), (0.5, 60), (1.0, 59), (59.9, 1)):
        house.watch.now_s = 1_030.0 + passed
        with pytest.raises(AccountLocked) as locked:
            await house.opens("anna", RIGHT)
        assert left == locked.value.seconds
    house.watch.now_s = 1_030.0 + LOCK_S
    assert await house.opens("anna", RIGHT)


async def test_check_tries_while_locked_do_not_lengthen_the_lock(house: House) -> None:
    """Who goes on guessing at a locked account keeps its owner out no longer."""
    await house.fail("anna", FAILURES_MAX)
    house.watch.now_s += LOCK_S - 1
    with pytest.raises(AccountLocked):
        await house.opens("anna", WRONG)
    house.watch.now_s += 1
    assert await house.opens("anna", RIGHT)


async def test_check_after_a_lock_the_row_begins_anew(house: House) -> None:
    """Once a lock is over, as many failures as before lock again."""
    await house.fail("anna", FAILURES_MAX)
    house.watch.now_s += LOCK_S
    await house.fail("anna", FAILURES_MAX)
    with pytest.raises(AccountLocked):
        await house.opens("anna", RIGHT)


async def test_check_unknown_and_disabled_names_lock_too(house: House) -> None:
    """A lock does not tell which names exist."""
    house.accounts["bert"] = account("bert", enabled=False)
    for name in ("nobody", "bert"):
        await house.fail(name, FAILURES_MAX)
        with pytest.raises(AccountLocked):
            await house.opens(name, RIGHT)


async def test_check_guesses_side_by_side_are_bounded_too(house: House) -> None:
    """Many guesses at once are not looked at beyond the limit, but for those already under way."""
    refused = list[AccountLocked]()

    async def guess() -> None:
        try:
            await house.opens("anna", WRONG)
        except AccountLocked as locked:
            refused.append(locked)

    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(guess)
    assert FAILURES_MAX <= len(house.checked) < FAILURES_MAX + passwords._CHECKS_AT_ONCE_MAX
    assert len(house.checked) + len(refused) == 12


async def test_check_many_other_names_do_not_push_a_lock_out(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory for failures is bounded, and a flood of names cannot free a locked account."""
    monkeypatch.setattr(passwords, "_TRACKED_NAMES_MAX", 3)
    await house.fail("anna", FAILURES_MAX)
    for number in range(5):
        await house.fail(f"nobody-{number}", 1)
    assert len(house.desk._failures) == 3
    with pytest.raises(AccountLocked):
        await house.opens("anna", RIGHT)


# -- passwords that everybody knows


@pytest.mark.parametrize("password", sorted(DEMO_PASSWORDS))
async def test_check_demo_password_opens_on_loopback_only(house: House, password: str) -> None:
    """A password of the demo data opens its account from this machine and from nowhere else."""
    house.accounts["anna"] = account("anna", password_hash=hashed(password))
    assert await house.opens("anna", password, is_loopback=True)
    assert not await house.opens("anna", password, is_loopback=False)
    assert len(house.checked) == 2


async def test_check_own_password_opens_beyond_loopback(house: House) -> None:
    """What is refused beyond loopback is the known password, not the account."""
    assert await house.opens("anna", RIGHT, is_loopback=False)


async def test_check_demo_password_beyond_loopback_counts_as_a_failure(house: House) -> None:
    """Trying what everybody knows locks like any other guess."""
    known = min(DEMO_PASSWORDS)
    house.accounts["anna"] = account("anna", password_hash=hashed(known))
    for _ in range(FAILURES_MAX):
        assert not await house.opens("anna", known, is_loopback=False)
    with pytest.raises(AccountLocked):
        await house.opens("anna", known, is_loopback=False)
