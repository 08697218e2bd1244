"""Single attempts, against receivers on real sockets that do everything but what they should."""

import random
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from ipaddress import ip_address

import pytest
import trio
import trustme

from jackpotd.outbound.measured_streams import ANSWER_BYTES_MAX
from jackpotd.outbound.resolving import Resolve, SystemResolver
from jackpotd.outbound.sending import RETRY_AFTER_MS_MAX, Answer, Post, Receiver
from jackpotd.outbound.targets import Targets
from jackpotd.wire.catalog_records import Webhooks
from jackpotd.wire.webhook_urls import WebhookUrl, parse
from tests.outbound import receivers
from tests.outbound.receivers import answering, receiving, saying

DEADLINE_S = 20
TIMEOUT_S = 0.3
NOW_MS = 1_700_000_000_000


def post(url: str, body: bytes = b'{"a":1}') -> Post:
    parsed = parse(url)
    assert isinstance(parsed, WebhookUrl)
    return Post(parsed, {"content-type": "application/json", "webhook-id": "a"}, body)


def anywhere(_address: str) -> bool:
    return True


def of_nobody(_operator: str) -> Webhooks | None:
    """No operator has entries of its own."""
    return None


def says(*answers: Sequence[str]) -> tuple[Resolve, list[str]]:
    """A resolver that gives one answer after the other, the last one for ever; and what it was asked."""
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolve, asked


@asynccontextmanager
async def sender(
    resolve: Resolve | None = None,
    *,
    timeout_s: float = 5.0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Receiver]:
    """Our side of an origin, with its connections."""
    ours = Receiver(
        resolve or SystemResolver(threads_max=4),
        tls or ssl.create_default_context(),
        timeout_s=timeout_s,
        connections_max=4,
    )
    try:
        yield ours
    finally:
        await ours.close()


async def attempt(url: str, *, timeout_s: float = 5.0) -> Answer:
    async with sender(timeout_s=timeout_s) as ours:
        return await ours.send(post(url), anywhere, NOW_MS)


# -- what is sent


async def test_the_request_is_as_it_was_given() -> None:
    """Method, path with its escapes, query, host, headers and body."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(204)) as receiver, sender() as ours:
            url = f"{receiver.origin}/hooks/a%2Fb;c=1?x[]=%2e%2e&y={{}}"
            answer = await ours.send(post(url, b'{"\xc3\xbc":2}'), anywhere, NOW_MS)
            assert answer == Answer(204, "status 204")
            (request,) = receiver.requests
            assert (request.method, request.target) == (
                "POST",
                "/hooks/a%2Fb;c=1?x[]=%2e%2e&y={}",
            )
            assert request.body == b'{"\xc3\xbc":2}'
            assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
            assert request.headers["content-type"] == "application/json"
            assert request.headers["content-length"] == "8"
            assert request.headers["webhook-id"] == "a"


async def test_a_connection_is_used_again() -> None:
    """For one receiver's results in a row."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(200)) as receiver, sender() as ours:
            for _ in range(5):
                assert (await ours.send(post(receiver.origin), anywhere, NOW_MS)).is_taken
            assert receiver.connections == 1


async def test_nothing_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy could go where we may not."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(200)) as receiver:
            assert (await attempt(receiver.origin)).is_taken


async def test_cookies_do_not_come_back() -> None:
    """What one answer sets is in no other request."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(200, {"Set-Cookie": "a=b"})) as receiver, sender() as ours:
            for _ in range(2):
                await ours.send(post(receiver.origin), anywhere, NOW_MS)
            assert ["cookie" in request.headers for request in receiver.requests] == [False, False]


# -- what is answered


@pytest.mark.parametrize("status", [200, 202, 299, 400, 404, 410, 429, 500, 599])
async def test_the_status_is_the_answer(status: int) -> None:
    """Whatever stands in the body."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(status)) as receiver:
            assert await attempt(receiver.origin) == Answer(status, f"status {status}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """Neither to another receiver nor to the same one."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(200)) as other:
            answer = answering(status, {"Location": f"{other.origin}/inside"})
            async with receiving(answer) as receiver:
                assert (await attempt(receiver.origin)).status == status
                assert len(receiver.requests) == 1
            assert [] == other.requests


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("0", 0),
        ("7", 7_000),
        ("86401", RETRY_AFTER_MS_MAX),
        ("9" * 5000, RETRY_AFTER_MS_MAX),
        ("-7", 0),
        ("7.5", 0),
        ("soon", 0),
        (format_datetime(datetime.fromtimestamp(NOW_MS / 1000 + 90, UTC), usegmt=True), 90_000),
        (format_datetime(datetime.fromtimestamp(NOW_MS / 1000 - 90, UTC), usegmt=True), 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_MS_MAX),
        ("Fri, 31 Dec 99999999999999999999 23:59:59 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00 +99999999", 0),
    ],
)
async def test_a_receiver_may_say_when(text: str, expected_ms: int) -> None:
    """In seconds or as a date, up to a day; what is neither counts for nothing."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(503, {"Retry-After": text})) as receiver:
            assert (await attempt(receiver.origin)).retry_after_ms == expected_ms


# -- receivers that break


async def test_a_receiver_that_is_not_there_is_a_failure() -> None:
    """Its machine refuses the connection."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(200)) as receiver:
            origin = receiver.origin
        answer = await attempt(origin)
        assert answer.status is None
        assert "connect" in answer.reason.lower()


