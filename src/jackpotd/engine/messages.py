"""What travels inside the engine: requests from the edges, messages to actors, and the outcomes they answer with."""

from collections.abc import Callable, Mapping
from typing import Generic, Literal, TypeVar

import trio
from msgspec import Raw, Struct

from jackpotd.core.commands import Bet, OperatorCommand, OptIn
from jackpotd.core.events import InstanceEvent
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.rules import Rules
from jackpotd.core.state import Instance
from jackpotd.wire.parts import Callback

T = TypeVar("T")


class Reply(Generic[T]):
    """A place for one answer, for a task that waits for it; the engine itself answers by calling back."""

    __slots__ = ("_event", "_value")

    def __init__(self) -> None:
        self._event = trio.Event()
        self._value: T | None = None

    def resolve(self, value: T) -> None:
        self._value = value
        self._event.set()

    async def wait(self) -> T:
        await self._event.wait()
        assert self._value is not None  # noqa: S101 - narrows the type; the event is set by `resolve` alone
        return self._value


class Target(Struct, frozen=True, gc=False):
    """Where a request is aimed: a source, to be resolved, or an instance."""

    kind: Literal["source", "instance"]
    id: str


class ContributionRequest(Struct, frozen=True, gc=False, kw_only=True):
    """A contribution as an edge understood it; `fingerprint` stands for all that a repeat must have in common."""

    target: Target
    operator: str
    bet: Bet
    with_links: bool
    key: str | None
    fingerprint: bytes
    trace_id: str
    accepted_ms: int
    api_version: int
    metadata: Raw
    event_metadata: Raw
    callback: Callback | None = None
    hindrance: str = ""
    """Why it is an invalid request, unless its key says that it is a repeat of a valid one."""


class OptInRequest(Struct, frozen=True, kw_only=True):
    """An opt-in or opt-out as an edge understood it."""

    target: Target
    brand: str
    player_id: str
    country: str | None
    opt_in: bool
    preferred: int | None
    preferred_currency: str | None
    with_links: bool


class Taken(Struct, frozen=True, gc=False):
    """What one instance made of a request that it took."""

    instance_id: str
    events: tuple[InstanceEvent, ...]
    rules: Rules


class Pending(Struct, frozen=True, gc=False):
    """A link that will be delivered but has not answered yet."""

    instance_id: str


Outcome = Taken | Rejection | Pending


class Accepted(Struct, frozen=True, gc=False):
    """The answer to a contribution: the target's outcome first, then the links' in their order."""

    trace_id: str
    accepted_ms: int
    api_version: int
    metadata: Raw
    outcomes: tuple[Outcome, ...]
    is_replay: bool = False
    is_asynchronous: bool = False
    """Whether the request named a webhook: it is told the outcomes, and the caller that they were accepted."""


MOVED = Rejection(Code.OVERLOADED, "this jackpot has moved to another worker")
"""Answered to the router by an instance that has left before it took a contribution: it is routed anew."""

Answer = Callable[[Accepted | Rejection], None]
"""Told the outcome of a contribution, once it is durable, on the event loop; must not raise."""


OptInAnswer = Callable[[Taken | Rejection | None], None]
"""Told the outcome of an opt-in, once it is durable; None where another worker's instance took it."""


class ContributeMessage(Struct, frozen=True):
    """To a target's actor: a contribution, the rates that apply, the links to serve, and who is told."""

    request: ContributionRequest
    rates: Mapping[str, int]
    can_debit: bool
    links: tuple[str, ...]
    answer: Answer


class LinkMessage(Struct, frozen=True):
    """To a linked instance's actor: its part of a contribution that the target took at record `cause`.

    `worker` is the one whose journal holds the cause. None is this one, and says that the link is sent the first time.
    """

    cause: int
    place: int
    bet: Bet
    rates: Mapping[str, int]
    can_debit: bool
    worker: int | None = None


class OptInMessage(Struct, frozen=True):
    """To an actor: an opt-in; the actor stamps the time."""

    command: OptIn
    answer: OptInAnswer


class Operated(Struct, frozen=True):
    """What a person's command did to an instance: its state after it, and what happened, which may be nothing."""

    state: Instance
    events: tuple[InstanceEvent, ...]


OperateAnswer = Callable[[Operated | Rejection], None]
"""Told the outcome of a person's command, once it is durable."""


class OperateMessage(Struct, frozen=True):
    """To an actor: what a person wants of an instance beside play.

    The actor stamps the time and, for a trigger, the round, what the secrets decide, and the crowd.
    """

    command: OperatorCommand
    answer: OperateAnswer


class AlarmMessage(Struct, frozen=True):
    """To an actor: a window that somebody has contributed in is over."""


class DepartMessage(Struct, frozen=True):
    """To an actor: its instance moves to another worker; answered with the number of the record that says so."""

    to_worker: int
    answer: Callable[[int | Rejection], None]


Message = (
    ContributeMessage | LinkMessage | OptInMessage | OperateMessage | AlarmMessage | DepartMessage
)
