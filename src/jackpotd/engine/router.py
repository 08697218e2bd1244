"""From a request to the actor that owns it: key, source or instance, rates, links (contract §3).

The key is claimed first, because a repeat is answered whatever has changed in between. A source resolves to the
first of its jackpots that is Active and allows the player.
"""

from collections.abc import Callable, Iterator
from functools import partial

from msgspec import Struct

from jackpotd.core import eligibility, rejections
from jackpotd.core.commands import OptIn
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Instance, Status
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.idempotency import KEYLESS, Claim, Used
from jackpotd.engine.messages import (
    Accepted,
    Answer,
    ContributeMessage,
    ContributionRequest,
    OptInRequest,
    Reply,
    Taken,
)
from jackpotd.engine.shard import Shard

# A request whose caller has gone away is in flight no more, but its records still wait for the disk.
RECORDS_PER_REQUEST_MAX = 4
TOO_MANY_REQUESTS = Rejection(Code.OVERLOADED, "too many requests are in flight")


class OptInResult(Struct, frozen=True):
    """What each instance made of an opt-in: the target first, then its links; None where it was taken."""

    instances: tuple[tuple[str, Rejection | None], ...]


class _Serving:
    """One contribution under way; called with its outcome."""

    __slots__ = ("_answer", "_router", "claim", "instance_id", "request")

    def __init__(self, router: "Router", request: ContributionRequest, answer: Answer) -> None:
        self._router = router
        self._answer = answer
        self.request = request
        self.claim = KEYLESS
        self.instance_id = ""

    def begin(self) -> None:
        self._router.begin(self)

    def __call__(self, outcome: Accepted | Rejection) -> None:
        if outcome == rejections.JACKPOT_NOT_ACTIVE and self._router.served_elsewhere(self):
            return
        self._router.in_flight -= 1
        # Whoever waits for the key is answered after this one.
        self._answer(outcome)
        self.claim.release()


