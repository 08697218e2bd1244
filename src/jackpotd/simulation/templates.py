"""A template file, read and refused like the body of `POST /templates`."""

import msgspec
from msgspec import Raw

from jackpotd.core.rules import Rules
from jackpotd.simulation.figures import Template
from jackpotd.wire import codec
from jackpotd.wire import template as template_wire
from jackpotd.wire.errors import invalid

OWNER = "simulation"
BRAND = "brand"


def read(body: bytes) -> tuple[Rules, Template]:
    """The rules that a template says, and which template it is.

    Its owner may be missing; `allowed_brands` that are missing are the owner's, of whom one brand plays here.

    Raises:
        RequestRefused: what `POST /templates` would refuse, with the JSON path.
    """
    document = codec.decode(template_wire.DECODER, _with_owner(body))
    owner = document.owner_id
    brand = owner if ":" in owner else f"{owner}:{BRAND}"
    rules = template_wire.compile_rules(document, [brand])
    if rules.raffle is not None:
        raise invalid("$.raffle", "is not simulated: a raffle pays its prizes, whatever is drawn")
    return rules, Template(id=document.id, name=document.name, currency=document.currency)


def _with_owner(body: bytes) -> bytes:
    try:
        fields = msgspec.json.decode(body, type=dict[str, Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body  # the decoder of templates says what is wrong with it
    if "owner_id" in fields:
        return body
    return msgspec.json.encode({**fields, "owner_id": OWNER})
