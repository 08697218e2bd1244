"""Keys of requests whose source has had jackpots of several workers: claimed with each of them, in ascending order.

Usually that is one worker, and none of this is used. The request's home holds the claims until its answer is durable.
A claim whose home is gone is free again, but for one that a contribution has been sent with: that keeps it to its end.
"""

from functools import partial

from jackpotd.cluster.answers import Outcomes, answer_of
from jackpotd.cluster.catalog import CatalogCopy
from jackpotd.core.rejections import Rejection
from jackpotd.engine.fold import key_digest
from jackpotd.engine.idempotency import KEYLESS, Claim, KeyDesk, Used
from jackpotd.engine.messages import MOVED, Accepted, ContributionRequest
from jackpotd.engine.router import Router
from jackpotd.engine.serving import Serving
from jackpotd.mesh.link import Unreached
from jackpotd.mesh.mesh import Asked, Mesh
from jackpotd.wire import mesh_messages as wire


class RemoteKeys:
    """The key desks of all workers: claims there for requests of here, and claims here for requests of there."""

    def __init__(
        self, mesh: Mesh, copy: CatalogCopy, desk: KeyDesk, router: Router, outcomes: Outcomes
    ) -> None:
        self.mesh = mesh
        self.copy = copy
        self.desk = desk
        self.router = router
        self.outcomes = outcomes
        self._held: dict[int, dict[bytes, Claim]] = {}
        mesh.handle(wire.ClaimKey, self._claim)
        mesh.handle(wire.ReleaseKey, self._release)
        mesh.on_down(self._release_all)

    def claim(self, serving: Serving, nodes: tuple[int, ...]) -> None:
        """Claims a request's key with these workers, and goes on with it then; or answers it."""
        JointClaim(self, serving, nodes).go_on()

    def taken_from(self, node: int, digest: bytes) -> Claim | None:
        """The claim that a worker holds here, which it has sent a contribution with: from now on it is its own."""
        return self._held.get(node, {}).pop(digest, None)

    def give_back(self, asked: Asked, digest: bytes, claim: Claim) -> None:
        """The contribution was refused: the home may choose another instance."""
        if asked.is_cut:
            claim.release()
        else:
            self._held.setdefault(asked.peer, {})[digest] = claim

    def _claim(self, asked: Asked, message: wire.ClaimKey) -> None:
        self.copy.when_seen(message.version, partial(self._try, asked, message))

    def _try(self, asked: Asked, message: wire.ClaimKey) -> None:
        if asked.is_cut:
            return
        found = self.desk.claim(
            message.operator, message.key, message.fingerprint, partial(self._try, asked, message)
        )
        if isinstance(found, Claim):
            digest = key_digest(message.operator, message.key)
            self._held.setdefault(asked.peer, {})[digest] = found
            asked.answer(wire.DONE)
        elif found is not None:
            asked.answer(answer_of(found.answer if isinstance(found, Used) else found))

    def _release(self, asked: Asked, message: wire.ReleaseKey) -> None:
        claim = self.taken_from(asked.peer, message.digest)
        if claim is not None:
            claim.release()

    def _release_all(self, node: int) -> None:
        for claim in self._held.pop(node, {}).values():
            claim.release()


class JointClaim:
    """One key, claimed with several workers one after the other."""

    __slots__ = ("_claimed", "_here", "_keys", "_nodes", "_serving", "_version")

    def __init__(self, keys: RemoteKeys, serving: Serving, nodes: tuple[int, ...]) -> None:
        self._keys = keys
        self._serving = serving
        self._nodes = nodes
        self._version = keys.copy.version
        self._claimed = 0
        self._here: Claim = KEYLESS

    @property
    def nodes(self) -> tuple[int, ...]:
        """The workers whose claims are held."""
        return self._nodes[: self._claimed]

    def go_on(self) -> None:
        """Claims with the next worker, or serves the request."""
        keys, request = self._keys, self._serving.request
        while self._claimed < len(self._nodes):
            node = self._nodes[self._claimed]
            if node != keys.mesh.node:
                keys.mesh.ask(node, _question(request, keys.copy.version), self._answered)
                return
            found = keys.desk.claim(request.operator, request.key, request.fingerprint, self.go_on)
            if found is None:
                return
            if not isinstance(found, Claim):
                self._over(found.answer if isinstance(found, Used) else found)
                return
            self._here = found
            self._claimed += 1
        if keys.copy.version == self._version:
            keys.router.claimed(self._serving, self)
        else:  # the source may have jackpots of further workers by now
            self._over(MOVED)

    def _answered(self, answer: wire.Message | Unreached) -> None:
        if isinstance(answer, wire.Done):
            self._claimed += 1
            self.go_on()
        else:
            self._over(self._keys.outcomes.of(self._serving.request, answer))

    def _over(self, outcome: Accepted | Rejection) -> None:
        serving, serving.claim = self._serving, self
        serving(outcome)

    def release(self) -> None:
        """Frees the key everywhere."""
        mesh, request = self._keys.mesh, self._serving.request
        assert request.key is not None  # noqa: S101 - narrows the type; nobody claims without one
        digest = key_digest(request.operator, request.key)
        for node in self.nodes:
            if node != mesh.node:
                mesh.post(node, wire.ReleaseKey(digest))
        self._claimed = 0
        self._here.release()


def _question(request: ContributionRequest, version: int) -> wire.ClaimKey:
    assert request.key is not None  # noqa: S101 - narrows the type; nobody claims without one
    return wire.ClaimKey(version, request.operator, request.key, request.fingerprint)
