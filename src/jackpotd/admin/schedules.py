"""Schedules of instances: what is set, what it comes to, and changes of it (contract §8, §9).

Whatever a schedule says of the future is computed a piece at a time: nobody who plays waits for a long calendar.
"""

from collections.abc import AsyncIterator
from itertools import islice

import trio.lowlevel
from msgspec import Raw
from msgspec.structs import replace

from jackpotd.admin.approvals import Approvals, Asked
from jackpotd.admin.context import AdminContext, operated
from jackpotd.admin.queries import whole
from jackpotd.core import raffle, rounds
from jackpotd.core import schedule as schedules
from jackpotd.core.commands import SetSchedule
from jackpotd.core.passing import own_schedule, schedule_of
from jackpotd.core.raffle import current_round
from jackpotd.core.rejections import Code
from jackpotd.core.rules import Rules
from jackpotd.core.schedule import DAY_MS, TIMESTAMP_MAX, TIMESTAMP_MIN, Schedule
from jackpotd.core.state import OVER, Instance
from jackpotd.edge.exchange import Incoming, Outgoing, answer, refused_by
from jackpotd.edge.guard import require_reach
from jackpotd.identity.principal import Resource
from jackpotd.wire import admin_schedules as wire
from jackpotd.wire import codec
from jackpotd.wire.catalog_records import InstanceEntry
from jackpotd.wire.errors import RequestRefused, invalid
from jackpotd.wire.parameter_changes import raffles_in
from jackpotd.wire.schedule import compile_schedule, schedule_answer

RANGE_DEFAULT_MS = 7 * DAY_MS
RANGE_MAX_MS = 3_660 * DAY_MS
LISTED_MAX = 1_000
REASON_LENGTH_MAX = 1_024

_AT_ONCE = 64  # about a millisecond
_SKIPPED_AT_ONCE_MS = 10 * DAY_MS  # a few milliseconds, with as many windows a day as there may be
_SCHEDULE = codec.decoder(wire.ScheduleChangeDoc)


