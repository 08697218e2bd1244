"""An opt-in of several instances at once: the target and its links."""

from collections.abc import Callable, Iterator

from msgspec import Struct

from jackpotd.core import eligibility
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Instance, Status
from jackpotd.engine.messages import OptInRequest, Taken


class OptInResult(Struct, frozen=True):
    """What each instance made of an opt-in: the target first, then its links; None where it was taken."""

    instances: tuple[tuple[str, Rejection | None], ...]


class Gathering:
    """The outcomes of an opt-in, until all of them are there."""

    __slots__ = ("_answer", "_instances", "_outcomes")

    def __init__(
        self, instances: tuple[str, ...], answer: Callable[[OptInResult | Rejection], None]
    ) -> None:
        self._instances = instances
        self._answer = answer
        self._outcomes: dict[str, Rejection | None] = {}

    def put(self, instance_id: str, outcome: Taken | Rejection | None) -> None:
        self._outcomes[instance_id] = outcome if isinstance(outcome, Rejection) else None
        if len(self._outcomes) == len(self._instances):
            self._answer(
                OptInResult(tuple((each, self._outcomes[each]) for each in self._instances))
            )


def by_openness(candidates: list[Instance], request: OptInRequest) -> Iterator[Instance]:
    """Candidates for an opt-in by source: those that would receive the contributions first, then paused ones."""
    for wanted in (Status.ACTIVE, Status.PAUSED):
        for state in candidates:
            if state.status is wanted and eligibility.may_see(
                state.rules, brand=request.brand, country=request.country, segments=None
            ):
                yield state
