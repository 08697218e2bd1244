"""A contribution under way, from its key to its answer, and what it meets on the way."""

from collections.abc import Callable
from typing import Protocol

from jackpotd.core import rejections
from jackpotd.core.commands import OptIn
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Instance
from jackpotd.engine.idempotency import KEYLESS
from jackpotd.engine.messages import MOVED, Accepted, Answer, ContributionRequest, OptInAnswer


class Releasable(Protocol):
    """A claim on a key, here or at several workers."""

    def release(self) -> None: ...


class Routing(Protocol):
    """The router, as a contribution under way sees it."""

    in_flight: int

    def begin(self, serving: "Serving") -> None:
        """Claims the key and sends the contribution to its owner."""
        ...

    def served_elsewhere(self, serving: "Serving") -> bool:
        """Whether the source resolves to another instance by now, which takes the contribution."""
        ...

    def decline(self, serving: "Serving", refused: Rejection) -> None:
        """Ends a request with a webhook that was refused as a whole."""
        ...


class Serving:
    """One contribution under way; called with its outcome. `hops` counts how often it was handed on.

    `is_home`: its key is claimed here and its instance was chosen here, so what comes of it is this worker's to keep.
    """

    __slots__ = ("_answer", "_router", "claim", "hops", "instance_id", "is_home", "request")

    def __init__(
        self, router: Routing, request: ContributionRequest, answer: Answer, hops: int
    ) -> None:
        self._router = router
        self._answer = answer
        self.request = request
        self.hops = hops
        self.claim: Releasable = KEYLESS
        self.instance_id = ""
        self.is_home = False

    def begin(self) -> None:
        self._router.begin(self)

    def __call__(self, outcome: Accepted | Rejection) -> None:
        if outcome is MOVED:
            self._begin_anew()
            return
        if outcome == rejections.JACKPOT_NOT_ACTIVE and self._router.served_elsewhere(self):
            return
        if self.is_home and self.request.callback is not None and isinstance(outcome, Rejection):
            self._router.decline(self, outcome)
        else:
            self.finish(outcome)

    def finish(self, outcome: Accepted | Rejection) -> None:
        """Answers, durably."""
        self._router.in_flight -= 1
        # Whoever waits for the key is answered after this one.
        self._answer(outcome)
        self.claim.release()

    def _begin_anew(self) -> None:
        claim, self.claim = self.claim, KEYLESS
        self.instance_id, self.is_home = "", False
        self.hops += 1
        claim.release()
        self.begin()


class Binding(Protocol):
    """Who sees to it that a key that is used by a refusal will be found."""

    def bind(self, request: ContributionRequest, told: Callable[[Rejection | None], None]) -> None:
        """Calls back when the key of a request that was refused may be bound here, where repeats of it will find it
        whatever happens; or with why it may not.
        """
        ...


class Elsewhere(Binding, Protocol):
    """The other workers, as the router sees them."""

    def takes(self, serving: Serving) -> bool:
        """Whether a contribution is theirs, or needs them for its key; they see to it then."""
        ...

    def contribute(self, serving: Serving) -> None:
        """Sends a contribution whose key is claimed to the instance that was chosen for it."""
        ...

    def sketch(self, instance_id: str) -> Instance | None:
        """An instance of theirs with its rules and its status as last announced; its amounts are not known here."""
        ...

    def opt_in(self, instance_id: str, command: OptIn, answer: OptInAnswer) -> None:
        """To the owner of an instance; its answer calls back."""
        ...