@pytest.mark.parametrize(
    ("behaviour", "word"),
    [
        (receivers.closing, "RemoteProtocolError"),
        (saying(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), "Error"),
        (saying(b"HTTP/1.1 2000 OK\r\n\r\n"), "Error"),
        (saying(b"SSH-2.0-OpenSSH_9.2\r\n"), "Error"),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), "Error"),
        (saying(b"HTTP/1.1 200 OK\r\nA: " + b"a" * 200_000), "Error"),
        (saying(b"\0" * 100), "Error"),
    ],
)
async def test_what_is_no_answer_is_a_failure(behaviour: receivers.Behaviour, word: str) -> None:
    """It is said what it was, shortly."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(behaviour) as receiver:
            answer = await attempt(receiver.origin)
            assert answer.status is None
            assert word in answer.reason
            assert len(answer.reason) <= 200


async def test_any_bytes_are_an_answer_or_a_failure() -> None:
    """No receiver makes anything else happen here, whatever it sends."""
    seed = random.randrange(1 << 32)
    print("seed", seed)  # noqa: T201 - shown when it fails
    chance = random.Random(seed)
    good = b"HTTP/1.1 200 OK\r\nRetry-After: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    statuses: set[int | None] = set()

    async def mutant(_request: receivers.Received, stream: trio.abc.Stream) -> None:
        answer = bytearray(good)
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(answer))
            answer[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        await stream.send_all(answer)
        await stream.aclose()

    with trio.fail_after(DEADLINE_S):
        async with receiving(mutant) as receiver, sender() as ours:
            for _ in range(400):
                answer = await ours.send(post(receiver.origin), anywhere, NOW_MS)
                assert 0 <= answer.retry_after_ms <= RETRY_AFTER_MS_MAX
                statuses.add(answer.status)
    assert {None, 200} <= statuses


async def test_a_receiver_that_hangs_is_given_up_after_the_timeout() -> None:
    """Its request is cut off, too."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(receivers.hanging) as receiver:
            answer = await attempt(receiver.origin, timeout_s=TIMEOUT_S)
            assert answer == Answer(None, "no answer within 0.3 s")


