"""HMAC_DRBG: the vectors of NIST, when it seeds itself anew, and that it fails closed."""

import hashlib
from collections.abc import Callable

import pytest

from jackpotd.core.drbg import REQUEST_BYTES_MAX, RESEED_EVERY_MAX, Drbg, EntropyFailed

unhex = bytes.fromhex


class Source:
    """Entropy from a list; afterwards, blocks that count."""

    def __init__(self, *reads: bytes) -> None:
        self.reads = list(reads)
        self.asked: list[int] = []

    def __call__(self, length_bytes: int) -> bytes:
        self.asked.append(length_bytes)
        if self.reads:
            return self.reads.pop(0)
        return hashlib.shake_256(len(self.asked).to_bytes(8, "big")).digest(length_bytes)


@pytest.mark.parametrize(
    ("entropy", "nonce", "personalisation", "expected"),
    [
        pytest.param(
            "ca851911349384bffe89de1cbdc46e6831e44d34a4fb935ee285dd14b71a7488",
            "659ba96c601dc69fc902940805ec0ca8",
            "",
            "e528e9abf2dece54d47c7e75e5fe302149f817ea9fb4bee6f4199697d04d5b89"
            "d54fbb978a15b5c443c9ec21036d2460b6f73ebad0dc2aba6e624abf07745bc1"
            "07694bb7547bb0995f70de25d6b29e2d3011bb19d27676c07162c8b5ccde0668"
            "961df86803482cb37ed6d5c0bb8d50cf1f50d476aa0458bdaba806f48be9dcb8",
            id="plain, count 0",
        ),
        pytest.param(
            "8ca4a964e1ff68753db86753d09222e09b888b500be46f2a3830afa9172a1d6d",
            "a59394e0af764e2f21cf751f623ffa6c",
            "eb8164b3bf6c1750a8de8528af16cffdf400856d82260acd5958894a98afeed5",
            "fc5701b508f0264f4fdb88414768e1afb0a5b445400dcfdeddd0eba67b4fea8c"
            "056d79a69fd050759fb3d626b29adb8438326fd583f1ba0475ce7707bd294ab0"
            "1743d077605866425b1cbd0f6c7bba972b30fbe9fce0a719b044fcc139435489"
            "5a9f8304a2b5101909808ddfdf66df6237142b6566588e4e1e8949b90c27fc1f",
            id="with a personalisation string, count 14",
        ),
    ],
)
def test_drbg_nist_vectors_without_reseed(
    entropy: str, nonce: str, personalisation: str, expected: str
) -> None:
    """CAVS, HMAC_DRBG, SHA-256, no reseed: the second 1024 bits."""
    source = Source(unhex(entropy), unhex(nonce))
    drbg = Drbg(source, personalisation=unhex(personalisation))
    drbg.generate(128)
    assert expected == drbg.generate(128).hex()
    assert [32, 16] == source.asked


@pytest.mark.parametrize(
    ("entropy", "nonce", "again", "expected"),
    [
        pytest.param(
            "06032cd5eed33f39265f49ecb142c511da9aff2af71203bffaf34a9ca5bd9c0d",
            "0e66f71edc43e42a45ad3c6fc6cdc4df",
            "01920a4e669ed3a85ae8a33b35a74ad7fb2a6bb4cf395ce00334a9c9a5a5d552",
            "76fc79fe9b50beccc991a11b5635783a83536add03c157fb30645e611c2898bb"
            "2b1bc215000209208cd506cb28da2a51bdb03826aaf2bd2335d576d519160842"
            "e7158ad0949d1a9ec3e66ea1b1a064b005de914eac2e9d4f2d72a8616a802254"
            "22918250ff66a41bd2f864a6a38cc5b6499dc43f7f2bd09e1e0f8f5885935124",
            id="count 0",
        ),
        pytest.param(
            "aadcf337788bb8ac01976640726bc51635d417777fe6939eded9ccc8a378c76a",
            "9ccc9d80c89ac55a8cfe0f99942f5a4d",
            "03a57792547e0c98ea1776e4ba80c007346296a56a270a35fd9ea2845c7e81e2",
            "17d09f40a43771f4a2f0db327df637dea972bfff30c98ebc8842dc7a9e3d681c"
            "61902f71bffaf5093607fbfba9674a70d048e562ee88f027f630a78522ec6f70"
            "6bb44ae130e05c8d7eac668bf6980d99b4c0242946452399cb032cc6f9fd9628"
            "4709bd2fa565b9eb9f2004be6c9ea9ff9128c3f93b60dc30c5fc8587a10de68c",
            id="count 1",
        ),
    ],
)
def test_drbg_nist_vectors_with_reseed(entropy: str, nonce: str, again: str, expected: str) -> None:
    """CAVS, HMAC_DRBG, SHA-256, seeded anew before the first bits."""
    drbg = Drbg(Source(unhex(entropy), unhex(nonce), unhex(again)))
    drbg.reseed()
    drbg.generate(128)
    assert expected == drbg.generate(128).hex()


def test_drbg_nist_vector_with_additional_input_everywhere() -> None:
    """CAVS, HMAC_DRBG, SHA-256, other entropy added to the reseed and to each request."""
    source = Source(
        unhex("05ac9fc4c62a02e3f90840da5616218c6de5743d66b8e0fbf833759c5928b53d"),
        unhex("2b89a17904922ed8f017a63044848545"),
        unhex("2791126b8b52ee1fd9392a0a13e0083bed4186dc649b739607ac70ec8dcecf9b"),
    )
    drbg = Drbg(source)
    drbg.reseed(unhex("43bac13bae715092cf7eb280a2e10a962faf7233c41412f69bc74a35a584e54c"))
    drbg.generate(128, unhex("3f2fed4b68d506ecefa21f3f5bb907beb0f17dbc30f6ffbba5e5861408c53a1e"))
    found = drbg.generate(
        128, unhex("529030df50f410985fde068df82b935ec23d839cb4b269414c0ede6cffea5b68")
    )
    assert (
        "02ddff5173da2fcffa10215b030d660d61179e61ecc22609b1151a75f1cbcbb4"
        "363c3a89299b4b63aca5e581e73c860491010aa35de3337cc6c09ebec8c91a62"
        "87586f3a74d9694b462d2720ea2e11bbd02af33adefb4a16e6b370fa0effd57d"
        "607547bdcfbb7831f54de7073ad2a7da987a0016a82fa958779a168674b56524"
    ) == found.hex()


