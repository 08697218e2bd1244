"""The workload: seeded, unique keys, requests that are what they say."""

import json
from itertools import islice
from typing import Any

import httptools
import pytest

from bench.generator.workload import BATCH_PATH, V1_PATH, V2_PATH, VARIANTS, Requests, Workload
from jackpotd.wire import codec
from jackpotd.wire import gateway_messages as wire


class Parsed:
    """What a server's parser makes of one request."""

    def __init__(self, data: bytes) -> None:
        self.url = self.body = b""
        self.headers: dict[bytes, bytes] = {}
        self.is_complete = False
        httptools.HttpRequestParser(self).feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_complete = True


def some(workload: Workload, count: int, run: str = "run") -> list[bytes]:
    requests = Requests(workload, host="localhost:1", token="abc", run=run)
    return list(islice(iter(requests.next, b""), count))


def test_same_seed_same_traffic_and_another_seed_another() -> None:
    """Only the run's name tells two runs of a seed apart."""
    first = some(Workload(seed=7), 50)

    assert first == some(Workload(seed=7), 50)
    assert first != some(Workload(seed=8), 50)
    assert [each.replace(b"run", b"two") for each in first] == some(Workload(seed=7), 50, "two")


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_requests_are_complete_and_decode_as_the_gateway_does(share: float) -> None:
    """Lengths, paths and bodies are right, in both versions of the call."""
    paths = set()
    for data in some(Workload(v1_share=share), 200):
        parsed = Parsed(data)
        assert parsed.is_complete
        assert parsed.headers[b"authorization"] == b"Bearer abc"
        is_v2 = parsed.url == V2_PATH.encode()
        message: Any = wire.ContributionV2 if is_v2 else wire.SourceContributionV1
        assert codec.decode(codec.decoder(message), parsed.body)
        paths.add(parsed.url.decode())

    assert paths == {path for path, part in ((V1_PATH, share), (V2_PATH, 1 - share)) if part}


def test_keys_and_rounds_never_repeat() -> None:
    """Also when the variants come round again."""
    bodies = [json.loads(Parsed(data).body) for data in some(Workload(), VARIANTS + 100)]

    assert len({body["options"]["idempotency_key"] for body in bodies}) == len(bodies)
    assert len({body["source"]["id"] for body in bodies}) == len(bodies)


@pytest.mark.parametrize("is_ndjson", [False, True])
def test_batch_holds_its_elements_each_with_a_key(is_ndjson: bool) -> None:
    """An array or lines; no key is in two requests."""
    keys: list[str] = []
    for data in some(Workload(batch=5, is_ndjson=is_ndjson, v1_share=0.5), 3):
        parsed = Parsed(data)
        assert parsed.is_complete
        assert parsed.url == BATCH_PATH.encode()
        elements = (
            [json.loads(line) for line in parsed.body.splitlines()]
            if is_ndjson
            else json.loads(parsed.body)
        )
        keys += [element["options"]["idempotency_key"] for element in elements]

    assert len(keys) == len(set(keys)) == 15


def test_instances_are_addressed_directly() -> None:
    """Where instances are named, no source is."""
    targets = {
        (body["target"]["type"], body["target"]["id"])
        for data in some(Workload(instances=("one", "two")), 50)
        for body in [json.loads(Parsed(data).body)]
    }

    assert targets == {("instance", "one"), ("instance", "two")}
