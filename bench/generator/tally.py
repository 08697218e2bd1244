"""Counts answers while the loop runs and makes histograms after it: recording costs an append to an array."""

import math
from array import array
from collections import defaultdict

import msgspec
from msgspec import Struct

from bench.generator.plan import LATENCY_MAX_US, Measured, Plan, histogram

UNEXPECTED_LENGTH_MAX = 300


class _Element(Struct):
    status_code: int


_ARRAY = msgspec.json.Decoder(list[_Element])
_LINES = msgspec.json.Decoder(_Element)


class Tally:
    """The figures of one run; times are those of one monotonic clock, in seconds."""

    def __init__(self, plan: Plan, begin: float) -> None:
        self._workload = plan.workload
        self._begin = begin
        self.measure_from = begin + plan.warm_up_s
        self.measure_until = self.measure_from + plan.duration_s
        seconds = math.ceil(plan.warm_up_s + plan.duration_s)
        self._timeline = [0] * seconds
        self._statuses: dict[int, int] = defaultdict(int)
        self._latency = array("d")
        self._service: dict[int, array[float]] = defaultdict(lambda: array("d"))
        self.answered = 0
        self.unanswered = self.unsent = self.lost = self.reconnects = 0
        self.unexpected = ""

    def add(self, status: int, body: bytes, due: float, sent: float, now: float) -> None:
        """One answer, to a request that was due and sent at these times."""
        if status == 200 and self._workload.batch:
            self._add_batch(body, due, sent, now)
            return
        if status == 200:
            self.answered += 1
            second = int(now - self._begin)
            if second < len(self._timeline):
                self._timeline[second] += 1
        elif not self.unexpected:
            self.unexpected = f"{status} {body[:UNEXPECTED_LENGTH_MAX]!r}"
        if self.measure_from <= now < self.measure_until:
            self._statuses[status] += 1
        if self.measure_from <= sent < self.measure_until:
            self._service[status].append(now - sent)
        if status == 200 and self.measure_from <= due < self.measure_until:
            self._latency.append(now - due)

    def _add_batch(self, body: bytes, due: float, sent: float, now: float) -> None:
        decoder = _LINES.decode_lines if self._workload.is_ndjson else _ARRAY.decode
        elements = decoder(body)
        if len(elements) != self._workload.batch and not self.unexpected:
            said = f"{len(elements)} results to {self._workload.batch} elements"
            self.unexpected = f"{said}: {body[:UNEXPECTED_LENGTH_MAX]!r}"
        good = sum(1 for element in elements if element.status_code == 200)
        if good < len(elements) and not self.unexpected:
            self.unexpected = f"200 {body[:UNEXPECTED_LENGTH_MAX]!r}"
        self.answered += good
        second = int(now - self._begin)
        if second < len(self._timeline):
            self._timeline[second] += good
        if self.measure_from <= now < self.measure_until:
            for element in elements:
                self._statuses[element.status_code] += 1
        if self.measure_from <= due < self.measure_until:
            self._latency.append(now - due)
        if self.measure_from <= sent < self.measure_until:
            self._service[200].append(now - sent)

    def add_never(self, due: float, now: float) -> None:
        """A request that got no answer: its age is the least that its latency would have been."""
        if self.measure_from <= due < self.measure_until:
            self._latency.append(now - due)

    def measured(self, generator_cpu: float) -> Measured:
        return Measured(
            duration_s=self.measure_until - self.measure_from,
            contributions=self._statuses.get(200, 0),
            statuses=dict(self._statuses),
            latency=_encoded(self._latency),
            service={status: _encoded(times) for status, times in self._service.items()},
            unanswered=self.unanswered,
            unsent=self.unsent,
            lost=self.lost,
            reconnects=self.reconnects,
            timeline=self._timeline,
            generator_cpu=generator_cpu,
            unexpected=self.unexpected,
        )


def _encoded(seconds: "array[float]") -> str:
    made = histogram()
    for value in seconds:
        made.record_value(min(max(1, round(value * 1e6)), LATENCY_MAX_US))
    encoded: bytes = made.encode()
    return encoded.decode()