class Schedules:
    """The handlers of `/instances/{id}/schedule`."""

    def __init__(self, context: AdminContext, approvals: Approvals) -> None:
        self._context = context
        self._approvals = approvals
        approvals.register("schedule", self._changed)

    async def get(self, request: Incoming) -> Outgoing:
        """Get a schedule with its coming windows and, of a raffle, rounds: by default those of a week from now."""
        principal = self._context.reader(request, Resource.INSTANCES)
        entry = self._context.entry(principal, request.path["instance_id"])
        brand = _asked_brand(entry, request)
        now_ms = self._context.clock()
        from_ms = whole(request, "from", TIMESTAMP_MIN, now_ms + RANGE_MAX_MS)
        from_ms = now_ms if from_ms is None else from_ms
        to_ms = whole(request, "to", from_ms + 1, min(from_ms + RANGE_MAX_MS, TIMESTAMP_MAX))
        to_ms = from_ms + RANGE_DEFAULT_MS if to_ms is None else to_ms
        state = await self._context.instance(principal, entry.instance_id)
        return await _answer(state, brand, from_ms, to_ms)

    async def put(self, request: Incoming) -> Outgoing:
        """Set the schedule of an instance, or of one of its brands, which then has its own windows.

        An instance begins and ends, and a raffle has its rounds, by the instance's own.
        """
        principal = self._context.writer(request, Resource.INSTANCES)
        document = self._context.body(_SCHEDULE, request)
        entry = self._context.entry(principal, request.path["instance_id"])
        brand = _brand(entry, document.brand_id or "", "$.brand_id")
        require_reach(principal, brand or entry.owner_id)
        schedule = compile_schedule(document, "$")
        state = await self._context.instance(principal, entry.instance_id)
        now_ms = self._context.clock()
        round_ = None if brand else current_round(state)
        if (
            round_ is None or now_ms < round_.starts_ms
        ):  # a round that runs may end where no window opens any more
            _require_opening(schedule, now_ms, "$")
        if not brand:
            _require_for_changes(state, schedule)
        if brand:
            return await self._set(
                entry.instance_id,
                SetSchedule(0, brand, schedule, principal.username, document.reason),
            )
        # It may end a jackpot as a termination does.
        return await self._approvals.ask(
            principal, "schedule", entry.owner_id, request.path, request.body
        )

    async def delete(self, request: Incoming) -> Outgoing:
        """Take a schedule away: contributions are then always taken, or a brand follows the instance's own."""
        principal = self._context.writer(request, Resource.INSTANCES)
        entry = self._context.entry(principal, request.path["instance_id"])
        brand = _asked_brand(entry, request)
        require_reach(principal, brand or entry.owner_id)
        reason = request.query.get("reason", "")
        if len(reason) > REASON_LENGTH_MAX:
            message = f"query parameter reason must have at most {REASON_LENGTH_MAX} characters"
            raise RequestRefused(Code.INVALID_REQUEST, message)
        state = await self._context.instance(principal, entry.instance_id)
        if state.rules.raffle is not None and not brand:
            message = "a raffle's own schedule cannot be taken away: it has its rounds by it"
            raise RequestRefused(Code.INVALID_STATE, message)
        if schedule_of(state, brand) is None:
            return await _answer(state, brand, *self._week())
        if brand:
            command = SetSchedule(0, brand, None, principal.username, reason)
            return await self._set(entry.instance_id, command)
        path = {**request.path, "reason": reason}
        return await self._approvals.ask(principal, "schedule", entry.owner_id, path, codec.NULL)

    async def _changed(self, asked: Asked) -> Outgoing:
        """The instance's own schedule, set or (null) taken away."""
        schedule, reason = None, asked.path.get("reason", "")
        if Raw(asked.body) != codec.NULL:
            document = codec.decode(_SCHEDULE, asked.body)
            schedule, reason = compile_schedule(document, "$"), document.reason
        command = SetSchedule(0, "", schedule, asked.by, reason)
        return await self._set(asked.path["instance_id"], command)

    async def _set(self, instance_id: str, command: SetSchedule) -> Outgoing:
        try:
            done = await operated(self._context.owners, instance_id, command)
        except RequestRefused as refused:
            path, dot, rest = refused.body.message.partition("$.schedule.")
            if path or not dot:
                raise
            # The owner says where it is wrong in an instance; here the schedule is the whole body.
            raise RequestRefused(refused.body.code, f"$.{rest}") from None
        return await _answer(done.state, command.brand, *self._week())

    def _week(self) -> tuple[int, int]:
        now_ms = self._context.clock()
        return now_ms, now_ms + RANGE_DEFAULT_MS


def require_first_schedule(rules: Rules, schedule: Schedule | None, now_ms: int) -> None:
    """Refuses a schedule that an instance of these rules cannot begin with, with the path in an instantiation."""
    lacking = raffle.schedule_problem(rules, schedule)
    if lacking is not None:
        raise refused_by(lacking)
    if schedule is not None:
        _require_opening(schedule, now_ms, "$.schedule")
        if raffle.begins_too_long_ago(rules, schedule, now_ms):
            raise invalid("$.schedule.timestamp_start", raffle.TOO_LONG_AGO)


def _require_opening(schedule: Schedule, now_ms: int, path: str) -> None:
    """Refuses a schedule that is over, or never opens any more."""
    if schedule.end_ms is not None and schedule.end_ms <= now_ms:
        raise invalid(f"{path}.timestamp_end", "has passed already")
    if schedules.next_open_ms(schedule, now_ms) is None:
        raise invalid(f"{path}.timestamp_end", "comes before the next window opens")


def _require_for_changes(state: Instance, schedule: Schedule) -> None:
    """Refuses a schedule that a raffle could not have its rounds by once parameters take effect that wait."""
    for rules in raffles_in([change.changes for change in state.rare.pending]):
        lacking = raffle.schedule_problem(replace(state.rules, raffle=rules), schedule)
        if lacking is not None:
            path, _, message = lacking.message.replace("$.schedule.", "$.", 1).partition(" ")
            raise invalid(path, f"{message}, once the parameters are in effect that wait")


