"""The end of a switch: the new instance has the schedules of the old one, and serves as it did.

The old one is terminated, so its schedules change no more. A jackpot that waits starts by its schedule as soon as that
has begun; so where the old one had been paused, the new one is paused before it has its own.
"""

from collections.abc import Iterator

from jackpotd.core.commands import ChangeStatus, SetSchedule
from jackpotd.core.passing import BY, own_schedule, schedule_of
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.schedule import Schedule
from jackpotd.core.state import OVER, Instance, Status
from jackpotd.engine.owners import Owners
from jackpotd.wire.catalog_records import Switching


async def keep_schedules(owners: Owners, switching: Switching, now_ms: int) -> Rejection | None:
    """Gives the new instance what the old one has; done again, it does nothing.

    A schedule that has ended in the meantime ends the new instance, as it would have ended the old one.
    """
    old, new = await owners.instance(switching.source), await owners.instance(switching.target)
    if isinstance(old, Rejection):
        return old
    if isinstance(new, Rejection):
        return new
    if new.status in OVER:
        return None
    own = own_schedule(old)
    if own is not None and own != own_schedule(new):
        if _is_over(own, now_ms):
            end = ChangeStatus(0, Status.TERMINATED, "the schedule is over", BY)
            return await _refusal(owners, switching, end)
        # Had it been waiting for its schedule, that would have started it by then.
        has_begun = own.start_ms is not None and own.start_ms <= switching.at_ms
        if has_begun and not switching.starts:
            refused = await _pause(owners, switching, new)
            if refused is not None:
                return refused
    for command in _lacking(switching, old, new, now_ms):
        refused = await _refusal(owners, switching, command)
        if refused is not None:
            return refused
    return None


def _is_over(schedule: Schedule, now_ms: int) -> bool:
    return schedule.end_ms is not None and schedule.end_ms <= now_ms


async def _pause(owners: Owners, switching: Switching, new: Instance) -> Rejection | None:
    """Nothing leads to the new instance that a player knows of, so nobody plays in between."""
    wanted = {Status.PENDING: (Status.ACTIVE, Status.PAUSED), Status.ACTIVE: (Status.PAUSED,)}
    for status in wanted.get(new.status, ()):
        command = ChangeStatus(0, status, switching.reason, switching.by)
        refused = await _refusal(owners, switching, command)
        if refused is not None:
            return refused
    return None


def _lacking(
    switching: Switching, old: Instance, new: Instance, now_ms: int
) -> Iterator[SetSchedule]:
    """The schedules that the new instance does not have yet: those of brands first, for its own may start it.

    A brand that the new one does not allow needs none.
    """
    for each in sorted(old.rare.schedules, key=lambda each: not each.brand):
        is_there = schedule_of(new, each.brand) == each.schedule
        is_there = is_there or bool(each.brand and each.brand not in new.rules.allowed_brands)
        if not is_there and not _is_over(each.schedule, now_ms):
            yield SetSchedule(0, each.brand, each.schedule, switching.by, switching.reason)


async def started(owners: Owners, switching: Switching) -> Rejection | None:
    """Starts the new instance, unless its schedule does, or a person has."""
    state = await owners.instance(switching.target)
    if isinstance(state, Rejection):
        return state
    if state.status is not Status.PENDING:
        return None
    start = ChangeStatus(0, Status.ACTIVE, switching.reason, switching.by)
    refused = await _refusal(owners, switching, start)
    if refused is None or refused.code is not Code.INVALID_STATE:
        return refused
    after = await owners.instance(switching.target)
    is_waiting = isinstance(after, Rejection) or after.status is Status.PENDING
    return refused if is_waiting else None


async def _refusal(
    owners: Owners, switching: Switching, command: ChangeStatus | SetSchedule
) -> Rejection | None:
    outcome = await owners.operate(switching.target, command)
    return outcome if isinstance(outcome, Rejection) else None
