"""Which URLs and which addresses are allowed: against an oracle that knows what each URL was made of."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Struct

from jackpotd.outbound.targets import Targets, check_prefix
from jackpotd.wire.catalog_records import Webhooks
from jackpotd.wire.webhook_urls import URL_CHARACTERS_MAX, Unusable, WebhookUrl, parse

PUBLIC = "93.184.216.34"


def targets(
    allow: Sequence[str] = (), own: Sequence[str] | None = None, operator: str = "op"
) -> Targets:
    """What is allowed to all, and what is to one operator."""
    webhooks = None if own is None else Webhooks(operator_id=operator, allow=tuple(own))
    return Targets(allow, {operator: webhooks}.get)


def is_allowed(prefix: str, url: str) -> bool:
    return targets([prefix]).refusal("op", url) is None


# -- URLs by their parts


class Parts(Struct, frozen=True):
    """What a URL is made of."""

    scheme: str
    host: str
    port: int
    segments: tuple[str, ...]


DEFAULT_PORTS = {"http": 80, "https": 443}

# Few of each, so that parts of two URLs often agree.
PARTS = st.builds(
    Parts,
    st.sampled_from(["http", "https"]),
    st.sampled_from(["a.example", "b.example", "xn--bcher-kva.example", "10.0.0.1", "2001:db8::1"]),
    st.sampled_from([80, 443, 8080]),
    st.lists(st.sampled_from(["hooks", "hooksx", "h", "x-1"]), max_size=3).map(tuple),
)


@st.composite
def spelt(draw: st.DrawFn, parts: Parts) -> str:
    """One of the ways to write the same URL, without a query."""
    scheme = draw(st.sampled_from([parts.scheme, parts.scheme.upper()]))
    host = draw(st.sampled_from(_hosts(parts.host)))
    ports = [f":{parts.port}", f":{parts.port:05d}"]
    if parts.port == DEFAULT_PORTS[parts.scheme]:
        ports += ["", ":"]
    path = "".join(f"/{draw(escaped(segment))}" for segment in parts.segments)
    return f"{scheme}://{host}{draw(st.sampled_from(ports))}{path}"


def _hosts(host: str) -> list[str]:
    if ":" in host:
        return [f"[{host}]", f"[{host.upper()}]", "[2001:0DB8:0:0:0:0:0:1]", "[2001:db8::0.0.0.1]"]
    hosts = [host, host.upper(), f"{host}."]
    if host.startswith("xn--"):
        hosts += ["bücher.example", "BÜCHER.example", "bücher。example", "bu\u0308cher.example."]
    if host == "a.example":
        hosts += ["\uff41.example", "\u24b6.example"]
    return hosts


@st.composite
def escaped(draw: st.DrawFn, text: str) -> str:
    """The same text, some of it percent-encoded without need."""
    written = ""
    for character in text:
        code = f"%{ord(character):02x}"
        written += draw(st.sampled_from([character, character, code, code.upper()]))
    return written


@st.composite
def prefix_and_url(draw: st.DrawFn) -> tuple[Parts, str, Parts, str]:
    prefix = draw(PARTS)
    url = draw(PARTS | st.just(prefix) | st.just(prefix).flatmap(_below))
    query = draw(st.sampled_from(["", "?", "?a=%2e%2e/../x", "?x[]=1"]))
    return prefix, draw(spelt(prefix)), url, draw(spelt(url)) + query


def _below(parts: Parts) -> st.SearchStrategy[Parts]:
    return st.builds(
        lambda more: Parts(parts.scheme, parts.host, parts.port, (*parts.segments, *more)),
        st.lists(st.sampled_from(["hooks", "x-1"]), min_size=1, max_size=2),
    )


@given(prefix_and_url())
def test_a_url_is_allowed_where_its_parts_begin_with_those_of_a_prefix(
    case: tuple[Parts, str, Parts, str],
) -> None:
    """However either of them is written."""
    prefix, prefix_text, url, url_text = case
    expected = (prefix.scheme, prefix.host, prefix.port) == (url.scheme, url.host, url.port)
    expected = expected and url.segments[: len(prefix.segments)] == prefix.segments
    assert check_prefix(prefix_text) is None
    assert is_allowed(prefix_text, url_text) == expected


@pytest.mark.parametrize(
    ("prefix", "url", "expected"),
    [
        ("https://a.example/hooks", "https://a.example/hooks", True),
        ("https://a.example/hooks", "https://a.example/hooks/", True),
        ("https://a.example/hooks", "https://a.example/hooks/x?y=1", True),
        ("https://a.example/hooks", "https://a.example/hooksx", False),
        ("https://a.example/hooks", "https://a.example/HOOKS", False),
        ("https://a.example/hooks", "https://a.example/hooks%2Fx", False),
        ("https://a.example/hooks/", "https://a.example/hooks", False),
        ("https://a.example/hooks/", "https://a.example/hooks/x", True),
        ("https://a.example", "https://a.example/anything", True),
        ("https://a.example", "https://a.example?query", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://a.example.evil.example", False),
        ("https://a.example", "https://evil.example", False),
        ("https://a.example", "https://www.a.example", False),
        ("https://a.example", "https://a.example:444", False),
        ("http://a.example:443", "https://a.example", False),
        ("http://127.0.0.1", "http://[::ffff:127.0.0.1]", False),
    ],
)
def test_prefixes_end_where_a_part_ends(prefix: str, url: str, expected: bool) -> None:
    """A host is not a prefix of another host, nor a name of another name."""
    assert is_allowed(prefix, url) == expected


BAD_URLS = [
    "",
    "a.example",
    "//a.example/x",
    "ftp://a.example/",
    "http\u017f://a.example/",
    "http:/a.example/",
    "http:\\\\a.example/",
    "http://",
    "http:///x",
    "http://?x",
    "http://user@a.example/",
    "http://user:word@a.example/",
    "http://@a.example/",
    "http://evil.example\\@a.example/",
    "http://evil.example#@a.example/",
    "http://a.example/x#",
    "http://a.example/x#fragment",
    "http://a.example\\x",
    "http://a.example/x\\y",
    "http://a.example/\tx",
    "http://a.exa\tmple/",
    "http://a.example/x\n",
    " http://a.example/",
    "http://a.example/ x",
    "http://a.example/ü",
    "http://a.example/%",
    "http://a.example/%zz",
    "http://a.example/?%z",
    "http://a.example/%00",
    "http://a.example/%0d%0aX: y",
    "http://a.example/.",
    "http://a.example/..",
    "http://a.example/hooks/../x",
    "http://a.example/hooks/%2e%2e/x",
    "http://a.example/hooks/.%2E/x",
    "http://a.example/hooks/%252e%252e/x",
    "http://a.example/hooks/%25252541",
    "http://a.example/hooks/%" + "25" * 900 + "41",
    "http://a.example/hooks/..%2fx",
    "http://a.example/hooks%2f..%2fx",
    "http://a.example/hooks/..%5cx",
    "http://a.example/hooks/..;a=b/x",
    "http://a.example:0/",
    "http://a.example:65536/",
    "http://a.example:-1/",
    "http://a.example:\uff18\uff10/",
    "http://a.example:80:80/",
    "http://a%2eexample/",
    "http://a..example/",
    "http://.a.example/",
    "http://a.example../",
    "http://-a.example/",
    "http://a b.example/",
    "http://a.example\u3000/",
    f"http://{'a' * 64}.example/",
    f"http://{'a.' * 127}example/",
    "http://127.1/",
    "http://127.0.0.1.2/",
    "http://0177.0.0.1/",
    "http://0x7f.0.0.1/",
    "http://0x7f000001/",
    "http://2130706433/",
    "http://127.0.0.256/",
    "http://a.example.0x1/",
    "http://::1/",
    "http://[::1/",
    "http://[::1%25eth0]/",
    "http://[::1]x/",
    "http://[127.0.0.1]/",
    "http://[]/",
    "http://*/",
    "http://*.example/",
    f"http://a.example/{'x' * URL_CHARACTERS_MAX}",
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_what_could_be_read_in_two_ways_is_refused(url: str) -> None:
    """As an entry and as a target, whatever is on the list."""
    everything = [
        f"{scheme}://{host}" for scheme in DEFAULT_PORTS for host in ("a.example", "[::1]")
    ]
    assert check_prefix(url) is not None
    refusal = targets([*everything, "http://127.0.0.1", "http://evil.example"]).refusal("op", url)
    assert refusal is not None
    assert "cannot be used" in refusal


def test_an_entry_has_no_query() -> None:
    """A prefix of a query means nothing."""
    assert check_prefix("http://a.example/?x=1") is not None


HOSTILE = st.text("htps:/.a1xé%2eF5c\\@#?[]\t\n ;\uff10\uff11\u3002", max_size=40).map(
    lambda text: f"http://{text}"
)


@given(HOSTILE | st.text(max_size=30))
@example("http://a.example/x%2Fy?z={}|`'")
@example("http://\uff41.example/")
@example("http://[::ffff:10.0.0.1]:8080/x")
def test_what_is_accepted_is_read_alike_by_other_parsers(text: str) -> None:
    """The client that connects must not see another host than the list did."""
    parsed = parse(text)
    if isinstance(parsed, Unusable):
        return
    assert parse(parsed.text) == parsed
    client, standard = httpx.URL(parsed.text), urlsplit(parsed.text)
    port = parsed.port if parsed.port != DEFAULT_PORTS[parsed.scheme] else None
    assert (client.scheme, client.raw_host.decode(), client.port) == (
        parsed.scheme,
        parsed.host,
        port,
    )
    assert client.raw_path.decode() == parsed.path + parsed.query
    assert (standard.scheme, standard.hostname, standard.port) == (parsed.scheme, parsed.host, port)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing raises: URLs come from outside."""
    assert isinstance(parse(text), WebhookUrl | Unusable)


