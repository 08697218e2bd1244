"""From a request to the actor that owns it: key, source or instance, rates, links (contract §3).

The key is claimed first, because a repeat is answered whatever has changed in between. A source resolves to the
first of its jackpots that is Active and allows the player.
"""

from collections.abc import Iterator

from msgspec import Struct

from jackpotd.core import eligibility, rejections
from jackpotd.core.commands import OptIn
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Instance, Status
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.idempotency import Claim, Used
from jackpotd.engine.messages import (
    Accepted,
    ContributeMessage,
    ContributionRequest,
    OptInRequest,
    Reply,
)
from jackpotd.engine.shard import Shard

# A request whose caller has gone away is in flight no more, but its records still wait for the disk.
RECORDS_PER_REQUEST_MAX = 4
TOO_MANY_REQUESTS = Rejection(Code.OVERLOADED, "too many requests are in flight")


class OptInResult(Struct, frozen=True):
    """What each instance made of an opt-in: the target first, then its links; None where it was taken."""

    instances: tuple[tuple[str, Rejection | None], ...]


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
        """Serves a contribution, or answers a repeat of its key; returns when the answer is durable."""
        journal = self._shard.journal
        waiting = journal.staged_seq - journal.committed_seq
        if max(self.in_flight, waiting // RECORDS_PER_REQUEST_MAX) >= self._in_flight_max:
            return TOO_MANY_REQUESTS
        self.in_flight += 1
        try:
            return await self._contribute(request)
        finally:
            self.in_flight -= 1

    async def _contribute(self, request: ContributionRequest) -> Accepted | Rejection:
        while True:
            claim = await self._shard.key_desk.claim(
                request.operator, request.key, request.fingerprint
            )
            if isinstance(claim, Rejection):
                return claim
            if isinstance(claim, Used):
                return claim.answer
            try:
                dispatch = self._dispatch(request, claim)
            except BaseException:
                claim.release()
                raise
            if isinstance(dispatch, Rejection):
                claim.release()
                await self._shard.journal.durable()  # a refusal reports states, too
                return dispatch
            instance_id, message = dispatch
            answer = await self._shard.contribute(instance_id, message)
            if answer == rejections.JACKPOT_NOT_ACTIVE and self._moved_on(request, instance_id):
                continue
            return answer

    def _moved_on(self, request: ContributionRequest, instance_id: str) -> bool:
        """Whether the source resolves to another instance since this one stopped taking contributions."""
        if request.target.kind == "instance":
            return False
        state = self._contribution_target(request)
        return not isinstance(state, Rejection) and state.definition.instance_id != instance_id

    def _dispatch(
        self, request: ContributionRequest, claim: Claim
    ) -> tuple[str, ContributeMessage] | Rejection:
        """The instance that receives, and what its actor has to know; nothing is sent yet."""
        if not self._catalog.brand_exists(request.bet.brand):
            return rejections.unsupported_brand(request.bet.brand)
        multipliers = self._catalog.multipliers_for(request.bet.brand)
        if multipliers is None:
            return rejections.multipliers_not_found(request.bet.brand)
        state = self._contribution_target(request)
        if isinstance(state, Rejection):
            return state
        instance_id = state.definition.instance_id
        message = ContributeMessage(
            request=request,
            rates=multipliers.rates,
            can_debit=self._shard.has_embedded_wallet,
            links=self._catalog.links.get(instance_id, ()) if request.with_links else (),
            reply=Reply(claim.release),
        )
        return instance_id, message

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

    async def opt_in(self, request: OptInRequest) -> OptInResult | Rejection:
        """Opts a player in or out of the target, and of its links where that was asked for.

        A target that cannot be found is a Rejection; one that refuses stands in the result.
        """
        if not self._catalog.brand_exists(request.brand):
            return rejections.unsupported_brand(request.brand)
        target = self._opt_in_target(request)
        if isinstance(target, Rejection):
            return target
        instance_id = target.definition.instance_id
        links = self._catalog.links.get(instance_id, ()) if request.with_links else ()
        results = [
            (each, await self._opt_in_one(request, each, is_target=each == instance_id))
            for each in (instance_id, *links)
        ]
        return OptInResult(tuple(results))

    def _opt_in_target(self, request: OptInRequest) -> Instance | Rejection:
        if request.target.kind == "instance":
            return self._instance(request.target.id)
        candidates = self._mapped(request.brand, request.target.id)
        if isinstance(candidates, Rejection):
            return candidates
        return next(_by_openness(candidates, request), candidates[0])

    async def _opt_in_one(
        self, request: OptInRequest, instance_id: str, *, is_target: bool
    ) -> Rejection | None:
        multipliers = self._catalog.multipliers_for(request.brand)
        command = OptIn(
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
        outcome = await self._shard.opt_in(instance_id, command)
        return outcome if isinstance(outcome, Rejection) else None


def _by_openness(candidates: list[Instance], request: OptInRequest) -> Iterator[Instance]:
    """Candidates for an opt-in by source: those that would receive the contributions first, then paused ones."""
    for wanted in (Status.ACTIVE, Status.PAUSED):
        for state in candidates:
            if state.status is wanted and eligibility.may_see(
                state.rules, brand=request.brand, country=request.country, segments=None
            ):
                yield state
