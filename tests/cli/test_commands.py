"""The commands as a person types them: what they print, where, and the exit code."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import lmdb
import pytest
import trio

from jackpotd.testing.server_process import running_server

TIMEOUT_S = 60
FREE_PORTS = {
    f"JACKPOTD_{name}_BIND": "127.0.0.1:0" for name in ("GATEWAY", "ADMIN", "CONNECT", "OFFICE")
}


def jackpotd(
    *arguments: str | Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jackpotd", *map(str, arguments)],
        env={**os.environ, **FREE_PORTS, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def add_root(data: Path) -> subprocess.CompletedProcess[str]:
    return jackpotd(
        "accounts", "add", "--username", "root", "--password", "a long one", "--data-dir", data
    )


def test_help_names_every_command() -> None:
    """`jackpotd --help` is where a newcomer starts."""
    shown = jackpotd("--help")

    assert shown.returncode == 0
    for command in ("serve", "demo", "verify", "accounts", "shards", "fairness", "simulate"):
        assert f"\n  {command} " in shown.stdout
    assert "worker " not in shown.stdout  # the server's own business


def test_unknown_setting_stops_the_start_with_the_nearest_name(tmp_path: Path) -> None:
    """A mistyped setting is named with its file, its line and what was meant; exit code 2."""
    config = tmp_path / "jackpotd.toml"
    config.write_text('[gateway]\nbnid = "127.0.0.1:1"\n')
    ended = jackpotd("serve", "--config", config, "--data-dir", tmp_path / "data")

    assert ended.returncode == 2
    assert f"{config}:2: unknown setting [gateway] bnid; did you mean bind?\n" == ended.stderr
    assert not (tmp_path / "data").exists()


def test_placement_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    """Like a setting: file and line, exit code 2, and nothing is made."""
    shards = tmp_path / "shards.toml"
    shards.write_text('[instances]\n"x" = 3\n')
    ended = jackpotd("serve", "--workers", "2", "--shards", shards, "--data-dir", tmp_path / "data")

    assert ended.returncode == 2
    assert f"{shards}:2: [instances] 'x': there is no worker 3; " in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "data").exists()


def test_worker_without_its_server_ends_at_once() -> None:
    """A worker is no command for people: whoever has not been started by the server that it names is none."""
    ended = jackpotd("worker", "--index", "0", "--server", "1")

    assert ended.returncode == 1
    assert ended.stderr == ""


def test_feed_without_its_server_ends_at_once() -> None:
    """Nor is the feed."""
    ended = jackpotd("feed", "--server", "1")

    assert ended.returncode == 1
    assert ended.stderr == ""


@pytest.mark.parametrize("listener", ["admin", "connect"])
def test_port_that_is_taken_stops_the_start(tmp_path: Path, listener: str) -> None:
    """The message names the listener, the address and the variable that chooses another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = jackpotd(
            "serve",
            "--demo",
            "--data-dir",
            tmp_path / "data",
            environment={f"JACKPOTD_{listener.upper()}_BIND": bind},
        )

    assert ended.returncode == 1
    assert f"[{listener}] bind = {bind}: Address already in use" in ended.stderr
    assert f"JACKPOTD_{listener.upper()}_BIND" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("listener", ["GATEWAY", "ADMIN", "CONNECT"])
def test_demo_data_are_served_on_loopback_only(tmp_path: Path, listener: str) -> None:
    """The demo's passwords are known to everybody, so `--demo` refuses any other address."""
    ended = jackpotd(
        "serve",
        "--demo",
        "--data-dir",
        tmp_path / "data",
        environment={f"JACKPOTD_{listener}_BIND": "0.0.0.0:0"},
    )

    assert ended.returncode == 1
    assert "loopback" in ended.stderr
    assert not (tmp_path / "data").exists()


async def test_data_directory_in_use_is_refused(tmp_path: Path) -> None:
    """Two servers never write to one directory."""
    with trio.fail_after(TIMEOUT_S):
        async with running_server(tmp_path / "data"):
            second = await trio.to_thread.run_sync(
                jackpotd, "serve", "--demo", "--data-dir", tmp_path / "data"
            )

    assert second.returncode == 1
    assert second.stderr.endswith("is in use by another jackpotd\n")


def test_first_account_is_added_once_and_not_with_a_short_password(tmp_path: Path) -> None:
    """`accounts add` works on a directory that nobody can log in to yet."""
    short = jackpotd("accounts", "add", "--username", "root", "--password", "short")
    added, again = add_root(tmp_path / "data"), add_root(tmp_path / "data")

    assert [short.returncode, added.returncode, again.returncode] == [2, 0, 1]
    assert again.stderr == "jackpotd: account root exists\n"