def test_drbg_seeds_itself_anew_after_so_many_calls() -> None:
    """Every N calls of generate, whatever their size, and never for another reason; the generation counts up by one."""
    source = Source()
    drbg = Drbg(source, reseed_every=3)
    generations = []
    for call in range(10):
        drbg.generate(1 + call)
        generations.append(drbg.seeding.generation)
    assert [1, 1, 1, 2, 2, 2, 3, 3, 3, 4] == generations
    assert [32, 16, 32, 32, 32] == source.asked


def test_drbg_of_itself_or_by_hand_is_the_same_reseed() -> None:
    """A reseed that is due takes the request's additional input, as SP 800-90A wants it."""
    due, by_hand = Drbg(Source(), reseed_every=1), Drbg(Source())
    assert by_hand.generate(40) == due.generate(40)
    by_hand.reseed(b"more")
    assert by_hand.generate(40) == due.generate(40, b"more")
    assert by_hand.seeding == due.seeding


def test_r_rng_3_external_entropy_heals_a_known_state() -> None:
    """Two generators in the same state go apart for good with the next reseed: a stolen state is worth little."""
    one = Drbg(Source(b"e" * 16 + b"f" * 16, b"n" * 16, b"1" * 16 + b"2" * 16), reseed_every=2)
    other = Drbg(Source(b"e" * 16 + b"f" * 16, b"n" * 16, b"3" * 16 + b"4" * 16), reseed_every=2)
    assert [one.generate(64), one.generate(64)] == [other.generate(64), other.generate(64)]
    assert one.generate(64) != other.generate(64)
    assert one.generate(64) != other.generate(64)


def test_r_rng_3_additional_entropy_alone_changes_what_comes() -> None:
    """The caller's entropy counts too, where the source gives both the same."""
    one, other = Drbg(Source()), Drbg(Source())
    one.reseed(b"dice")
    other.reseed(b"coins")
    assert one.generate(32) != other.generate(32)


def test_drbg_audit_shows_the_hash_of_the_seed_alone() -> None:
    """The seeding is a counter and a SHA-256; nothing of the seed itself."""
    entropy, nonce = bytes(range(32)), bytes(range(100, 116))
    drbg = Drbg(Source(entropy, nonce), personalisation=b"who")
    assert drbg.seeding.generation == 1
    material = entropy + nonce + b"who"
    assert hashlib.sha256(material).hexdigest() == drbg.seeding.material_sha256


def broken(_length_bytes: int) -> bytes:
    raise OSError("no device")


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(lambda length: b"x" * (length - 1), id="short"),
        pytest.param(lambda _length: b"", id="empty"),
        pytest.param(lambda length: bytes(range(length)) + b"x", id="long"),
        pytest.param(bytes, id="all zero"),
        pytest.param(lambda length: (b"0123456789abcdef" * 2)[:length], id="the same block twice"),
        pytest.param(broken, id="cannot be read"),
    ],
)
def test_drbg_bad_source_gives_no_generator(source: Callable[[int], bytes]) -> None:
    """Short, repeated or failing reads are seen at the first seed."""
    with pytest.raises(EntropyFailed):
        Drbg(source)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"short", id="short"),
        pytest.param(b"b" * 16 + b"n" * 16, id="ends like the read before"),
        pytest.param(b"n" * 16 + b"c" * 16, id="begins like the end of the read before"),
        pytest.param(b"c" * 32, id="repeats itself"),
    ],
)
def test_r_rng_4_failure_at_a_reseed_is_for_good(bad: bytes) -> None:
    """After one bad read nothing comes any more, not even where the source has recovered."""
    nonce = b"b" * 16 if bad.startswith(b"b") else b"n" * 16
    drbg = Drbg(Source(b"a" * 16 + b"d" * 16, nonce, bad), reseed_every=1)
    drbg.generate(32)
    with pytest.raises(EntropyFailed):
        drbg.generate(32)
    for attempt in (lambda: drbg.generate(32), drbg.reseed, lambda: drbg.generate(0)):
        with pytest.raises(EntropyFailed, match="has failed"):
            attempt()
    assert drbg.seeding.generation == 1


def test_drbg_cause_of_a_failing_source_is_kept() -> None:
    """What the system said is chained for the log."""
    with pytest.raises(EntropyFailed) as caught:
        Drbg(broken)
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, REQUEST_BYTES_MAX])
def test_drbg_gives_as_many_bytes_as_asked(length: int) -> None:
    """Any length up to the standard's limit."""
    assert length == len(Drbg(Source()).generate(length))


def test_drbg_limits_of_the_standard_are_kept() -> None:
    """No more than 2^19 bits at once, no more than 2^48 calls on one seed."""
    with pytest.raises(ValueError, match="at most 65536 bytes"):
        Drbg(Source()).generate(REQUEST_BYTES_MAX + 1)
    for reseed_every in (0, RESEED_EVERY_MAX + 1):
        with pytest.raises(ValueError, match="reseed_every"):
            Drbg(Source(), reseed_every=reseed_every)
