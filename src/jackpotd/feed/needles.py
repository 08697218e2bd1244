"""Which records of a journal the feed has to decode: told from their bytes, at a fraction of what decoding costs.

A needle is how a tagged array begins. Within a string of JSON its quotes would be escaped, and the journal's encoder
writes no white space, so a record that holds such an array always holds the needle; one that does not is hardly ever
mistaken for it.
"""

import re

_NEEDLES = re.compile(rb'\["(?:w|j|o|webhook)",')
"""Pots won, rounds of raffles resolved, opt-ins, and requests with a webhook, declined ones too."""

_LINKS = (b'["L",', b'["R",', b'["S",')
"""Links refused, answers of other workers, requests settled."""
_ARRIVAL = b'["A",'
_ENTRY = b'["E",'
_WITHOUT_CAUSE = b",null,0,null]"
"""How an entry ends that is no link's: cause, place, worker."""


def has_needle(data: bytes) -> bool:
    """Whether a record may hold an event that is told, or a request with a webhook."""
    return _NEEDLES.search(data) is not None


def is_of_link(data: bytes) -> bool:
    """Whether a record may be the answer to a link, or close a request."""
    if data.startswith(_ENTRY):
        return not data.endswith(_WITHOUT_CAUSE)
    return data.startswith(_LINKS)


def is_arrival(data: bytes) -> bool:
    """Whether a record says that an instance has come from another worker."""
    return data.startswith(_ARRIVAL)
