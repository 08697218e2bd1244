"""Tokens that count for long: looked at again and again, ended once, and only those that are void."""

from contextlib import AbstractContextManager

import trio
import trio.testing
from msgspec.structs import replace

from jackpotd.edge.standing_tokens import CHECKS_AT_ONCE, StandingTokens
from jackpotd.identity.principal import principal_of
from jackpotd.identity.tokens import TokenDesk
from jackpotd.wire.catalog_records import Account

from .connect_data import account


class Accounts:
    """Accounts in the test's hands, their tokens, and those whose end was told."""

    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000
        self.known: dict[str, Account] = {}
        self.desk = TokenDesk(
            bytes(64), self.known.get, user_lifetime_s=60, clock=lambda: self.now_ms
        )
        self.standing = StandingTokens(self.desk, interval_s=5.0)
        self.ended: list[str] = []

    def add(self, name: str, **changes: object) -> str:
        self.known[name] = account(name, "op", "jackpots", **changes)
        return self.desk.issue(self.known[name])

    def watched(self, name: str, token: str) -> AbstractContextManager[None]:
        principal = principal_of(self.known[name])
        return self.standing.watched(token, principal, lambda: self.ended.append(name))


async def test_only_void_tokens_are_ended_and_each_once() -> None:
    accounts = Accounts()
    anna, bert = accounts.add("anna"), accounts.add("bert")
    with accounts.watched("anna", anna), accounts.watched("bert", bert):
        await accounts.standing.check()
        assert [] == accounts.ended
        accounts.known["anna"] = replace(accounts.known["anna"], enabled=False)
        await accounts.standing.check()
        await accounts.standing.check()
        assert ["anna"] == accounts.ended


async def test_what_is_closed_is_looked_at_no_more() -> None:
    accounts = Accounts()
    with accounts.watched("anna", accounts.add("anna")):
        pass
    del accounts.known["anna"]
    await accounts.standing.check()
    assert [] == accounts.ended


async def test_other_rights_or_reach_end_it_and_other_things_do_not() -> None:
    for changes, is_ended in (
        ({"permissions": ()}, True),
        ({"unit_ids": ("one",)}, True),
        ({"org_id": "other"}, True),
        ({"generation": 1}, True),
        ({"password_hash": "other"}, False),
        ({}, False),
    ):
        accounts = Accounts()
        with accounts.watched("anna", accounts.add("anna")):
            accounts.known["anna"] = replace(accounts.known["anna"], **changes)
            await accounts.standing.check()
            assert is_ended == bool(accounts.ended), changes


async def test_a_users_token_ends_when_its_time_is_over(
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001 - nothing here needs real time
) -> None:
    accounts = Accounts()
    token = accounts.add("anna", account_type="User")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accounts.standing.run)
        with accounts.watched("anna", token):
            await trio.sleep(6)
            assert [] == accounts.ended
            accounts.now_ms += 60_000
            await trio.sleep(5)
            assert ["anna"] == accounts.ended
        nursery.cancel_scope.cancel()


async def test_many_are_looked_at_in_steps() -> None:
    """Some of them go while the others are looked at."""
    accounts = Accounts()
    tokens = [accounts.add(f"account{number}") for number in range(CHECKS_AT_ONCE + 10)]
    scopes = [accounts.watched(f"account{at}", token) for at, token in enumerate(tokens)]
    for scope in scopes:
        scope.__enter__()
    accounts.known.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accounts.standing.check)
        await trio.lowlevel.checkpoint()
        scopes[-1].__exit__(None, None, None)
    assert len(scopes) - 1 <= len(accounts.ended) <= len(scopes)
    assert len(set(accounts.ended)) == len(accounts.ended)
