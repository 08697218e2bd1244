"""While opt-ins are copied from one instance to another, neither moves: both have to be with one worker."""

import random

import trio

from jackpotd.core.commands import Inherit
from jackpotd.core.rejections import Code, Rejection
from jackpotd.engine.messages import Operated, OperateMessage, Reply

from .books import check
from .load import NAMES, hood_of
from .neighbourhood import Neighbourhood

TEST_TIMEOUT_S = 30


async def inherit(hood: Neighbourhood, heir: str, other: str) -> None:
    reply: Reply[Operated | Rejection] = Reply()
    hood.post(heir, OperateMessage(Inherit(0, other), reply.resolve))
    assert isinstance(await reply.wait(), Operated)


async def test_neither_side_of_an_inheritance_moves() -> None:
    """Both are refused until it has ended; others move as ever."""
    with trio.fail_after(TEST_TIMEOUT_S):
        hood = hood_of(random.Random(1), 3)
        async with hood.running():
            old, heir, other = NAMES[:3]
            assert None is await hood.move(heir, hood.places[old])
            await inherit(hood, heir, old)
            for name in (old, heir):
                refused = await hood.move(name, (hood.places[name] + 1) % 3)
                assert isinstance(refused, Rejection)
                assert Code.INVALID_STATE is refused.code
            assert None is await hood.move(other, (hood.places[other] + 1) % 3)
            await inherit(hood, heir, "")
            for name in (old, heir):
                assert None is await hood.move(name, (hood.places[name] + 1) % 3)
            await hood.quiet()
            await check(hood)