def _asked_brand(entry: InstanceEntry, request: Incoming) -> str:
    return _brand(entry, request.query.get("brand_id") or "", "query parameter brand_id")


def _brand(entry: InstanceEntry, brand: str, path: str) -> str:
    """A brand that may contribute, as `operator:brand`; a bare one is of the instance's operator, none is none."""
    if brand and ":" not in brand:
        brand = f"{entry.owner_id.partition(':')[0]}:{brand}"
    if brand and brand not in entry.brands:
        raise invalid(path, f"names no brand of this jackpot: {brand}")
    return brand


async def _answer(state: Instance, brand: str, from_ms: int, to_ms: int) -> Outgoing:
    """A schedule and what it comes to; a brand without its own has the windows of the instance."""
    chosen, own = schedule_of(state, brand), own_schedule(state)
    in_force = chosen or own or Schedule(None, None)
    opens_ms, closes_ms = _life(state, own, from_ms, to_ms)
    windows = [wire.WindowState(*each) async for each in _windows(in_force, opens_ms, closes_ms)]
    coming: list[wire.RoundTimes] = []
    if not brand:
        coming = [each async for each in _rounds(state, own, from_ms, to_ms)]
    return answer(
        wire.ScheduleAnswer(
            instance_id=state.definition.instance_id,
            brand_id=brand or None,
            schedule=None if chosen is None else schedule_answer(chosen),
            brands={
                each.brand: schedule_answer(each.schedule)
                for each in state.rare.schedules
                if each.brand
            },
            from_=from_ms,
            to=to_ms,
            windows=windows[:LISTED_MAX],
            rounds=coming[:LISTED_MAX],
            truncated=max(len(windows), len(coming)) > LISTED_MAX,
        )
    )


def _life(state: Instance, own: Schedule | None, from_ms: int, to_ms: int) -> tuple[int, int]:
    """The part of a span in which the instance lives: also a brand with its own windows contributes then alone."""
    if state.status in OVER:
        return from_ms, from_ms
    start_ms = None if own is None else own.start_ms
    end_ms = None if own is None else own.end_ms
    opens_ms = from_ms if start_ms is None else max(from_ms, start_ms)
    return opens_ms, to_ms if end_ms is None else min(to_ms, end_ms)


async def _windows(schedule: Schedule, from_ms: int, to_ms: int) -> AsyncIterator[tuple[int, int]]:
    """The windows, and one more than are listed if there are so many."""
    found = islice(schedules.windows(schedule, from_ms, to_ms), LISTED_MAX + 1)
    for count, each in enumerate(found, 1):
        yield each
        if not count % _AT_ONCE:
            await trio.lowlevel.checkpoint()


async def _rounds(
    state: Instance, own: Schedule | None, from_ms: int, to_ms: int
) -> AsyncIterator[wire.RoundTimes]:
    """The rounds of a raffle that are not over at `from_ms`, the running one first; one more than are listed."""
    rules, known = state.rules.raffle, current_round(state)
    if rules is None or own is None or state.status in OVER:
        return
    number, count = state.rare.rounds, 0
    after_ms = state.rare.round_end_ms if number else own.start_ms or 0
    if known is not None:
        number, after_ms = known.number, known.ends_ms
        if known.ends_ms > from_ms and known.starts_ms < to_ms:
            count += 1
            yield wire.RoundTimes(known.number, known.starts_ms, known.ends_ms)
    while (bounds := rounds.following(own, rules.duration_ms, after_ms)) is not None:
        if bounds[1] > from_ms:
            break
        until_ms = min(from_ms, bounds[1] + _SKIPPED_AT_ONCE_MS)
        over, _, after_ms = rounds.advance(own, rules.duration_ms, after_ms, until_ms)
        number += over
        await trio.lowlevel.checkpoint()
    while bounds is not None and bounds[0] < to_ms and count <= LISTED_MAX:
        count, number = count + 1, number + 1
        yield wire.RoundTimes(number, *bounds)
        if not count % _AT_ONCE:
            await trio.lowlevel.checkpoint()
        bounds = rounds.following(own, rules.duration_ms, bounds[1])
