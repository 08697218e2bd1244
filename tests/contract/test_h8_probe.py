from __future__ import annotations
import time, trio
from tests.contract.webhook_receivers import Reply
async def test_recover(live, receivers):
    p = live.platform
    j = await p.jackpot()
    for down_s in (1, 12):
        h = receivers.other.hook(Reply(503))
        batch=[p.v2("instance", j, metadata=n, options={"callback": h.callback()}) for n in range(60)]
        (await p.gateway.post("/v2/jackpots/contribute/batch", batch)).successful()
        await trio.sleep(down_s)
        n=len(h.received); t=time.monotonic(); h.recover()
        try:
            r=await h.until(lambda got: len({e.body["metadata"] for e in got[n:]})==60, timeout_s=8 if down_s==1 else 8)
            print("all", time.monotonic()-t, n)
        except BaseException as e: print("not all", down_s, n, len(h.received), sorted(round(x.at-t,1) for x in h.received))
