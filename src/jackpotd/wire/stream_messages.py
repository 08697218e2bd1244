"""The gateway's event stream: the one message that it takes, and the envelope of all that it sends (contract §6)."""

from typing import Annotated

from msgspec import Meta, Raw, Struct

from jackpotd.wire.gateway_messages import Text

TOKEN_LENGTH_MAX = 8192
RESUME_GAP = "ResumeGap"
"""What a reader is told that asked for more than is kept; Connect's name for it is the same."""


class Authenticate(Struct, frozen=True):
    """Who reads; with the id of an event that was seen before, what came after it is sent first."""

    auth_token: Annotated[str, Meta(max_length=TOKEN_LENGTH_MAX)]
    last_event_id: Text | None = None


class StreamAction(Struct, frozen=True, rename="pascal"):
    """What a reader may want, under its tag."""

    authenticate: Authenticate


class StreamRequest(Struct, frozen=True):
    """`{"action": {"Authenticate": {…}}}`."""

    action: StreamAction


class StreamEvent(Struct, frozen=True):
    """An event; `event_id` is not that of any other."""

    event_type: str
    event_id: str
    data: Raw


class Gap(Struct, frozen=True):
    """Where a reader wanted to go on: what came right after it is not kept any more."""

    last_event_id: str
