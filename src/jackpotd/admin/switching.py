"""Switching an instance to another template, step by step (contract §8, later-facts 1.6).

The catalog holds the new instance, still Pending, and how far the switch is. The old one is terminated and sends what
its pots hold; the new one takes it, once; it inherits the opt-ins; sources and links are led to it in one change of the
catalog; then it has the schedules of the old one, and is started. Each step may be done again after a crash: money
moves once by its id, and everything else says how it shall be. While money moves, contributions to either are refused,
as to any jackpot that is not Active.
"""

from collections.abc import Callable, Iterator

import structlog
import trio
from msgspec.structs import replace

from jackpotd.admin.sources import remembering
from jackpotd.admin.switching_schedules import keep_schedules, started
from jackpotd.core.commands import ChangeStatus, Inherit, SendTransfers
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Status, Transfer
from jackpotd.engine.catalog import Catalog, CatalogOwner
from jackpotd.engine.messages import Operated
from jackpotd.engine.owners import Owners
from jackpotd.engine.ports import Clock
from jackpotd.engine.transfers import deliver
from jackpotd.wire.catalog_records import (
    CatalogEntity,
    InstanceEntry,
    Links,
    Placement,
    Source,
    Switching,
)

RETRY_MIN_S = 0.05
RETRY_MAX_S = 10.0

_UNFINISHED = ("Begun", "Remapped")
_FINAL = (Code.INVALID_STATE, Code.INVALID_REQUEST)

_log = structlog.get_logger("jackpotd.switching")

Place = Callable[[str], int | None]
"""The worker that an instance lives with; None where there is only one."""


def transfers_of(switching: Switching) -> tuple[tuple[Transfer, ...], tuple[int, ...]]:
    """What the old instance is told to send, and the weights."""
    transfers = tuple(
        Transfer(
            id=f"{switching.id}:{index}",
            pot=part.pot,
            to_instance=switching.target,
            to_pot=part.to_pot,
            value=0,
            reserve=0,
            boost=0,
        )
        for index, part in enumerate(switching.parts)
    )
    return transfers, tuple(part.share for part in switching.parts)


def sending(switching: Switching) -> SendTransfers:
    """The command to the old instance."""
    return SendTransfers(0, *transfers_of(switching), switching.by, switching.reason)


