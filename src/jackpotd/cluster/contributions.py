"""Contributions that land at one worker and belong to another.

The *home* of a request is the owner of its instance, or of the first one that its source gives; it resolves the source
and holds the key. A front that is not the home sends the request there and renders the answer. Where the instance that
the home chooses lives with a third worker, that one takes it, with record and key in its journal.
"""

from collections.abc import Callable
from functools import partial

import structlog
from msgspec import Struct

from jackpotd.cluster import unmapped
from jackpotd.cluster.answers import (
    NOT_THERE,
    Outcomes,
    answer_of,
    contribute,
    refusal_of,
    request_of,
)
from jackpotd.cluster.catalog import CatalogCopy
from jackpotd.cluster.keys import RemoteKeys
from jackpotd.cluster.sketches import Sketches
from jackpotd.core import rejections
from jackpotd.core.commands import OptIn
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Instance
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.fold import key_digest
from jackpotd.engine.idempotency import KEYLESS, Claim
from jackpotd.engine.messages import MOVED, Accepted, ContributionRequest, OptInAnswer
from jackpotd.engine.router import Router
from jackpotd.engine.serving import Serving
from jackpotd.engine.shard import Shard
from jackpotd.mesh.link import Unreached
from jackpotd.mesh.mesh import Asked, Mesh
from jackpotd.wire import mesh_messages as wire

_log = structlog.get_logger("jackpotd.mesh")

DEPARTING = Rejection(Code.OVERLOADED, "this jackpot is moving to another worker")
DEFECT = Rejection(Code.SYSTEM_ERROR, "the server failed to handle this request")
FIRST_WORKER = 0
HOPS_MAX = 8
"""A request is handed on at most so often while its instance moves; nodes whose catalogs differ could go on forever."""


class Route(Struct, frozen=True):
    """Where requests of a source go: their home, and the workers that may have used their keys, ascending."""

    home: int
    keys: tuple[int, ...]


