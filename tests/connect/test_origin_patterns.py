"""Origins of browsers: what is one, and what each kind of entry lets in."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackpotd.connect.origin_desk import EXPRESSIONS_MAX, ORIGINS_MAX
from jackpotd.edge import origin_patterns
from jackpotd.edge.origin_patterns import (
    ORIGIN_LENGTH_MAX,
    BadPattern,
    Expression,
    entry,
    parsed,
)
from jackpotd.edge.origins import DECISIONS_MAX, AllowedOrigins, check_socket, is_own
from jackpotd.engine.catalog import Catalog
from jackpotd.wire.catalog_records import Origin, Origins
from jackpotd.wire.errors import RequestRefused

Mode = str


def allowing(*origins: Origin) -> AllowedOrigins:
    catalog = Catalog()
    catalog.apply(Origins(origins=origins))
    return AllowedOrigins(catalog)


def lets_in(pattern: str, mode: Mode, origin: str) -> bool:
    address = parsed(origin)
    return address is not None and entry(pattern, mode).matches(address)


@pytest.mark.parametrize(
    ("origin", "canonical"),
    [
        ("https://casino.example", "https://casino.example"),
        ("HTTPS://Casino.Example:443", "https://casino.example"),
        ("http://casino.example:80", "http://casino.example"),
        ("http://casino.example:443", "http://casino.example:443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://[0:0::1]", "http://[::1]"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_an_origin_has_one_form(origin: str, canonical: str) -> None:
    assert canonical == str(parsed(origin))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "*",
        "casino.example",
        "//casino.example",
        "https://",
        "https://casino.example/",
        "https://casino.example/path",
        "https://casino.example?x",
        "https://casino.example#x",
        "https://anna@casino.example",
        "https://anna:secret@casino.example",
        "https://casino.example:",
        "https://casino.example:65536",
        "https://casino.example:x",
        "https://casino.example, https://other.example",
        "https://casino.example https://other.example",
        "https://casino..example",
        "https://casino.example.",
        "https://.example",
        "https://-casino.example",
        "https://*.casino.example",
        "https://casino.example\n",
        "https://[::g]",
        "https://cas\u0131no.example",
        "https://\u212aasino.example",
        "https://" + "a" * 64 + ".example",
        "https://" + "a." * 150 + "example",
    ],
)
def test_what_is_no_origin_is_none(text: str) -> None:
    assert parsed(text) is None


@pytest.mark.parametrize(
    ("pattern", "origin", "is_in"),
    [
        ("https://casino.example", "https://casino.example", True),
        ("https://Casino.Example:443", "https://casino.example", True),
        ("https://casino.example", "https://CASINO.example:443", True),
        ("https://casino.example", "http://casino.example", False),
        ("https://casino.example", "https://casino.example:8443", False),
        ("https://casino.example", "https://www.casino.example", False),
        ("https://casino.example", "https://casino.example.evil.example", False),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000", True),
    ],
)
def test_an_exact_entry_lets_in_its_origin_alone(pattern: str, origin: str, is_in: bool) -> None:
    assert is_in == lets_in(pattern, "Exact", origin)


@pytest.mark.parametrize(
    ("pattern", "origin", "is_in"),
    [
        (".casino.example", "https://www.casino.example", True),
        (".casino.example", "http://a.b.casino.example", True),
        (".casino.example", "https://casino.example", False),
        ("casino.example", "https://casino.example", True),
        ("casino.example", "https://www.casino.example", True),
        ("casino.example", "https://evilcasino.example", False),
        ("casino.example", "https://casino.example.evil.example", False),
        ("casino.example", "https://www.casino.example:8443", False),
        ("casino.example:8443", "https://www.casino.example:8443", True),
        ("https://casino.example", "https://www.casino.example", True),
        ("https://casino.example", "http://www.casino.example", False),
        ("https://.casino.example", "https://casino.example", False),
        ("casino.example", "capacitor://casino.example", False),
        ("localhost", "http://app.localhost", True),
        ("localhost:3000", "http://localhost:3000", True),
    ],
)
def test_a_suffix_ends_at_the_border_of_a_label(pattern: str, origin: str, is_in: bool) -> None:
    assert is_in == lets_in(pattern, "Suffix", origin)


@pytest.mark.parametrize(
    ("pattern", "origin", "is_in"),
    [
        (r"https://[a-z]+\.casino\.example", "https://www.casino.example", True),
        (r"https://[a-z]+\.casino\.example", "https://www.casino.example.evil.example", False),
        (r"https://[a-z]+\.casino\.example", "xhttps://www.casino.example", False),
        (r"https://([a-z0-9-]+\.)+casino\.example", "https://a.b.casino.example", True),
        (r"https://.*\.casino\.example(:\d+)?", "https://a.casino.example:8443", True),
        (r"https://casino\.example", "HTTPS://casino.example:443", True),
        (r"^https://casino\.example$", "https://casino.example", True),
    ],
)
def test_an_expression_is_about_the_whole_origin(pattern: str, origin: str, is_in: bool) -> None:
    assert is_in == lets_in(pattern, "Regex", origin)


@pytest.mark.parametrize(
    ("pattern", "mode"),
    [
        ("*", "Exact"),
        ("null", "Exact"),
        ("https://casino.example/path", "Exact"),
        ("https://anna@casino.example", "Exact"),
        ("casino.example", "Exact"),
        ("*", "Suffix"),
        ("*.casino.example", "Suffix"),
        ("example", "Suffix"),
        (".com", "Suffix"),
        ("0.1", "Suffix"),
        ("casino.example/path", "Suffix"),
        ("anna@casino.example", "Suffix"),
        ("casino.example:99999", "Suffix"),
        ("*", "Regex"),
        ("https://(casino", "Regex"),
        (r"https://(?=casino)", "Regex"),
        (r"(a)\1", "Regex"),
        ("(((a{100}){100}){100})", "Regex"),
        (r"(?i)\p{Greek}[\pL]{2}\PN{2}N", "Regex"),
        (r"https://casino\.\PL+", "Regex"),
        ("https://cas\u0131no.example", "Regex"),
        ("(?:a?){500}a{500}", "Regex"),
        ("https://casino.example", "Wildcard"),
    ],
)
def test_what_could_let_in_strangers_is_no_pattern(pattern: str, mode: Mode) -> None:
    with pytest.raises(BadPattern):
        entry(pattern, mode)


def test_a_change_of_the_list_counts_from_its_moment_on() -> None:
    """Also for origins that were decided on before."""
    catalog = Catalog()
    origins = AllowedOrigins(catalog)
    assert not origins.allows("https://casino.example")

    catalog.apply(Origins(origins=(Origin(pattern="casino.example", match_mode="Suffix"),)))
    assert origins.allows("https://casino.example")
    assert not origins.allows("null")

    catalog.apply(Origins(origins=()))
    assert not origins.allows("https://casino.example")


def test_an_entry_counts_for_its_operator_and_that_of_the_platform_for_all() -> None:
    """What is public may be read by pages of any list."""
    origins = allowing(
        Origin(pattern="https://one.example", match_mode="Exact", operator_id="one"),
        Origin(pattern="two.example", match_mode="Suffix", operator_id="two"),
        Origin(pattern="https://all.example", match_mode="Exact"),
    )
    for page, operators in (
        ("https://one.example", {"one"}),
        ("https://two.example", {"two"}),
        ("https://all.example", {"one", "two", "three"}),
        ("https://evil.example", set()),
    ):
        assert bool(operators) == origins.allows(page)
        allowed = {each for each in ("one", "two", "three") if origins.allows(page, each)}
        assert operators == allowed


def test_what_is_remembered_of_strangers_is_bounded() -> None:
    origins = allowing(Origin(pattern="https://casino.example", match_mode="Exact"))
    for number in range(DECISIONS_MAX + 10):
        assert not origins.allows(f"https://stranger{number}.example")
    assert len(origins._decided) <= DECISIONS_MAX
    assert origins.allows("https://casino.example")


def test_an_entry_is_compiled_once_whatever_else_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []

    class Counted(Expression):
        def __init__(self, pattern: str) -> None:
            compiled.append(pattern)
            super().__init__(pattern)

    monkeypatch.setattr(origin_patterns, "Expression", Counted)
    patterns = [rf"https://\w+\.casino{number}\.example" for number in range(5)]
    listed = tuple(Origin(pattern=pattern, match_mode="Regex") for pattern in patterns)
    catalog = Catalog()
    origins = AllowedOrigins(catalog)
    for number in range(1, 6):
        catalog.apply(Origins(origins=listed[:number]))
        assert origins.allows(f"https://www.casino{number - 1}.example")
    assert patterns == compiled


def test_a_stranger_is_not_compared_with_every_entry() -> None:
    """A hundred operators with full lists cost a handshake next to nothing."""
    listed = []
    for operator in range(100):
        for number in range(ORIGINS_MAX - EXPRESSIONS_MAX):
            mode: Any = "Exact" if number % 2 else "Suffix"
            pattern = f"https://a{number}.casino{operator}.example"
            listed.append(Origin(pattern=pattern, match_mode=mode, operator_id=f"op{operator}"))
        for number in range(EXPRESSIONS_MAX):
            pattern = rf"https://(b{number}\.)+casino{operator}\.example"
            listed.append(Origin(pattern=pattern, match_mode="Regex", operator_id=f"op{operator}"))
    origins = allowing(*listed)
    assert origins.allows("https://a1.casino99.example", "op99")
    assert not origins.allows("https://a1.casino99.example", "op98")
    assert origins.allows("https://b3.b3.casino7.example", "op7")
    strangers = [f"https://s{number}.stranger.example" for number in range(200)]
    began = time.process_time()
    assert not any(origins.allows(stranger, "op5") for stranger in strangers)
    assert (time.process_time() - began) / len(strangers) < 0.002
    began = time.process_time()
    assert not any(origins.allows(stranger) for stranger in strangers[:20])
    assert (time.process_time() - began) / 20 < 0.05


def test_a_listed_entry_that_cannot_be_read_any_more_lets_nobody_in() -> None:
    """Those beside it count as they did."""
    origins = allowing(
        Origin(pattern="https://(", match_mode="Regex"),
        Origin(pattern="https://casino.example", match_mode="Exact"),
    )
    assert origins.allows("https://casino.example")
    assert not origins.allows("https://(")


def test_no_origin_keeps_an_expression_busy() -> None:
    """Expressions that take other engines years for such a text."""
    for pattern in ("(.*.*.*)+(.*.*)*x", "([a-z]+)*!", "(a|a|a|a)*(a|a)*b", "(?:a?){90}a{90}"):
        origins = allowing(Origin(pattern=pattern, match_mode="Regex"))
        began = time.perf_counter()
        assert not origins.allows("https://" + "a" * 60 + "." + "a" * 60 + "." + "a" * 60 + ".aa")
        assert time.perf_counter() - began < 0.5


@given(st.text(max_size=ORIGIN_LENGTH_MAX + 20))
def test_whatever_comes_as_an_origin_is_decided(text: str) -> None:
    """What has one form keeps it, and a stranger is never let in."""
    origins = allowing(
        Origin(pattern="https://casino.example", match_mode="Exact"),
        Origin(pattern=".casino.example", match_mode="Suffix"),
        Origin(pattern=r"https://\w+\.partner\.example", match_mode="Regex"),
    )
    address = parsed(text)
    if address is not None:
        assert address == parsed(str(address))
    if origins.allows(text):
        assert address is not None
        assert address.host.endswith(("casino.example", ".partner.example"))


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "expected"),
    [
        ("http://127.0.0.1:11000", "127.0.0.1:11000", "http", True),
        ("https://connect.example", "connect.example", "https", True),
        ("http://connect.example", "connect.example", "https", False),
        ("http://127.0.0.1:11001", "127.0.0.1:11000", "http", False),
        ("null", "127.0.0.1:11000", "http", False),
        ("http://127.0.0.1:11000", "", "http", False),
    ],
)
def test_a_listener_knows_its_own_pages(
    origin: str, host: str, scheme: str, expected: bool
) -> None:
    assert expected == is_own(origin, host, scheme)


def test_a_socket_without_an_origin_is_nobodys_page() -> None:
    origins = allowing()
    check_socket(origins, {"host": "connect.example"}, "https")
    for origin in ("https://evil.example", "null", "", "https://connect.example, null"):
        with pytest.raises(RequestRefused) as refused:
            check_socket(origins, {"host": "connect.example", "origin": origin}, "https")
        assert 403 == refused.value.body.status_code