@pytest.mark.parametrize(
    "behaviour",
    [
        receivers.endless,
        receivers.dribbling,
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc"),
        saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        saying(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nno gzip"),
        saying(b"HTTP/1.1 200 OK\r\nRetry-After: \xff\xfe\r\n\r\n"),
    ],
)
async def test_a_head_that_says_taken_is_enough(behaviour: receivers.Behaviour) -> None:
    """Whether its body has no end, or breaks off, or is rubbish: the receiver has the result."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(behaviour) as receiver, sender() as ours:
            assert await ours.send(post(receiver.origin), anywhere, NOW_MS) == Answer(
                200, "status 200"
            )
            receiver.behaviour = answering(201)
            assert (await ours.send(post(receiver.origin), anywhere, NOW_MS)).status == 201
            assert receiver.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Go on\r\n\r\n" * 4_000 + b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 8_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nSet-Cookie2: " + b"a=b," * 8_000 + b"\r\n\r\n",
    ],
    ids=["interim", "headers", "cookies"],
)
async def test_a_head_without_end_is_cut_off(answer: bytes) -> None:
    """However it is made up: parsing it would keep everybody else waiting."""
    with trio.fail_after(DEADLINE_S):
        async with receiving(saying(answer)) as receiver:
            got = await attempt(receiver.origin)
    assert got.status is None
    assert f"more than {ANSWER_BYTES_MAX} bytes" in got.reason


async def test_a_body_of_many_chunks_is_not_read() -> None:
    """The status is enough, and the connection is not used again."""
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 20_000
    with trio.fail_after(DEADLINE_S):
        async with receiving(saying(chunks)) as receiver, sender() as ours:
            for count in (1, 2):
                assert (await ours.send(post(receiver.origin), anywhere, NOW_MS)).is_taken
                assert receiver.connections == count


async def test_a_head_that_comes_a_byte_at_a_time_is_not_waited_for() -> None:
    """The timeout is for the whole attempt, not for each byte."""

    async def slow(_request: receivers.Received, stream: trio.abc.Stream) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000:
            await stream.send_all(bytes([byte]))
            await trio.sleep(0.01)

    with trio.fail_after(DEADLINE_S):
        async with receiving(slow) as receiver:
            answer = await attempt(receiver.origin, timeout_s=TIMEOUT_S)
            assert answer == Answer(None, "no answer within 0.3 s")


async def test_a_receiver_that_does_not_read_is_not_waited_for() -> None:
    """A body that it lets lie in the buffers of both machines."""

    async def deaf(_stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, deaf, [listener])
            origin = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
            async with sender(timeout_s=TIMEOUT_S) as ours:
                answer = await ours.send(post(origin, b"x" * 20_000_000), anywhere, NOW_MS)
            assert answer == Answer(None, "no answer within 0.3 s")
            nursery.cancel_scope.cancel()


async def test_a_receiver_that_restarts_is_found_again() -> None:
    """A connection that was open does not come in the way of the next attempts for good."""
    with trio.fail_after(DEADLINE_S):
        async with sender() as ours:
            async with receiving(answering(200)) as receiver:
                port, url = receiver.port, post(receiver.origin)
                assert (await ours.send(url, anywhere, NOW_MS)).is_taken
            assert (await ours.send(url, anywhere, NOW_MS)).status is None
            async with receiving(answering(200), port=port):
                assert (await ours.send(url, anywhere, NOW_MS)).is_taken


# -- where it is sent


async def test_only_addresses_that_are_permitted_are_connected_to() -> None:
    """Those that are not are passed over, though they come first."""
    resolve, _ = says(["127.0.0.2", "127.0.0.1"])
    with trio.fail_after(DEADLINE_S):
        async with (
            receiving(answering(200)) as receiver,
            receiving(answering(500), host="127.0.0.2", port=receiver.port) as other,
            sender(resolve) as ours,
        ):
            url = post(f"http://a.example:{receiver.port}/x")
            answer = await ours.send(url, lambda address: address == "127.0.0.1", NOW_MS)
            assert answer.is_taken
            assert receiver.requests[0].headers["host"] == f"a.example:{receiver.port}"
            assert other.connections == 0


@pytest.mark.parametrize("addresses", [[], ["127.0.0.1", "10.0.0.1", "::1", "::ffff:127.0.0.1"]])
async def test_a_host_without_a_permitted_address_is_not_called(addresses: list[str]) -> None:
    """A listed name does not open this machine."""
    resolve, _ = says(addresses)
    allowed = Targets(["http://a.example:8080", "http://a.example"], of_nobody)
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(200)) as receiver, sender(resolve) as ours:
            url = f"http://a.example:{receiver.port}/x"
            answer = await ours.send(
                post(url), lambda each: allowed.may_connect("op", url, each), NOW_MS
            )
            assert answer == Answer(None, "a.example has no address that may be connected to")
            assert receiver.connections == 0


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"]
)
async def test_this_machine_is_not_called_unless_it_is_listed(host: str) -> None:
    """By the system's own resolver, in every form."""
    with trio.fail_after(DEADLINE_S):
        bind = "::1" if host == "[::1]" else "127.0.0.1"
        async with receiving(answering(200), host=bind) as receiver, sender() as ours:
            url = f"http://{host}:{receiver.port}/x"
            for allow, is_called in ([], False), ([f"http://{host}:{receiver.port}"], True):
                allowed = Targets(allow, of_nobody)
                answer = await ours.send(post(url), _permission(allowed, url), NOW_MS)
                assert (answer.status == 200) == is_called
                assert bool(receiver.connections) == is_called


def _permission(allowed: Targets, url: str) -> Callable[[str], bool]:
    return lambda address: allowed.may_connect("op", url, address)


async def test_a_name_that_moves_inside_is_not_followed() -> None:
    """Rebinding: the first answer of the resolver is public, the second is this machine, and the third is again."""
    resolve, asked = says(["192.0.2.1"], ["127.0.0.1"])

    def public(address: str) -> bool:
        # The test's own public address, of those for documentation: nothing answers there.
        return address == "192.0.2.1" or ip_address(address).is_global

    with trio.fail_after(DEADLINE_S):
        async with (
            receiving(answering(200)) as receiver,
            sender(resolve, timeout_s=1.0) as ours,
        ):
            url = post(f"http://a.example:{receiver.port}/x")
            first = await ours.send(url, public, NOW_MS)
            assert first.status is None
            second = await ours.send(url, public, NOW_MS)
            assert second == Answer(None, "a.example has no address that may be connected to")
            assert asked == ["a.example", "a.example"]
            assert receiver.connections == 0


async def test_an_open_connection_is_not_used_once_its_address_is_forbidden() -> None:
    """Permission is asked for each attempt, not for each connection."""
    resolve, _ = says(["127.0.0.1"])
    permitted = {"127.0.0.1"}
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(200)) as receiver, sender(resolve) as ours:
            url = post(f"http://a.example:{receiver.port}/x")
            assert (await ours.send(url, permitted.__contains__, NOW_MS)).is_taken
            permitted.clear()
            assert (await ours.send(url, permitted.__contains__, NOW_MS)).status is None
            assert len(receiver.requests) == 1


