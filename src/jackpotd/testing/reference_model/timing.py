"""What time does to an instance by its schedule, and who is kept out by one (contract §8, §9)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jackpotd.testing.reference_model import raffle
from jackpotd.testing.reference_model.operating import OVER, REFUSED, end_windows, terminate
from jackpotd.testing.reference_model.paying import Jackpot
from jackpotd.testing.reference_model.pots import Readings
from jackpotd.testing.reference_model.records import Rejection, Settled
from jackpotd.testing.reference_model.schedules import Calendar


def is_closed(jackpot: Jackpot, brand: str, at_ms: int) -> bool:
    """Whether a brand's own schedule, or else the instance's, is closed."""
    calendar = jackpot.calendars.get(brand) or jackpot.calendars.get("")
    return calendar is not None and not calendar.is_open(at_ms)


def require_settled(jackpot: Jackpot, at_ms: int) -> None:
    """Raises ValueError where time has to pass before anything else happens at this moment."""
    if _begins(jackpot, at_ms) or _ends(jackpot, at_ms) or raffle.is_due(jackpot, at_ms):
        raise ValueError("what is due by now must have happened first")


def pass_time(
    jackpot: Jackpot, at_ms: int, round_ids: Mapping[str, str], readings: Readings
) -> Settled:
    """The beginning, windows that ended while the jackpot ran, then the end of a jackpot that is no raffle."""
    statuses = []
    ends = _ends(jackpot, at_ms)
    if _begins(jackpot, at_ms) and not ends:
        jackpot.status = "Active"
        statuses.append("Active")
    until_ms = jackpot.calendars[""].ends_ms if ends else at_ms
    settled = end_windows(jackpot, at_ms, round_ids, readings, until_ms)
    if ends:
        terminate(jackpot)
        statuses.append("Terminated")
    return replace(settled, statuses=tuple(statuses))


def _begins(jackpot: Jackpot, at_ms: int) -> bool:
    own = jackpot.calendars.get("")
    starts_ms = None if own is None else own.starts_ms
    return jackpot.status == "Pending" and starts_ms is not None and starts_ms <= at_ms


def _ends(jackpot: Jackpot, at_ms: int) -> bool:
    own = jackpot.calendars.get("")
    ends_ms = None if own is None or jackpot.rules.raffle is not None else own.ends_ms
    return jackpot.status not in OVER and ends_ms is not None and ends_ms <= at_ms


def set_schedule(
    jackpot: Jackpot, brand: str, document: Mapping[str, Any] | None, at_ms: int
) -> Rejection | None:
    """A brand's schedule, or ("") the instance's own; a raffle needs one that begins, and one that ends where its
    rounds last as long.
    """
    if jackpot.status in OVER:
        return REFUSED
    new = None if document is None else Calendar(document)
    if new is not None and new.ends_ms is not None and new.ends_ms <= at_ms:
        return REFUSED
    rules = jackpot.rules.raffle
    if rules is not None and not brand:
        if new is None or new.starts_ms is None:
            return REFUSED
        if rules.duration_ms is None and new.ends_ms is None:
            return REFUSED
    if new is None:
        jackpot.calendars.pop(brand, None)
    else:
        jackpot.calendars[brand] = new
    if not brand:
        raffle.reschedule(jackpot, at_ms)
    return None
