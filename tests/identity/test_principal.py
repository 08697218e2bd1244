"""Rights: which owners' things an account reaches, what it may do, and which rights it may hand on."""

import itertools

import pytest

from jackpotd.identity.principal import Principal, Resource, principal_of
from jackpotd.wire.catalog_records import Account, Permission


def principal(*rights: str, org_id: str | None = None, unit_ids: tuple[str, ...] = ()) -> Principal:
    return Principal("anna", org_id, unit_ids, permissions(*rights))


def permissions(*rights: str) -> tuple[Permission, ...]:
    """Rights written as `Read sources`."""
    pairs = [right.split(" ") for right in rights]
    return tuple([Permission(resource_id=name, permission=kind) for kind, name in pairs])


EVERY_RIGHT = [
    f"{kind} {name}" for kind, name in itertools.product(("Read", "Write"), ["*", *Resource])
]


# -- reaches

PATHS = ("acme", "acme:one", "acme:two", "acmes", "acmes:one", "other", "other:one", ":one", "")


@pytest.mark.parametrize(
    ("org_id", "unit_ids", "reached"),
    [
        (None, (), set(PATHS)),
        ("acme", (), {"acme", "acme:one", "acme:two"}),
        ("acme", ("one",), {"acme:one"}),
        ("acme", ("one", "two"), {"acme:one", "acme:two"}),
        ("other", (), {"other", "other:one"}),
        ("other", ("two",), set()),
    ],
)
def test_reaches_own_paths_and_those_below(
    org_id: str | None, unit_ids: tuple[str, ...], reached: set[str]
) -> None:
    """The platform reaches all, an operator its own paths, an account of brands those brands only."""
    caller = principal(org_id=org_id, unit_ids=unit_ids)
    assert reached == {path for path in PATHS if caller.reaches(path)}


@pytest.mark.parametrize(
    "path",
    ["ACME", "acme ", " acme", "acme/one", "acme\0:one", "other:acme", "acme:One", "acme::one"],
)
def test_reaches_compares_names_as_they_are(path: str) -> None:
    """Nothing is trimmed, folded or matched in part."""
    assert not principal(org_id="acme", unit_ids=("one",)).reaches(path)


def test_is_platform_is_an_account_without_operator() -> None:
    """Only who belongs to no operator is the platform; what it may do is another matter."""
    assert principal().is_platform
    assert not principal("Write *", org_id="acme").is_platform
    assert not principal("Write *", org_id="").is_platform


# -- may


@pytest.mark.parametrize(
    ("rights", "readable", "writable"),
    [
        ((), set(), set()),
        (("Read sources",), {"sources"}, set()),
        (("Write sources",), {"sources"}, {"sources"}),
        (("Read sources", "Write accounts"), {"sources", "accounts"}, {"accounts"}),
        (("Read sources", "Write sources"), {"sources"}, {"sources"}),
        (("Read *",), set(Resource), set()),
        (("Write *",), set(Resource), set(Resource)),
        (("Read *", "Write optins"), set(Resource), {"optins"}),
        (("Write Sources", "write sources", "Admin sources"), {"sources"}, set()),
    ],
)
def test_may_is_what_was_granted_and_writing_includes_reading(
    rights: tuple[str, ...], readable: set[str], writable: set[str]
) -> None:
    """A right counts for its own resource or for all, and a right to read is none to write."""
    caller = principal(*rights)
    assert readable == {name for name in Resource if caller.may(name)}
    assert writable == {name for name in Resource if caller.may(name, write=True)}


# -- covers


@pytest.mark.parametrize(
    ("held", "asked", "covered"),
    [
        ((), (), True),
        ((), ("Read sources",), False),
        (("Read sources",), (), True),
        (("Read sources",), ("Read sources",), True),
        (("Read sources",), ("Write sources",), False),
        (("Write sources",), ("Read sources",), True),
        (("Write sources",), ("Write sources", "Read accounts"), False),
        (("Write sources",), ("Write *",), False),
        (("Read *",), ("Read *",), True),
        (("Read *",), ("Read sources", "Read accounts"), True),
        (("Read *",), ("Write *",), False),
        (("Read *", "Write sources"), ("Read *", "Write sources"), True),
        (("Write *",), tuple(EVERY_RIGHT), True),
    ],
)
def test_covers_hands_on_no_more_than_is_held(
    held: tuple[str, ...], asked: tuple[str, ...], covered: bool
) -> None:
    """Who gives rights must hold each of them, in kind and in resource."""
    assert covered == principal(*held).covers(permissions(*asked))


def test_covers_all_resources_one_by_one_is_all_resources() -> None:
    """Every resource by its name is as much as the asterisk."""
    one_by_one = [f"Write {name}" for name in Resource]
    assert principal(*one_by_one).covers(permissions("Write *", "Read *"))
    assert not principal(*one_by_one[1:]).covers(permissions("Read *"))


@pytest.mark.parametrize("held", EVERY_RIGHT)
def test_covers_agrees_with_may_for_each_single_right(held: str) -> None:
    """To cover a right is to hold it: no right is handed on that its giver could not use."""
    caller = principal(held)
    for asked in permissions(*EVERY_RIGHT):
        names = [name for name in Resource if asked.resource_id in (name, "*")]
        usable = [caller.may(name, write=asked.permission == "Write") for name in names]
        assert all(usable) == caller.covers((asked,))


def test_principal_of_takes_reach_and_rights_from_the_account() -> None:
    """The caller is the account, without what only its login needs."""
    rights = permissions("Read sources")
    account = Account(
        id="1",
        username="anna",
        password_hash="$argon2id$",
        account_type="User",
        org_id="acme",
        unit_ids=("one",),
        permissions=rights,
        enabled=True,
        created_ms=0,
    )
    assert Principal("anna", "acme", ("one",), rights) == principal_of(account)