async def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    """And the one that does is the first to be tried from then on."""
    resolve, asked = says(["127.0.0.2", "127.0.0.1"])
    tried: list[str] = []

    def permit(address: str) -> bool:
        tried.append(address)
        return True

    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(200)) as receiver, sender(resolve) as ours:
            url = post(f"http://a.example:{receiver.port}/x")
            for _ in range(2):
                assert (await ours.send(url, permit, NOW_MS)).is_taken
            assert tried == ["127.0.0.2", "127.0.0.1", "127.0.0.1", "127.0.0.2"]
            assert asked == ["a.example"]


async def test_a_resolver_that_fails_or_hangs_is_a_failure() -> None:
    """For this attempt; the next one asks again."""

    async def none(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such host")

    async def hangs(_host: str, _port: int) -> Sequence[str]:
        await trio.sleep_forever()
        raise AssertionError

    with trio.fail_after(DEADLINE_S):
        async with sender(none) as ours:
            answer = await ours.send(post("http://a.example/x"), anywhere, NOW_MS)
            assert answer == Answer(None, "OSError: no such host")
        async with sender(hangs, timeout_s=TIMEOUT_S) as ours:
            answer = await ours.send(post("http://a.example/x"), anywhere, NOW_MS)
            assert answer == Answer(None, "no answer within 0.3 s")


async def test_the_system_knows_this_machine_and_not_what_is_invalid() -> None:
    """A name under .invalid has no address (RFC 6761)."""
    resolve = SystemResolver(threads_max=2)
    with trio.fail_after(DEADLINE_S):
        assert "127.0.0.1" in await resolve("localhost", 80)
        assert ["127.0.0.1"] == list(await resolve("127.0.0.1", 80))
        assert ["::1"] == list(await resolve("::1", 80))
        with pytest.raises(OSError, match=r"."):
            await resolve("name.invalid", 80)


# -- TLS


def _contexts(*names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A receiver's side, with a certificate for names, and ours, that trusts whoever issued it."""
    authority = trustme.CA()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    return theirs, ours


async def test_a_certificate_is_checked_against_the_name() -> None:
    """Though it is an address that is connected to."""
    theirs, ours = _contexts("a.example")
    resolve, _ = says(["127.0.0.1"])
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(200), tls=theirs) as receiver:
            for name, is_taken in ("a.example", True), ("b.example", False):
                async with sender(resolve, tls=ours) as sending:
                    url = f"https://{name}:{receiver.port}/x"
                    answer = await sending.send(post(url), anywhere, NOW_MS)
                    assert answer.is_taken == is_taken
                    assert is_taken or "certificate" in answer.reason.lower()
            assert len(receiver.requests) == 1


async def test_a_certificate_of_nobody_we_trust_is_refused() -> None:
    """The request is not sent."""
    theirs, _ = _contexts("127.0.0.1")
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(200), tls=theirs) as receiver:
            answer = await attempt(receiver.origin)
            assert answer.status is None
            assert [] == receiver.requests


async def test_plain_text_where_tls_is_expected_is_a_failure() -> None:
    """And the other way round."""
    theirs, _ = _contexts("127.0.0.1")
    with trio.fail_after(DEADLINE_S):
        async with receiving(answering(200)) as receiver:
            origin = receiver.origin.replace("http:", "https:")
            assert (await attempt(origin, timeout_s=TIMEOUT_S)).status is None
        async with receiving(answering(200), tls=theirs) as receiver:
            origin = receiver.origin.replace("https:", "http:")
            assert (await attempt(origin, timeout_s=TIMEOUT_S)).status is None
