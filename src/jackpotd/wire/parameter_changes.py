"""Parameters of a live instance (contract §8): what may change, in which pieces, and what a template becomes by them.

A change is an object in the shape of the template, with `pots` by id instead of a list. Its objects are merged into the
template's, where null takes a listed currency away; lists, tagged variants and a raffle are replaced whole. A pot's own
rules are one piece, which waits for that pot's next win; all that concerns every pot is another, which waits for any
win. A raffle's win is the end of its round.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec import Raw, Struct

from jackpotd.core.problems import Problem
from jackpotd.core.rules import RaffleRules, Rules
from jackpotd.wire.codec import NULL, decode, decode_part, encode
from jackpotd.wire.errors import RequestRefused, invalid
from jackpotd.wire.raffle import raffle_rules
from jackpotd.wire.template import DECODER, PotDoc, TemplateDoc, problems_of, rules_in

Piece = tuple[int | None, bytes]
"""The index of the pot whose next win it waits for, None for any pot's; and the change as JSON."""

_BASE = "$.changes"
_GENERAL = (
    "house_hold_contribution",
    "contribution_rules",
    "win_selector_strategy",
    "withhold_wins_above",
    "raffle",
)
_GENERAL_OF_POTS = ("contribution", "seed_contribution")
_OF_POT = (
    "is_progressive",
    "pot_types",
    "criteria",
    "community_payout",
    "max_pot_value",
    "seed_strategy",
    "max_instantiation_count",
    "supports_external_trigger",
)
# Objects whose fields are merged one by one.
_RECORDS = {"contribution_rules", "currency_values", "seed_strategy", "criteria"}
# Objects whose entries null takes away.
_TABLES = {"currency_values"}
_POT_PATH = re.compile(r"\$\.pots\[(\d+)\]")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_\-]+")

_Fields = dict[str, Raw]


class _Identified(Struct):
    id: str


def split_changes(
    changes: Raw | bytes | Mapping[str, Raw],
    document: bytes,
    brands: list[str],
    pot_ids: Sequence[str],
    pending: Sequence[Piece] = (),
) -> list[Piece]:
    """The pieces of a change, each as JSON of the same shape.

    Checked is what the template becomes by all pieces, those that wait already included, and by each order of wins in
    which they can take effect.

    Args:
        changes: the value of `changes` in the request.
        document: the template as it is in effect.
        brands: what `allowed_brands` means when the template leaves it out.
        pot_ids: the ids of the pots, in the order of the rules.
        pending: what waits already, in the order in which it was asked for.

    Raises:
        RequestRefused: 400 INVALID_REQUEST with the JSON path inside `$.changes`.
    """
    given = encode(changes) if isinstance(changes, Mapping) else changes
    general = decode_part(_Fields, Raw(given), _BASE)
    of_pots = general.pop("pots", None)
    _refuse_fields(_BASE, general, _GENERAL, TemplateDoc)
    pieces: list[Piece] = []
    shares: dict[str, _Fields] = {}
    for pot_id, fields in _pot_changes(of_pots, pot_ids):
        own = {name: value for name, value in fields.items() if name in _OF_POT}
        if own:
            pieces.append((pot_ids.index(pot_id), encode({"pots": {pot_id: own}})))
        if len(own) < len(fields):
            shares[pot_id] = {name: value for name, value in fields.items() if name not in own}
    if shares:
        general["pots"] = Raw(encode(shares))
    if general:
        pieces.insert(0, (None, encode(general)))
    if not pieces:
        raise invalid(_BASE, "changes nothing")
    _refuse_problems(document, brands, pot_ids, [*pending, *pieces])
    return pieces


def _pot_changes(of_pots: Raw | None, pot_ids: Sequence[str]) -> Iterator[tuple[str, _Fields]]:
    if of_pots is None:
        return
    for pot_id, content in decode_part(_Fields, of_pots, f"{_BASE}.pots").items():
        path = _path_of(pot_id)
        if pot_id not in pot_ids:
            raise invalid(path, "names no pot of this instance; pots cannot be added")
        fields = decode_part(_Fields, content, path)
        _refuse_fields(path, fields, (*_OF_POT, *_GENERAL_OF_POTS), PotDoc)
        if not fields:
            raise invalid(path, "changes nothing")
        yield pot_id, fields


def _path_of(pot_id: str) -> str:
    plain = _PLAIN_KEY.fullmatch(pot_id)
    return f"{_BASE}.pots.{pot_id}" if plain else f"{_BASE}.pots[{encode(pot_id).decode()}]"


def _refuse_fields(
    path: str, fields: Iterable[str], allowed: Sequence[str], kind: type[Struct]
) -> None:
    for name in fields:
        if name not in allowed:
            is_known = name in kind.__struct_fields__
            message = "cannot be changed on a live instance" if is_known else "is unknown"
            raise invalid(f"{path}.{name}", message)