class Switcher:
    """Drives switches to their end; one at a time.

    Args:
        owner: of the catalog.
        owners: of the instances.
        place: where an instance lives.
        clock: stamps what sources were mapped to.
        key_retention_ms: how long idempotency keys live.
    """

    def __init__(
        self,
        owner: CatalogOwner,
        owners: Owners,
        place: Place,
        clock: Clock,
        *,
        key_retention_ms: int,
    ) -> None:
        self._owner = owner
        self._owners = owners
        self._place = place
        self._clock = clock
        self._key_retention_ms = key_retention_ms
        self._lock = trio.Lock()
        self._wake = trio.Event()

    async def begin(self, switching: Switching, entry: InstanceEntry) -> Rejection | None:
        """Puts the new instance and the switch into the catalog; from then on it is finished, whatever happens."""

        def change(catalog: Catalog) -> list[CatalogEntity] | Rejection:
            for known in catalog.switchings.values():
                if known.source == switching.source and known.stage in _UNFINISHED:
                    return Rejection(Code.INVALID_STATE, f"{known.source} is being switched")
            worker = self._place(switching.source)
            placed = (
                [] if worker is None else [Placement(instance_id=entry.instance_id, worker=worker)]
            )
            return [entry, *placed, switching]

        return await self._owner.change(switching.by, change)

    async def drive(self, switching_id: str) -> Rejection | None:
        """Goes on with a switch; None when it is done. What cannot be done now is tried again in the background."""
        async with self._lock:
            refused = None
            switching = self._owner.catalog.switchings[switching_id]
            if switching.stage == "Begun":
                refused = await self._move(switching)
                if refused is None:
                    await self._remap(switching)
            if refused is None and switching.stage in _UNFINISHED:
                refused = await self._start(switching)
        if refused is not None:
            self._wake.set()
        return refused

    async def run(self) -> None:
        """Finishes what was begun, also in an earlier life, until cancelled."""
        delay_s, told = RETRY_MIN_S, set[str]()
        while True:
            self._wake = trio.Event()
            refusals = [await self.drive(switching_id) for switching_id in self._unfinished()]
            texts = {refused.message for refused in refusals if refused is not None}
            for text in texts - told:
                _log.warning("a switch waits", reason=text)  # once: it is tried again and again
            told |= texts
            if texts:
                await trio.sleep(delay_s)
                delay_s = min(2 * delay_s, RETRY_MAX_S)
            else:
                delay_s = RETRY_MIN_S
                await self._wake.wait()

    def _unfinished(self) -> list[str]:
        known = self._owner.catalog.switchings.values()
        return [each.id for each in known if each.stage in _UNFINISHED]

    async def _move(self, switching: Switching) -> Rejection | None:
        """The new instance lives, and has the money and the opt-ins."""
        born = await self._owners.create(self._owner.catalog.instances[switching.target])
        if isinstance(born, Rejection):
            return born
        sent = await self._owners.operate(switching.source, sending(switching))
        if isinstance(sent, Rejection):
            return await self._call_off(switching, sent) if sent.code in _FINAL else sent
        for transfer in sent.state.rare.transfers:
            if transfer.id.startswith(f"{switching.id}:"):
                refused = await deliver(self._owners, switching.source, transfer)
                if refused is not None:
                    return refused
        if not switching.with_opt_ins:
            return None
        return _refusal(await self._owners.operate(switching.target, Inherit(0, switching.source)))

    async def _call_off(self, switching: Switching, why: Rejection) -> Rejection | None:
        """The old instance does not let its money go: nothing has moved, and the new one ends before it began."""
        end = ChangeStatus(0, Status.TERMINATED, why.message, switching.by)
        refused = _refusal(await self._owners.operate(switching.target, end))
        if refused is not None and refused.code is Code.OVERLOADED:
            return refused
        await self._owner.change(switching.by, lambda _: [replace(switching, stage="CalledOff")])
        return why

    async def _remap(self, switching: Switching) -> None:
        """Whatever leads to the old instance leads to the new one."""

        def change(catalog: Catalog) -> list[CatalogEntity] | Rejection:
            now_ms = self._clock()
            expired_ms = now_ms - self._key_retention_ms
            sources = [
                remembering(source, _led_to(source, switching), now_ms, expired_ms)
                for source in catalog.sources.values()
                if any(known.instance_id == switching.source for known in source.jackpots)
            ]
            remapped = replace(switching, stage="Remapped")
            return [*sources, *_relinked(catalog, switching), remapped]

        await self._owner.change(switching.by, change)

    async def _start(self, switching: Switching) -> Rejection | None:
        refused = await keep_schedules(self._owners, switching, self._clock())
        if refused is None and switching.starts:
            refused = await started(self._owners, switching)
        if refused is not None:
            return refused
        await self._owner.change(switching.by, lambda _: [replace(switching, stage="Done")])
        return None


def _refusal(outcome: Operated | Rejection) -> Rejection | None:
    return outcome if isinstance(outcome, Rejection) else None


def _led_to(source: Source, switching: Switching) -> Source:
    """The source with the new instance in the old one's place."""
    jackpots = tuple(
        replace(known, instance_id=switching.target)
        if known.instance_id == switching.source
        else known
        for known in source.jackpots
        if known.instance_id != switching.target
    )
    return replace(source, jackpots=jackpots)


def _relinked(catalog: Catalog, switching: Switching) -> Iterator[Links]:
    """The links of the old instance for the new one, and links to it led to the new one."""
    old, new = switching.source, switching.target
    own = tuple(each for each in catalog.links.get(old, ()) if each != new)
    if own:
        yield Links(instance_id=old, linked=())
        yield Links(instance_id=new, linked=own)
    for instance_id, linked in catalog.links.items():
        if old in linked and instance_id not in (old, new):
            led = dict.fromkeys(new if each == old else each for each in linked)
            yield Links(instance_id=instance_id, linked=tuple(led))
