"""Values of any type of the core, of records and of rows; and what a type of the core becomes on disk."""

import types
import typing
from enum import Enum
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import Raw

from jackpotd.core import events as core
from jackpotd.wire import parts
from jackpotd.wire.catalog_records import compile_document

INTEGERS = st.integers(-(2**70), 2**70)
TEXTS = st.text(max_size=12)
_TUPLE: Any = tuple
BRANDS = ("op:a", "op:b")
JSON = (b"", b'{"a":[1,"x"]}', b"[]", b"1.50")
_TEMPLATE = (
    b'{"name":"Two","owner_id":"op","currency":"EUR",%b"contribution_rules":{"opt_in_required":false,'
    b'"contribution_type":{"Fixed":0.1}},"house_hold_contribution":{"Percentage":0.5},"pots":['
    b'{"id":"small","contribution":{"Percentage":0.5},"seed_contribution":{"Percentage":0.5},'
    b'"seed_strategy":{"initial_seed_value":10,"min_reseed_value":10},'
    b'"pot_types":[{"HitRate":{"max_magic_number":%d,"cost_per_attempt":0.1}}]}]}'
)
DOCUMENTS = (
    _TEMPLATE % (b"", 2),
    _TEMPLATE % (b"", 3),
    _TEMPLATE % (b'"allowed_brands":["op:a"],', 2),
)


def strategy(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type; integers have no size. Bytes of the core are JSON."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return rules_changed() if kind is core.RulesChanged else structs(kind)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        int: INTEGERS,
        str: TEXTS,
        bool: st.booleans(),
        bytes: st.binary(max_size=16),
        type(None): st.none(),
        Raw: st.sampled_from((b"null", *JSON[1:])).map(Raw),
    }
    if kind in simple:
        return simple[kind]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(kind)
    inner = typing.get_args(kind)
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return st.one_of([strategy(each) for each in inner])
    if inner[-1] is Ellipsis:
        return st.lists(strategy(inner[0]), max_size=4).map(tuple)
    return st.tuples(*(strategy(each) for each in inner))


def structs(kind: type[msgspec.Struct], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Structs of a kind, with these fields as given."""
    is_core = kind.__module__.startswith("jackpotd.core")
    fields = {
        field.name: st.sampled_from(JSON)
        if is_core and field.type is bytes
        else strategy(field.type)
        for field in msgspec.structs.fields(kind)
        if field.name not in given
    }
    return st.fixed_dictionaries({**fields, **given}).map(lambda values: kind(**values))


def rules_changed() -> st.SearchStrategy[core.RulesChanged]:
    """Rules follow from their document; a change that was dropped has neither."""
    rules = [(document, compile_document(document, list(BRANDS))) for document in DOCUMENTS]
    return st.builds(
        lambda at_ms, name, pair: core.RulesChanged(at_ms, name, *pair),
        INTEGERS,
        TEXTS,
        st.sampled_from([*rules, (b"", None)]),
    )


def shape(kind: type[msgspec.Struct]) -> list[tuple[str, Any]]:
    """Names and types of the fields, in order."""
    return [(field.name, field.type) for field in msgspec.structs.fields(kind)]


def mirrored(kind: Any) -> Any:
    """What a type of the core is on disk."""
    if kind in parts.CORE:
        return getattr(parts, kind.__name__)
    if kind is bytes:
        return Raw
    inner = tuple(mirrored(each) for each in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return _TUPLE[inner]
    return typing.Union[inner] if inner else kind  # noqa: UP007 - of a tuple of types