class Router:
    """Dispatches contributions and opt-ins to the owners of their instances."""

    def __init__(
        self,
        catalog: Catalog,
        shard: Shard,
        *,
        requests_in_flight_max: int,
    ) -> None:
        self._catalog = catalog
        self._shard = shard
        self._in_flight_max = requests_in_flight_max
        self.in_flight = 0

    async def contribute(self, request: ContributionRequest) -> Accepted | Rejection:
        """`submit`, for a task that waits for the outcome."""
        reply: Reply[Accepted | Rejection] = Reply()
        self.submit(request, reply.resolve)
        return await reply.wait()

    def submit(self, request: ContributionRequest, answer: Answer) -> None:
        """Serves a contribution, or answers a repeat of its key; `answer` is called when the outcome is durable."""
        journal = self._shard.journal
        waiting = journal.staged_seq - journal.committed_seq
        if max(self.in_flight, waiting // RECORDS_PER_REQUEST_MAX) >= self._in_flight_max:
            answer(TOO_MANY_REQUESTS)
            return
        self.in_flight += 1
        self.begin(_Serving(self, request, answer))

    def begin(self, serving: _Serving) -> None:
        """Claims the key and sends the contribution to its owner; again where the key was busy."""
        request = serving.request
        try:
            claim = self._shard.key_desk.claim(
                request.operator, request.key, request.fingerprint, serving.begin
            )
            if isinstance(claim, Claim):
                serving.claim = claim
                claim = self._dispatch(serving)
        except Exception:
            self.in_flight -= 1
            serving.claim.release()
            raise
        if isinstance(claim, Used):
            serving(claim.answer)
        elif claim is not None:
            refused = claim
            self._shard.journal.when_durable(lambda: serving(refused))  # it reports states, too

    def served_elsewhere(self, serving: _Serving) -> bool:
        """Whether the source resolves to another instance since this one stopped taking contributions, and takes it."""
        if serving.request.target.kind == "instance" or not serving.instance_id:
            return False
        state = self._contribution_target(serving.request)
        if isinstance(state, Rejection) or state.definition.instance_id == serving.instance_id:
            return False
        return self._dispatch(serving) is None

    def _dispatch(self, serving: _Serving) -> Rejection | None:
        """Sends a contribution to its instance, with what the actor has to know."""
        request = serving.request
        if not self._catalog.brand_exists(request.bet.brand):
            return rejections.unsupported_brand(request.bet.brand)
        multipliers = self._catalog.multipliers_for(request.bet.brand)
        if multipliers is None:
            return rejections.multipliers_not_found(request.bet.brand)
        state = self._contribution_target(request)
        if isinstance(state, Rejection):
            return state
        instance_id = serving.instance_id = state.definition.instance_id
        message = ContributeMessage(
            request=request,
            rates=multipliers.rates,
            can_debit=self._shard.has_embedded_wallet,
            links=self._catalog.links.get(instance_id, ()) if request.with_links else (),
            answer=serving,
        )
        self._shard.contribute(instance_id, message)
        return None

    def _contribution_target(self, request: ContributionRequest) -> Instance | Rejection:
        if request.target.kind == "instance":
            return self._instance(request.target.id)
        candidates = self._mapped(request.bet.brand, request.target.id)
        if isinstance(candidates, Rejection):
            return candidates
        active = [state for state in candidates if state.status is Status.ACTIVE]
        if not active:
            return rejections.JACKPOT_NOT_ACTIVE
        for state in active:
            refused = eligibility.refusal(
                state.rules,
                brand=request.bet.brand,
                country=request.bet.country,
                segments=request.bet.segments,
                vertical=request.bet.vertical,
            )
            if refused is None:
                return state
        return Rejection(Code.SOURCE_JACKPOTS_NOT_ALLOWED, request.target.id)

    def _instance(self, instance_id: str) -> Instance | Rejection:
        state = self._shard.state(instance_id)
        return Rejection(Code.JACKPOT_NOT_FOUND, instance_id) if state is None else state

    def _mapped(self, brand: str, source_id: str) -> list[Instance] | Rejection:
        """The instances of a source in the order of resolution."""
        source = self._catalog.source_for(brand, source_id)
        if source is None:
            return Rejection(Code.GAME_NOT_FOUND, source_id)
        states = [self._shard.state(jackpot.instance_id) for jackpot in source.jackpots]
        found = [state for state in states if state is not None]
        return found or Rejection(Code.SOURCE_JACKPOT_NOT_FOUND, source_id)

    def visible_instance(
        self,
        source_id: str,
        brand: str,
        country: str | None,
        segments: tuple[str, ...] | None,
    ) -> Instance | Rejection:
        """The instance that a reader of a source gets; parameters that are missing skip their check (§5).

        Where none is Active, the first one that allows the reader, so that a front end can show its state.
        """
        candidates = self._mapped(brand, source_id)
        if isinstance(candidates, Rejection):
            return candidates
        allowed = [
            state
            for state in candidates
            if eligibility.may_see(state.rules, brand=brand, country=country, segments=segments)
        ]
        active = (state for state in allowed if state.status is Status.ACTIVE)
        chosen = next(active, None) or next(iter(allowed), None)
        return chosen or Rejection(Code.SOURCE_JACKPOTS_NOT_ALLOWED, source_id)

    def opt_in(
        self, request: OptInRequest, answer: Callable[[OptInResult | Rejection], None]
    ) -> None:
        """Opts a player in or out of the target, and of its links where that was asked for.

        A target that cannot be found is a Rejection; one that refuses stands in the result.
        """
        if not self._catalog.brand_exists(request.brand):
            answer(rejections.unsupported_brand(request.brand))
            return
        target = self._opt_in_target(request)
        if isinstance(target, Rejection):
            answer(target)
            return
        instance_id = target.definition.instance_id
        links = self._catalog.links.get(instance_id, ()) if request.with_links else ()
        gathering = _Gathering((instance_id, *links), answer)
        for each in (instance_id, *links):
            command = self._opt_in_command(request, is_target=each == instance_id)
            self._shard.opt_in(each, command, partial(gathering.put, each))

    def _opt_in_target(self, request: OptInRequest) -> Instance | Rejection:
        if request.target.kind == "instance":
            return self._instance(request.target.id)
        candidates = self._mapped(request.brand, request.target.id)
        if isinstance(candidates, Rejection):
            return candidates
        return next(_by_openness(candidates, request), candidates[0])

    def _opt_in_command(self, request: OptInRequest, *, is_target: bool) -> OptIn:
        multipliers = self._catalog.multipliers_for(request.brand)
        return OptIn(
            at_ms=0,
            brand=request.brand,
            player_id=request.player_id,
            country=request.country,
            opt_in=request.opt_in,
            # Linked jackpots take their default contribution (gateway document, "opt_linked").
            preferred=request.preferred if is_target else None,
            preferred_currency=request.preferred_currency if is_target else None,
            rates={} if multipliers is None else multipliers.rates,
        )


class _Gathering:
    """The outcomes of an opt-in, until all of them are there."""

    __slots__ = ("_answer", "_instances", "_outcomes")

    def __init__(
        self, instances: tuple[str, ...], answer: Callable[[OptInResult | Rejection], None]
    ) -> None:
        self._instances = instances
        self._answer = answer
        self._outcomes: dict[str, Rejection | None] = {}

    def put(self, instance_id: str, outcome: Taken | Rejection) -> None:
        self._outcomes[instance_id] = outcome if isinstance(outcome, Rejection) else None
        if len(self._outcomes) == len(self._instances):
            self._answer(
                OptInResult(tuple((each, self._outcomes[each]) for each in self._instances))
            )


def _by_openness(candidates: list[Instance], request: OptInRequest) -> Iterator[Instance]:
    """Candidates for an opt-in by source: those that would receive the contributions first, then paused ones."""
    for wanted in (Status.ACTIVE, Status.PAUSED):
        for state in candidates:
            if state.status is wanted and eligibility.may_see(
                state.rules, brand=request.brand, country=request.country, segments=None
            ):
                yield state