def _refuse_problems(
    document: bytes, brands: list[str], pot_ids: Sequence[str], pieces: Sequence[Piece]
) -> None:
    """Refuses what does not fit together.

    What concerns every pot takes effect with the first win, the rules of a pot with its own; relations hold between two
    pots at most. So it is enough to look at all pieces together, and at those of the first win, whichever it is.
    """
    known = set(_problems(document, brands)[0])
    general = [content for pot, content in pieces if pot is None]
    stages = {tuple(content for _, content in pieces): ""}
    for index, pot_id in enumerate(pot_ids):
        own = [content for pot, content in pieces if pot == index]
        stages.setdefault((*general, *own), f", if pot {pot_id} is won first")
    for contents, when in stages.items():
        found, _ = _problems(_merged_all(document, contents), brands)
        if when:  # what is wrong as it is may be mended by another win
            found = [each for each in found if each not in known]
        if found:
            text = "; ".join(
                f"{_path_in_changes(each.path, pot_ids)} {each.message}{when}" for each in found
            )
            raise RequestRefused("INVALID_REQUEST", text)


def raffles_in(pieces: Iterable[bytes]) -> Iterator[RaffleRules]:
    """The raffles that checked pieces ask for."""
    for piece in pieces:
        found = _fields(piece).get("raffle", NULL)
        if found != NULL:
            yield raffle_rules(found)


def _path_in_changes(path: str, pot_ids: Sequence[str]) -> str:
    of_pot = _POT_PATH.match(path)
    if of_pot is None:
        return _BASE + path.removeprefix("$")
    return _path_of(pot_ids[int(of_pot[1])]) + path[of_pot.end() :]


def _problems(document: bytes, brands: list[str]) -> tuple[list[Problem], Rules | None]:
    """All that is wrong with a template, and its rules where they can be read."""
    try:
        doc = decode(DECODER, document)
        rules = rules_in(doc, brands)
    except RequestRefused as refused:
        path, _, message = refused.body.message.partition(" ")
        return [Problem(path, message)], None
    return problems_of(doc, rules), rules


def try_compile(document: bytes, brands: list[str]) -> Rules | None:
    """The rules of a template, or None where it is not valid."""
    found, rules = _problems(document, brands)
    return None if found else rules


def take_effect(
    document: bytes, pieces: Sequence[bytes], brands: list[str]
) -> list[tuple[bytes, Rules | None]]:
    """What a template becomes by pieces that take effect together, in the order in which they were asked for.

    One result for each piece: the new document with its rules; or an empty document and None for a piece that is
    dropped, because it would make a template invalid that was not.
    """
    known = set(_problems(document, brands)[0])
    whole = _merged_all(document, pieces)
    rules = _rules_without_new(whole, brands, known)
    if rules is not None:
        return [(whole, rules) for _ in pieces]
    results: list[tuple[bytes, Rules | None]] = []
    for piece in pieces:
        changed = merged(document, piece)
        rules = _rules_without_new(changed, brands, known)
        document = document if rules is None else changed
        results.append((b"" if rules is None else changed, rules))
    return results


def _rules_without_new(document: bytes, brands: list[str], known: set[Problem]) -> Rules | None:
    found, rules = _problems(document, brands)
    return rules if known.issuperset(found) else None


def merged(document: bytes, piece: bytes) -> bytes:
    """The template that a piece makes of a template; the values that it does not name stay as they were written."""
    template, changes = _fields(document), _fields(piece)
    of_pots = _fields(changes.pop("pots", b"{}"))
    _merge(template, changes)
    pots = msgspec.json.decode(template["pots"], type=list[Raw])
    for at, pot in enumerate(pots):
        change = of_pots.get(msgspec.json.decode(pot, type=_Identified).id)
        if change is not None:
            fields = _fields(pot)
            _merge(fields, _fields(change))
            pots[at] = Raw(encode(fields))
    template["pots"] = Raw(encode(pots))
    return encode(template)


def _merged_all(document: bytes, pieces: Iterable[bytes]) -> bytes:
    for piece in pieces:
        document = merged(document, piece)
    return document


def _fields(data: bytes | Raw) -> _Fields:
    return msgspec.json.decode(data, type=_Fields)


def _merge(fields: _Fields, changes: _Fields, *, null_removes: bool = False) -> None:
    for name, value in changes.items():
        if null_removes and value == NULL:
            fields.pop(name, None)
        elif name in _RECORDS and _is_object(value):
            before = fields.get(name, NULL)
            inner = _fields(before) if _is_object(before) else {}
            _merge(inner, _fields(value), null_removes=name in _TABLES)
            fields[name] = Raw(encode(inner))
        else:
            fields[name] = value


def _is_object(value: Raw) -> bool:
    return bytes(value).startswith(b"{")


def values_before(document: bytes, piece: bytes) -> bytes:
    """What a piece would change, as it is now: the same fields, null where the template has none of that name."""
    template, changes = _fields(document), _fields(piece)
    of_pots = _fields(changes.pop("pots", b"{}"))
    before = _before(template, changes)
    if of_pots:
        pots = {
            msgspec.json.decode(pot, type=_Identified).id: _fields(pot)
            for pot in msgspec.json.decode(template["pots"], type=list[Raw])
        }
        found = {pot_id: _before(pots[pot_id], _fields(own)) for pot_id, own in of_pots.items()}
        before["pots"] = Raw(encode(found))
    return encode(before)


def _before(fields: _Fields, changes: _Fields) -> _Fields:
    found: _Fields = {}
    for name, value in changes.items():
        before = fields.get(name, NULL)
        if name in _RECORDS and _is_object(value) and _is_object(before):
            before = Raw(encode(_before(_fields(before), _fields(value))))
        found[name] = before
    return found
