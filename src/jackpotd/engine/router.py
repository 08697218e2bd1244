"""From a request to the actor that owns it: key, source or instance, rates, links (contract §3).

The key is claimed first, because a repeat is answered whatever has changed in between. A source resolves to the
first of its jackpots that is Active and allows the player.
"""

from collections.abc import Callable, Mapping
from functools import partial

from jackpotd.core import eligibility, rejections
from jackpotd.core.commands import OptIn
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Instance, Status
from jackpotd.engine.acceptance import accepted, is_refused_at_once, request_record
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.idempotency import Claim, Used
from jackpotd.engine.messages import (
    MOVED,
    Accepted,
    Answer,
    ContributeMessage,
    ContributionRequest,
    OptInRequest,
    Reply,
)
from jackpotd.engine.opt_ins import Gathering, OptInResult, by_openness
from jackpotd.engine.serving import Binding, Elsewhere, Releasable, Serving
from jackpotd.engine.shard import Shard

# A request whose caller has gone away is in flight no more, but its records still wait for the disk.
RECORDS_PER_REQUEST_MAX = 4
TOO_MANY_REQUESTS = Rejection(Code.OVERLOADED, "too many requests are in flight")


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
        self.elsewhere: Elsewhere | None = None
        self.binding: Binding | None = None
        self.in_flight = 0

    @property
    def room(self) -> int:
        """How many more contributions may be taken just now; with none, the next one is refused."""
        journal = self._shard.journal
        waiting = journal.staged_seq - journal.committed_seq
        return self._in_flight_max - max(self.in_flight, waiting // RECORDS_PER_REQUEST_MAX)

    async def contribute(self, request: ContributionRequest) -> Accepted | Rejection:
        """`submit`, for a task that waits for the outcome."""
        reply: Reply[Accepted | Rejection] = Reply()
        self.submit(request, reply.resolve)
        return await reply.wait()

    def submit(self, request: ContributionRequest, answer: Answer, hops: int = 0) -> None:
        """Serves a contribution, or answers a repeat of its key; `answer` is called when the outcome is durable."""
        if self.room <= 0:
            answer(TOO_MANY_REQUESTS)
            return
        self.in_flight += 1
        self.begin(Serving(self, request, answer, hops))

    def begin(self, serving: Serving) -> None:
        """Claims the key and sends the contribution to its owner; again where the key was busy."""
        if self.elsewhere is not None and self.elsewhere.takes(serving):
            return
        request = serving.request
        try:
            claim = self._shard.key_desk.claim(
                request.operator, request.key, request.fingerprint, serving.begin
            )
            if isinstance(claim, Claim):
                serving.claim, serving.is_home = claim, True
                claim = self._dispatch(serving)
        except Exception:
            self.in_flight -= 1
            serving.claim.release()
            raise
        if isinstance(claim, Used):
            serving(claim.answer)
        elif claim is not None:
            self._refuse(serving, claim)

    def claimed(self, serving: Serving, claim: Releasable) -> None:
        """Goes on with a contribution whose key is claimed wherever it might have been used."""
        serving.claim, serving.is_home = claim, True
        refused = self._dispatch(serving)
        if refused is not None:
            self._refuse(serving, refused)

    def _refuse(self, serving: Serving, refused: Rejection) -> None:
        self._shard.journal.when_durable(lambda: serving(refused))  # it reports states, too

    def decline(self, serving: Serving, refused: Rejection) -> None:
        """Ends a request with a webhook that was refused as a whole: its refusal is kept, under its key, and told to
        the webhook; unless it is one that the caller is told at once.
        """
        binding = self.elsewhere or self.binding
        if is_refused_at_once(refused):
            serving.finish(refused)
        elif binding is None:
            self._keep(serving, refused, None)
        else:
            binding.bind(serving.request, partial(self._keep, serving, refused))

    def _keep(self, serving: Serving, refused: Rejection, hindrance: Rejection | None) -> None:
        if hindrance is not None:
            serving.finish(hindrance)
            return
        request = serving.request
        self._shard.key_desk.decline(
            request_record(request, has_links=False),
            self._refusing(serving),
            refused,
            lambda: serving.finish(accepted(request, ())),
        )

    def _refusing(self, serving: Serving) -> str:
        """The instance that a request was refused by, or that it names; empty where there is none."""
        target = serving.request.target
        if serving.instance_id or target.kind == "source":
            return serving.instance_id
        return target.id if target.id in self._catalog.instances else ""

    def served_elsewhere(self, serving: Serving) -> bool:
        """Whether the source resolves to another instance since this one stopped taking contributions, and takes it."""
        if serving.request.target.kind == "instance" or not serving.instance_id:
            return False
        state = self._contribution_target(serving.request)
        if isinstance(state, Rejection) or state.definition.instance_id == serving.instance_id:
            return False
        return self._dispatch(serving) is None

    def _dispatch(self, serving: Serving) -> Rejection | None:
        """Sends a contribution to its instance."""
        request = serving.request
        if request.hindrance:
            return Rejection(Code.INVALID_REQUEST, request.hindrance)
        if not self._catalog.brand_exists(request.bet.brand):
            return rejections.unsupported_brand(request.bet.brand)
        multipliers = self._catalog.multipliers_for(request.bet.brand)
        if multipliers is None:
            return rejections.multipliers_not_found(request.bet.brand)
        state = self._contribution_target(request)
        if isinstance(state, Rejection):
            return state
        instance_id = serving.instance_id = state.definition.instance_id
        if self.elsewhere is not None and instance_id not in self._shard.actors:
            self.elsewhere.contribute(serving)
        else:
            self._deliver(instance_id, request, multipliers.rates, serving)
        return None

    def _deliver(
        self,
        instance_id: str,
        request: ContributionRequest,
        rates: Mapping[str, int],
        answer: Answer,
    ) -> None:
        """Sends a contribution to an instance of this shard, with what its actor has to know."""
        message = ContributeMessage(
            request=request,
            rates=rates,
            can_debit=self._shard.has_embedded_wallet,
            links=self._catalog.links.get(instance_id, ()) if request.with_links else (),
            answer=answer,
        )
        self._shard.contribute(instance_id, message)

    def take(self, instance_id: str, request: ContributionRequest, answer: Answer) -> None:
        """Serves a contribution that another worker has chosen an instance for, and whose key it has claimed."""
        multipliers = self._catalog.multipliers_for(request.bet.brand)
        if multipliers is None:
            answer(rejections.multipliers_not_found(request.bet.brand))
        elif instance_id not in self._shard.actors:
            answer(MOVED)
        else:
            self._deliver(instance_id, request, multipliers.rates, answer)

    def _contribution_target(self, request: ContributionRequest) -> Instance | Rejection:
        if request.target.kind == "instance":
            return self._instance(request.target.id)
        bet, source_id = request.bet, request.target.id
        source = self._catalog.source_for(bet.brand, source_id)
        if source is None:
            return Rejection(Code.GAME_NOT_FOUND, source_id)
        is_mapped = is_active = False
        for jackpot in source.jackpots:
            state = self._known(jackpot.instance_id)
            if state is None:
                continue
            is_mapped = True
            if state.status is not Status.ACTIVE:
                continue
            is_active = True
            refused = eligibility.refusal(
                state.rules,
                brand=bet.brand,
                country=bet.country,
                segments=bet.segments,
                vertical=bet.vertical,
            )
            if refused is None:
                return state
        if is_active:
            return Rejection(Code.SOURCE_JACKPOTS_NOT_ALLOWED, source_id)
        if is_mapped:
            return rejections.JACKPOT_NOT_ACTIVE
        return Rejection(Code.SOURCE_JACKPOT_NOT_FOUND, source_id)

    def _instance(self, instance_id: str) -> Instance | Rejection:
        state = self._known(instance_id)
        return Rejection(Code.JACKPOT_NOT_FOUND, instance_id) if state is None else state

    def _known(self, instance_id: str) -> Instance | None:
        """An instance as it stands here, or what is known here of another worker's."""
        state = self._shard.state(instance_id)
        if state is None and self.elsewhere is not None:
            return self.elsewhere.sketch(instance_id)
        return state

    def _mapped(self, brand: str, source_id: str) -> list[Instance] | Rejection:
        """The instances of a source in the order of resolution."""
        source = self._catalog.source_for(brand, source_id)
        if source is None:
            return Rejection(Code.GAME_NOT_FOUND, source_id)
        states = [self._known(jackpot.instance_id) for jackpot in source.jackpots]
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

        Where none is Active, the first one that allows the reader, so that a front end can show its state. Of another
        worker's it is a sketch.
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
        gathering = Gathering((instance_id, *links), answer)
        for each in (instance_id, *links):
            command = self._opt_in_command(request, is_target=each == instance_id)
            if self.elsewhere is not None and each not in self._shard.actors:
                self.elsewhere.opt_in(each, command, partial(gathering.put, each))
            else:
                self._shard.opt_in(each, command, partial(gathering.put, each))

    def _opt_in_target(self, request: OptInRequest) -> Instance | Rejection:
        if request.target.kind == "instance":
            return self._instance(request.target.id)
        candidates = self._mapped(request.brand, request.target.id)
        if isinstance(candidates, Rejection):
            return candidates
        return next(by_openness(candidates, request), candidates[0])

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
