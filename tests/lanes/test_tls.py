"""The gateway with a certificate, as an operator sets it: both lanes behind TLS, and nothing in plain text."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import httpx
import trio
import trustme

from jackpotd.testing.server_process import running_server

from .raw import connected
from .stage import BATCH, V2, Stage, encoded, log_in, unique, v2

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 60.0


async def test_contributions_over_tls_in_both_lanes(tmp_path: Path) -> None:
    """The ready line says https; HTTP/1.1 and HTTP/2 clients contribute; whoever speaks plain text does not."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    for number, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(tmp_path / "certificate.pem", append=number > 0)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    environment = {
        "JACKPOTD_GATEWAY_TLS_CERTIFICATE": str(tmp_path / "certificate.pem"),
        "JACKPOTD_GATEWAY_TLS_KEY": str(tmp_path / "key.pem"),
    }
    with trio.fail_after(TIMEOUT_S):
        async with running_server(tmp_path / "data", environment=environment) as server:
            assert server.gateway_url.startswith("https://127.0.0.1:")
            assert server.admin_url.startswith("http://")
            async with httpx.AsyncClient(verify=trusting, trust_env=False) as client:
                stage = Stage(server, client, *await log_in(client, server))
                jackpot = await stage.jackpot()
                assert (await stage.post(V2, v2(jackpot))).http_version == "HTTP/1.1"
                array = await stage.post(BATCH, [v2(jackpot)] * 3)
                assert [each["status_code"] for each in array.json()] == [200] * 3
                async with httpx.AsyncClient(http2=True, verify=trusting, trust_env=False) as both:
                    other = Stage(server, both, stage.service_token, stage.admin_token)
                    key = v2(jackpot, unique("key"))
                    for status in (200, 204):
                        got = await other.post(V2, key)
                        assert (got.http_version, got.status_code) == ("HTTP/2", status)
                async with connected(server.gateway_url) as plain:
                    await plain.send(stage.request(encoded(v2(jackpot))))
                    assert b"HTTP/1.1 2" not in await plain.until_closed()
                assert await stage.contributions(jackpot) == 5
            assert await server.stop() == 0