class RemoteContributions:
    """Front, home and taker of contributions that concern several workers."""

    def __init__(
        self,
        mesh: Mesh,
        copy: CatalogCopy,
        catalog: Catalog,
        shard: Shard,
        router: Router,
        sketches: Sketches,
        outcomes: Outcomes,
        where: Callable[[str], int],
    ) -> None:
        self._mesh = mesh
        self._copy = copy
        self._catalog = catalog
        self._actors = shard.actors
        self._departing = shard.fold.moves.departing
        self._unmapped = unmapped.UnmappedSources(mesh, catalog)
        self._router = router
        self._sketches = sketches
        self._outcomes = outcomes
        self._where = where
        self._keys = RemoteKeys(mesh, copy, shard.key_desk, router, outcomes)
        self._routes: dict[tuple[str, str], Route] = {}
        self._local = Route(mesh.node, (mesh.node,))
        mesh.handle(wire.Contribute, self._contribute)
        copy.on_change(self._routes.clear)

    def forget_routes(self) -> None:
        """An instance has come here, or gone."""
        self._routes.clear()

    # As front and home.

    def takes(self, serving: Serving) -> bool:
        """Whether a contribution belongs elsewhere, or has to ask elsewhere for its key; it is seen to then."""
        target = serving.request.target
        if target.kind == "instance":
            if target.id in self._actors:
                return False
            if target.id not in self._catalog.instances:
                return self._takes_unknown(serving)
            self._forward(self._where(target.id), serving)
            return True
        route = self._routes.get((serving.request.bet.brand, target.id)) or self._route(serving)
        return self._goes_to(route, serving)

    def _goes_to(self, route: Route, serving: Serving) -> bool:
        """Sends a contribution to its home, or claims its key wherever it may have been used; neither may be needed."""
        if route.home != self._mesh.node:
            self._forward(route.home, serving)
            return True
        if serving.request.key is None or route.keys == self._local.keys:
            return False
        self._keys.claim(serving, route.keys)
        return True

    def _takes_unknown(self, serving: Serving) -> bool:
        """The same for an instance that is nowhere: one with a webhook uses its key all the same, and its repeats need
        not name a webhook.
        """
        request = serving.request
        if request.callback is None and request.key is None:
            return False
        return self._goes_to(_route_by(self._unmapped_homes()), serving)

    def _unmapped_homes(self) -> list[int]:
        """Where keys of requests are that no jackpot says anything of: with the oldest instance, or before there was
        one with the first worker.
        """
        oldest = self._catalog.oldest_instance
        return [FIRST_WORKER] if oldest is None else [self._where(oldest), FIRST_WORKER]

    def _route(self, serving: Serving) -> Route:
        request = serving.request
        at = (request.bet.brand, request.target.id)
        now, others = self._catalog.ever_mapped(*at)
        nodes = [self._where(name) for name in (*now, *others)]
        is_mapped = bool(nodes)
        if self._catalog.was_unmapped(*at) or (request.callback is not None and not is_mapped):
            nodes += self._unmapped_homes()
        if not nodes:
            return self._local
        route = _route_by(nodes)
        if is_mapped:  # others may be anything that a caller sends
            self._routes[at] = route
        return route

    def bind(self, request: ContributionRequest, told: unmapped.Told) -> None:
        """Calls back when the key of a request that was refused may be bound here; or with why it may not."""
        first, is_taken_up = self._first_name(request)
        if not self._is_home(first):
            told(DEPARTING)
        elif is_taken_up or request.key is None:
            told(None)
        else:
            at = (request.bet.brand, request.target.id)
            self._unmapped.take_up(at, partial(self._taken_up, request, told))

    def _first_name(self, request: ContributionRequest) -> tuple[str | None, bool]:
        """The instance that says where the home of a request is; and whether every worker knows that it does, also
        when its source has been mapped.
        """
        target = request.target
        if target.kind == "instance":
            is_known = target.id in self._catalog.instances
            return (target.id if is_known else self._catalog.oldest_instance), True
        for found in self._catalog.ever_mapped(request.bet.brand, target.id):
            for name in found:
                return name, True
        return self._catalog.oldest_instance, False

    def _is_home(self, first: str | None) -> bool:
        """Whether this is the home by that instance, and stays it or leaves its keys behind where they are found."""
        if first is None:
            return self._mesh.node == FIRST_WORKER
        return self._where(first) == self._mesh.node and first not in self._departing()

    def _taken_up(
        self, request: ContributionRequest, told: unmapped.Told, hindrance: Rejection | None
    ) -> None:
        first, is_mapped = self._first_name(request)
        if hindrance is None and (is_mapped or not self._is_home(first)):
            hindrance = DEPARTING  # meanwhile
        told(hindrance)

    def _forward(self, node: int, serving: Serving) -> None:
        if node == self._mesh.node or serving.hops >= HOPS_MAX:
            serving(NOT_THERE)
            return
        message = contribute(serving.request, self._catalog.version, serving.hops + 1)
        self._mesh.ask(node, message, partial(self._told, serving))

    def _told(self, serving: Serving, answer: wire.Message | Unreached) -> None:
        serving(self._outcomes.of(serving.request, answer))

    def contribute(self, serving: Serving) -> None:
        """Sends a contribution whose key is claimed to the instance that was chosen for it."""
        node = self._where(serving.instance_id)
        if node == self._mesh.node or serving.hops >= HOPS_MAX:
            serving(NOT_THERE)
            return
        message = contribute(
            serving.request, self._catalog.version, serving.hops, serving.instance_id
        )
        self._mesh.ask(node, message, partial(self._told, serving))

    def sketch(self, instance_id: str) -> Instance | None:
        """An instance of another worker, as it is known here."""
        return self._sketches.get(instance_id)

    def opt_in(self, instance_id: str, command: OptIn, answer: OptInAnswer) -> None:
        """To the owner of an instance; its answer calls back."""
        ask_opt_in(self._mesh, self._where(instance_id), instance_id, command, answer)

    # As home and taker, for other workers.

    def _contribute(self, asked: Asked, message: wire.Contribute) -> None:
        if message.version > self._catalog.version:
            self._copy.when_seen(message.version, partial(self._serve, asked, message))
        else:
            self._serve(asked, message)

    def _serve(self, asked: Asked, message: wire.Contribute) -> None:
        request = request_of(message)
        try:
            if message.chosen:
                self._take(asked, message.chosen, request)
            else:
                self._router.submit(request, _Telling(asked), message.hops)
        except Exception:  # noqa: BLE001 - contained like that of a request over HTTP: nothing was sent on
            _log.exception("forwarded contribution failed", trace_id=request.trace_id)
            asked.answer(answer_of(DEFECT))

    def _take(self, asked: Asked, instance_id: str, request: ContributionRequest) -> None:
        taking = _Taking(self, asked, instance_id)
        if request.key is not None:
            digest = key_digest(request.operator, request.key)
            claim = self._keys.taken_from(asked.peer, digest)
            if claim is None:  # the home went by another catalog when it claimed
                asked.answer(answer_of(MOVED))
                return
            taking.digest, taking.claim = digest, claim
        self._router.take(instance_id, request, taking)

    def taken(self, taking: "_Taking", outcome: Accepted | Rejection) -> None:
        """A chosen instance has answered; the key is the home's again where it refused."""
        asked = taking.asked
        if outcome == rejections.JACKPOT_NOT_ACTIVE and taking.instance_id in self._actors:
            self._sketches.tell(asked.peer, taking.instance_id)
        asked.answer(answer_of(outcome))
        if isinstance(outcome, Rejection) and taking.claim is not KEYLESS:
            self._keys.give_back(asked, taking.digest, taking.claim)
        else:
            taking.claim.release()


def _route_by(nodes: list[int]) -> Route:
    """The first of these is the home."""
    return Route(nodes[0], tuple(sorted(set(nodes))))


class _Telling:
    """Tells another worker the outcome of a contribution that it sent."""

    __slots__ = ("_asked",)

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def __call__(self, outcome: Accepted | Rejection) -> None:
        self._asked.answer(answer_of(outcome))


class _Taking:
    """A contribution of another home under way; it holds the claim on its key."""

    __slots__ = ("_owner", "asked", "claim", "digest", "instance_id")

    def __init__(self, owner: RemoteContributions, asked: Asked, instance_id: str) -> None:
        self._owner = owner
        self.asked = asked
        self.instance_id = instance_id
        self.claim: Claim = KEYLESS
        self.digest = b""

    def __call__(self, outcome: Accepted | Rejection) -> None:
        self._owner.taken(self, outcome)


def ask_opt_in(
    mesh: Mesh,
    node: int,
    instance_id: str,
    command: OptIn,
    answer: OptInAnswer,
) -> None:
    """Asks the owner of an instance to opt a player in or out."""

    def told(got: wire.Message | Unreached) -> None:
        answer(None if isinstance(got, wire.Done) else refusal_of(got))

    message = wire.AskOptIn(
        instance_id,
        command.brand,
        command.player_id,
        command.country,
        command.opt_in,
        command.preferred,
        command.preferred_currency,
        dict(command.rates),
    )
    mesh.ask(node, message, told)
