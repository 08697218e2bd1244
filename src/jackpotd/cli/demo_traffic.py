"""The demo's traffic: sends what the players do over a fixed number of connections and tallies the answers.

Owns the sending, the check of every answer, and the end of it: once `stopping` is set no call begins, and what is under
way may still be answered for a while. A repeat must be answered 204 with the original's trace id.
"""

import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from itertools import islice

import httpx
import msgspec
import trio
from msgspec import Struct

from jackpotd.cli.demo_players import Call, Crowd
from jackpotd.cli.demo_readings import Rates
from jackpotd.cli.demo_tally import Tally, Win

CONNECTIONS = 16
REQUEST_TIMEOUT_S = 30.0
LAST_ANSWERS_DEADLINE_S = 5.0
SIGNAL_GRACE_S = 1.0
PROBLEM_LENGTH_MAX = 300
TRACE_ID = "X-Trace-Id"


class _Part(Struct, frozen=True):
    """What one instance made of a contribution: a receipt, or a linked instance's refusal."""

    instance_id: str = ""
    win_amount: Decimal = Decimal(0)
    win_pot_id: str | None = None
    tickets_awarded: int | None = None
    contribution_currency: str = ""
    status_code: int = 200


class _OptedIn(Struct, frozen=True):
    """The part of an opt-in's answer that should be empty."""

    failed: list[msgspec.Raw] = []


_ANSWER = msgspec.json.Decoder(_Part | list[_Part])
_OPTED_IN = msgspec.json.Decoder(_OptedIn | None)


@asynccontextmanager
async def connections(count: int) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients with one connection each: a pool that many tasks share would take a third of the demo's time."""
    async with AsyncExitStack() as stack:
        verify = ssl.create_default_context()  # loaded once for all; the demo itself is plain HTTP
        one = httpx.Limits(max_connections=1)
        yield [
            await stack.enter_async_context(
                httpx.AsyncClient(
                    verify=verify, limits=one, timeout=REQUEST_TIMEOUT_S, trust_env=False
                )
            )
            for _ in range(count)
        ]


class Traffic:
    """Everything that a run sends.

    Args:
        clients: one for each connection.
        headers: the service account's.
        stopping: set when nothing new is to begin.
    """

    def __init__(
        self,
        clients: Sequence[httpx.AsyncClient],
        gateway_url: str,
        headers: Mapping[str, str],
        rates: Rates,
        stopping: trio.Event,
    ) -> None:
        self._clients = clients
        self._gateway_url = gateway_url
        self._headers = {**headers, "Content-Type": "application/json"}
        self._rates = rates
        self._stopping = stopping
        self._started_s = 0.0
        self.tally = Tally(rates.base_currency)

    async def opt_in(self, crowd: Crowd) -> None:
        """Opts in every player who needs it."""
        await self._share_out(crowd.opt_ins(), self._opt_in)

    async def contribute(self, crowd: Crowd, contributions: int | None) -> None:
        """Contributes so many times, or until `stopping` is set."""
        self._started_s = time.perf_counter()
        await self._share_out(islice(crowd.contributions(), contributions), self._contribute)

    async def _share_out(
        self, calls: Iterator[Call], send: Callable[[httpx.AsyncClient, Call], Awaitable[None]]
    ) -> None:
        """Every connection takes the next call when it has finished its last."""

        async def work(client: httpx.AsyncClient) -> None:
            while not self._stopping.is_set():
                call = next(calls, None)
                if call is None:
                    return
                await send(client, call)

        async with trio.open_nursery() as bounded:
            bounded.start_soon(self._bound_last_answers, bounded.cancel_scope)
            async with trio.open_nursery() as nursery:
                for client in self._clients:
                    nursery.start_soon(work, client)
            bounded.cancel_scope.cancel()

    async def _bound_last_answers(self, scope: trio.CancelScope) -> None:
        await self._stopping.wait()
        scope.deadline = trio.current_time() + LAST_ANSWERS_DEADLINE_S

    async def _opt_in(self, client: httpx.AsyncClient, call: Call) -> None:
        response = await self._answered(client, call)
        if response is None:
            return
        is_taken = response.status_code == 200
        if is_taken:
            opted_in = _OPTED_IN.decode(response.content)
            is_taken = opted_in is None or not opted_in.failed
        if is_taken:
            self.tally.opt_ins += 1
        else:
            self._unexpected(call, response)

    async def _contribute(self, client: httpx.AsyncClient, call: Call) -> None:
        tally = self.tally
        tally.sent += 1
        begun = time.perf_counter()
        response = await self._answered(client, call)
        now = time.perf_counter()
        if response is None:
            return
        if response.status_code != 200:
            tally.refused += 1
            self._unexpected(call, response)
            return
        tally.answered += 1
        tally.latencies.add(now - begun)
        tally.active_s = now - self._started_s
        self._take_in(call, response.content)
        if call.is_repeated:
            await self._repeat(client, call, response.headers.get(TRACE_ID))

    def _take_in(self, call: Call, content: bytes) -> None:
        answer = _ANSWER.decode(content)
        for part in answer if isinstance(answer, list) else [answer]:
            self.tally.tickets += part.tickets_awarded or 0
            if part.status_code >= 400:
                self.tally.links_refused += 1
            elif part.win_pot_id is not None:
                currency = part.contribution_currency
                worth = self._rates.in_base(part.win_amount, currency)
                self.tally.won(
                    Win(
                        call.player_id,
                        part.instance_id,
                        part.win_pot_id,
                        part.win_amount,
                        currency,
                        worth,
                    )
                )

    async def _repeat(self, client: httpx.AsyncClient, call: Call, trace_id: str | None) -> None:
        self.tally.repeats_sent += 1
        response = await self._answered(client, call)
        if response is None:
            return
        if response.status_code == 204 and response.headers.get(TRACE_ID) == trace_id:
            self.tally.repeats_answered += 1
        else:
            self._unexpected(call, response, "a repeat of ")

    async def _answered(self, client: httpx.AsyncClient, call: Call) -> httpx.Response | None:
        """The answer; None where there was none, which is a problem unless the demo is ending."""
        try:
            return await client.post(
                self._gateway_url + call.path, content=call.body, headers=self._headers
            )
        except httpx.TransportError as error:
            # A terminal's Ctrl-C reaches the server too, and perhaps first.
            with trio.move_on_after(SIGNAL_GRACE_S):
                await self._stopping.wait()
            if not self._stopping.is_set():
                self.tally.went_wrong(f"{call.path} was not answered: {error!r}")
            return None

    def _unexpected(self, call: Call, response: httpx.Response, what: str = "") -> None:
        said = response.text[:PROBLEM_LENGTH_MAX]
        self.tally.went_wrong(
            f"{what}{call.path} {call.body.decode()} was answered {response.status_code} {said}"
        )
