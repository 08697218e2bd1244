"""Whose a player's token is: the wallet of development, and none at all."""

import pytest

from jackpotd.connect.players import AuthenticatedPlayer, MemoryWallet, NoWallet
from jackpotd.wire.errors import ErrorBody


async def test_the_memory_wallet_knows_a_player_by_both_names() -> None:
    player = await MemoryWallet().authenticate("thrilltech", "brand1", "token_00001", "EUR")
    assert AuthenticatedPlayer(("player_00001", "player_id_token_00001"), "EUR") == player


@pytest.mark.parametrize(
    "token",
    [
        "",
        "token_",
        "token_x",
        "token_00001 ",
        "token_00001\n",
        "Token_00001",
        "xtoken_00001",
        "token_1111111111111",
        "token_\u0661",
        "player_00001",
    ],
)
async def test_the_memory_wallet_refuses_any_other_token(token: str) -> None:
    refused = await MemoryWallet().authenticate("thrilltech", "brand1", token, "EUR")
    assert isinstance(refused, ErrorBody)
    assert (401, "PLAYER_AUTH_FAILED") == (refused.status_code, refused.code)


async def test_without_a_wallet_nobody_is_known() -> None:
    refused = await NoWallet().authenticate("thrilltech", "brand1", "token_00001", "EUR")
    assert isinstance(refused, ErrorBody)
    assert (401, "PLAYER_AUTH_FAILED") == (refused.status_code, refused.code)