def test_an_operator_has_the_global_entries_and_its_own() -> None:
    """And nobody else has its own."""
    asked = targets(["https://all.example"], ["https://own.example"], "op")
    assert asked.refusal("op", "https://all.example/x") is None
    assert asked.refusal("op", "https://own.example/x") is None
    assert asked.refusal("other", "https://all.example/x") is None
    assert asked.refusal("other", "https://own.example/x") is not None


def test_a_change_of_the_list_takes_effect_at_once() -> None:
    """The list is the catalog's at the moment of the question."""
    known: dict[str, Webhooks] = {}
    asked = Targets([], known.get)
    url = "https://a.example/x"
    assert asked.refusal("op", url) is not None
    known["op"] = Webhooks(operator_id="op", allow=("https://a.example",))
    assert asked.refusal("op", url) is None
    known["op"] = Webhooks(operator_id="op")
    assert asked.refusal("op", url) is not None
    known["op"] = Webhooks(operator_id="op", allow=("https://a.example", "no URL"))
    assert asked.refusal("op", url) is None
    del known["op"]
    assert asked.refusal("op", url) is not None


# -- addresses

INSIDE = [
    "0.0.0.0",  # noqa: S104 - no listener
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::5db8:d822",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
OUTSIDE = [
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:1.1.1.1",
    "64:ff9b::1.1.1.1",
    "2002:101:101::1",
]


@pytest.mark.parametrize("address", INSIDE)
def test_a_listed_name_opens_no_address_of_the_inside(address: str) -> None:
    """Whatever a resolver answers for it."""
    assert not targets(["http://a.example"]).may_connect("op", "http://a.example/x", address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_a_public_address_may_be_connected_to(address: str) -> None:
    """The list is of names; their public addresses change."""
    assert targets(["http://a.example"]).may_connect("op", "http://a.example/x", address)


@pytest.mark.parametrize("address", ["", "a.example", "127.1", "1.1.1.1.", "1.1.1.1 ", "[::1]"])
def test_what_is_no_address_is_not_connected_to(address: str) -> None:
    """A resolver of this machine may say anything."""
    allowed = targets(["http://a.example", "http://127.0.0.1", "http://[::1]"])
    assert not allowed.may_connect("op", "http://a.example/x", address)


@pytest.mark.parametrize(
    ("entry", "url", "address", "expected"),
    [
        ("http://10.0.0.1", "http://10.0.0.1/x", "10.0.0.1", True),
        ("http://10.0.0.1", "http://a.example/x", "10.0.0.1", True),
        ("http://10.0.0.1", "http://a.example/x", "10.0.0.2", False),
        ("http://10.0.0.1", "http://a.example/x", "::ffff:10.0.0.1", False),
        ("http://10.0.0.1", "https://a.example/x", "10.0.0.1", False),
        ("http://10.0.0.1", "http://a.example:8080/x", "10.0.0.1", False),
        ("http://10.0.0.1:8080", "http://a.example:8080/x", "10.0.0.1", True),
        ("http://10.0.0.1/hooks", "http://a.example/hooks/x", "10.0.0.1", True),
        ("http://10.0.0.1/hooks", "http://a.example/other", "10.0.0.1", False),
        ("http://[fd00::1]", "http://a.example/x", "fd00::1", True),
        ("http://[FD00:0::1]", "http://a.example/x", "fd00::1", True),
        ("http://[::ffff:10.0.0.1]", "http://a.example/x", "::ffff:10.0.0.1", True),
        ("http://localhost", "http://localhost/x", "127.0.0.1", True),
        ("http://localhost", "http://localhost/x", "::1", True),
        ("http://localhost", "http://a.example/x", "127.0.0.1", True),
        ("http://localhost", "http://localhost/x", "10.0.0.1", False),
        ("http://localhost", "http://localhost/x", "0.0.0.0", False),  # noqa: S104 - no listener
        ("http://localhost", "http://localhost:81/x", "127.0.0.1", False),
        ("http://127.0.0.1", "http://localhost/x", "127.0.0.1", True),
        ("http://127.0.0.1", "http://localhost/x", "127.0.0.2", False),
        ("http://169.254.169.254", "http://a.example/", "169.254.169.254", True),
    ],
)
def test_an_address_of_the_inside_is_open_where_it_is_listed_itself(
    entry: str,
    url: str,
    address: str,
    expected: bool,
) -> None:
    """With the same scheme, port and path as the URL's."""
    assert targets(["http://a.example", entry]).may_connect("op", url, address) == expected


def test_an_operators_own_entry_opens_an_address_for_it_alone() -> None:
    """Another operator that names the same host does not get in."""
    asked = targets(["http://a.example"], ["http://10.0.0.1"], "op")
    assert asked.may_connect("op", "http://a.example/", "10.0.0.1")
    assert not asked.may_connect("other", "http://a.example/", "10.0.0.1")


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_an_ipv6_form_of_an_ipv4_address_is_no_way_in(address: IPv4Address) -> None:
    """What may not be reached may not be reached through a form that carries it."""
    allowed = targets(["http://a.example"])
    number = int(address)
    forms = [
        IPv6Address(number),
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address((0x64FF9B << 96) | number),
        IPv6Address((0x2002 << 112) | (number << 80)),
        IPv6Address((0x20010000 << 96) | (number ^ 0xFFFFFFFF)),
    ]
    plain = allowed.may_connect("op", "http://a.example/", str(address))
    assert not plain or address.is_global
    for form in forms:
        assert plain or not allowed.may_connect("op", "http://a.example/", str(form))


@given(st.ip_addresses())
def test_nothing_that_is_not_global_is_open(address: IPv4Address | IPv6Address) -> None:
    """What Python's own table calls private, reserved or multicast is not connected to."""
    if targets(["http://a.example"]).may_connect("op", "http://a.example/", str(address)):
        inner = address
        if isinstance(address, IPv6Address) and (mapped := address.ipv4_mapped):
            inner = mapped
        assert not inner.is_private
        assert not inner.is_multicast
        assert not inner.is_loopback
        assert not inner.is_link_local
        assert ip_address(str(inner)) == inner
