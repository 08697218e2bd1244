"""Peer: FastAPI on uvicorn and uvloop with PostgreSQL, one transaction for each contribution, one hot row.

What a casino's backend team would write first: the key, the pot's row and the history of contributions in one
transaction, over a pool of connections. Called with the host of the database (the folder of its socket).
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from bench.generator.workload import V2_PATH
from bench.servers import message

POOL_CONNECTIONS = 5  # the fastest of 2, 5 and 20: more wait for the same row
PORT = 5432

_SCHEMA = """
create table pot (id text primary key, minor bigint, major bigint, mega bigint, contributions bigint);
create table contribution (
  key text primary key, pot_id text, player_id text, amount bigint, reference text, at timestamptz default now()
);
insert into pot values ('casino-slots', 0, 0, 0, 0);
"""
_INSERT = "insert into contribution (key, pot_id, player_id, amount, reference) values ($1, $2, $3, $4, $5)"
_UPDATE = """
update pot set minor = minor + $2, major = major + $3, mega = mega + $4, contributions = contributions + 1
where id = $1 returning contributions
"""


class Target(BaseModel):
    type: str
    id: str


class Player(BaseModel):
    id: str
    token: str
    country: str
    brand_id: str
    segments: list[str] | None = None


class Wager(BaseModel):
    currency: str
    value: float


class Round(BaseModel):
    type: str
    id: str


class Options(BaseModel):
    idempotency_key: str
    allow_linked_contributions: bool = True


class Contribution(BaseModel):
    target: Target
    operator_id: str
    player: Player
    base_wager: Wager
    source: Round
    options: Options


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    arguments: dict[str, Any] = {"host": sys.argv[1], "port": PORT, "user": "postgres"}
    async with asyncpg.create_pool(
        **arguments, database="postgres", min_size=POOL_CONNECTIONS, max_size=POOL_CONNECTIONS
    ) as pool:
        await pool.execute(_SCHEMA)
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.post(V2_PATH)
async def contribute(body: Contribution, request: Request) -> Response:
    amount = 10_000_000
    player, key = body.player.id, body.options.idempotency_key
    async with request.app.state.pool.acquire() as connection, connection.transaction():
        await connection.execute(_INSERT, key, body.target.id, player, amount, body.source.id)
        parts = (amount // 4, amount // 4, amount // 5)
        pot = await connection.fetchval(_UPDATE, body.target.id, *parts)
    received = message.Received(body.target.id, body.source.id, body.base_wager.currency, 0.1)
    received.timestamp = pot
    return Response(message.encode([received]), media_type="application/json")


def main() -> None:
    opened, ready = message.listening()
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", log_level="warning", access_log=False
    )
    print(ready)
    uvicorn.Server(config).run(sockets=[opened])


if __name__ == "__main__":
    main()