async def test_production_start_has_no_demo_account_and_no_wallet(tmp_path: Path) -> None:
    """The first account logs in and sets up; a contribution that a player pays has no wallet to debit."""
    data = tmp_path / "data"
    assert add_root(data).returncode == 0
    with trio.fail_after(TIMEOUT_S):
        async with (
            running_server(data, arguments=()) as server,
            httpx.AsyncClient(timeout=20) as client,
        ):
            demo = await client.post(
                f"{server.admin_url}/accounts/auth",
                json={"username": "admin", "password": "admin-demo"},
            )
            assert demo.status_code == 401
            login = await client.post(
                f"{server.admin_url}/accounts/auth",
                json={"username": "root", "password": "a long one"},
            )
            client.headers["Authorization"] = f"Bearer {login.json()['token']}"
            instance_id = await _player_funded_jackpot(client, server.admin_url)
            bet = {
                "instance_id": instance_id,
                "token": "t",
                "brand_id": "acme:one",
                "player_id": "p",
                "player_country": "MT",
                "base_wager": 1,
                "currency": "EUR",
            }
            refused = await client.post(f"{server.gateway_url}/jackpots/contribute", json=bet)
            free = await client.post(
                f"{server.gateway_url}/jackpots/contribute", json=bet | {"base_wager": 0}
            )

    assert (409, "WALLET_NOT_CONFIGURED") == (refused.status_code, refused.json()["code"])
    assert (200, 0) == (free.status_code, free.json()["contribution_amount"])


async def _player_funded_jackpot(client: httpx.AsyncClient, admin: str) -> str:
    pot = {
        "id": "main",
        "contribution": {"Percentage": 1},
        "seed_contribution": {"Percentage": 0},
        "seed_strategy": {"initial_seed_value": 1, "min_reseed_value": 1},
        "pot_types": [{"HitRate": {"max_magic_number": 10, "cost_per_attempt": 0.1}}],
    }
    template = {
        "id": "plain",
        "name": "Plain",
        "owner_id": "acme",
        "currency": "EUR",
        "contribution_rules": {"opt_in_required": False, "contribution_type": {"Fixed": 0.1}},
        "house_hold_contribution": {"Percentage": 0},
        "pots": [pot],
    }
    instantiation = {
        "template_owner_id": "acme",
        "template_id": "plain",
        "instance_owner_id": "acme",
        "instance_name": "Plain",
    }
    for path, body in (
        ("/config/operators", [{"id": "acme", "name": "Acme"}]),
        ("/config/operators/acme/brands", [{"id": "one", "name": "One"}]),
        ("/templates", template),
        ("/templates/plain/publish", None),
    ):
        (await client.post(f"{admin}{path}", json=body)).raise_for_status()
    rates = {"base_currency": "EUR", "multipliers": {"USD": 1.0762}}
    (await client.put(f"{admin}/config/currencies/default", json=rates)).raise_for_status()
    created = await client.post(f"{admin}/templates/instantiate", json=instantiation)
    text: str = created.raise_for_status().json()["id"]
    return text


async def test_verify_names_the_first_thing_that_is_off(tmp_path: Path) -> None:
    """A changed record, a row that is not the journal's, and a directory of nobody: exit code 1 and why."""
    data = tmp_path / "data"
    with trio.fail_after(TIMEOUT_S):
        async with running_server(data) as server:
            assert await server.stop() == 0
    nobody = jackpotd("verify", "--data-dir", tmp_path)
    clean = jackpotd("verify", "--data-dir", data)
    _change(data / "worker-0" / "rows", b"i", b'"Active"', b'"Paused"')
    row = jackpotd("verify", "--data-dir", data)
    _change(data / "worker-0" / "journal", b"\0", b"Sitewide", b"Sitewidf")
    record = jackpotd("verify", "--data-dir", data)

    assert [1, 0, 1, 1] == [ended.returncode for ended in (nobody, clean, row, record)]
    assert "is not a data directory of jackpotd" in nobody.stderr
    assert clean.stdout.startswith("ok: 14 records in one unbroken chain, 7 instances")
    assert row.stderr.startswith("verify: row b'i")
    assert "does not fit what it seals" in record.stderr


def _change(directory: Path, prefix: bytes, old: bytes, new: bytes) -> None:
    """Changes one value behind the program's back."""
    with lmdb.open(str(directory), map_size=1 << 30) as env, env.begin(write=True) as txn:
        cursor = txn.cursor()
        assert cursor.set_range(prefix)
        for key, value in cursor:
            if old in value:
                txn.put(bytes(key), value.replace(old, new))
                return
    raise AssertionError(f"nothing in {directory} holds {old!r}")
