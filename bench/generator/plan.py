"""What a generator is asked to do, and what it says afterwards: the messages between a bench and its process."""

from hdrh.histogram import HdrHistogram
from msgspec import Struct

from bench.generator.workload import Workload

LATENCY_MAX_US = 120_000_000
_DIGITS = 3


class Plan(Struct, frozen=True):
    """One measurement.

    Attributes:
        host, port: the server, on loopback.
        token: the service token.
        run: unique name, part of every idempotency key.
        connections: open at once, kept alive.
        rate: requests a second at a constant rate (open loop); None sends the next request when one is answered
            (closed loop), which finds the peak.
        warm_up_s: seconds before the measurement, not counted.
        duration_s: seconds that are counted.
        pipeline: requests that may be under way on one connection.
        give_up_s: open loop: a request that found no free connection for so long is never sent; None keeps it waiting.
        core: the core to run on; None leaves that to the system.
    """

    host: str
    port: int
    token: str
    run: str
    connections: int
    duration_s: float
    rate: float | None = None
    warm_up_s: float = 1.0
    pipeline: int = 1
    give_up_s: float | None = None
    core: int | None = None
    workload: Workload = Workload()


class Progress(Struct, frozen=True, tag="progress"):
    """Where a running measurement stands: seconds done of all, and contributions a second lately."""

    done_s: float
    total_s: float
    lately: float


class Failed(Struct, frozen=True, tag="failed"):
    """Why there is no measurement."""

    why: str


class Measured(Struct, frozen=True, tag="measured"):
    """What came of a plan. Counts are of contributions (elements of a batch) that were answered in the counted seconds.

    Attributes:
        duration_s: the counted seconds.
        contributions: answered with 200.
        statuses: every answer by its status.
        latency: encoded histogram, µs from the time at which a request was due to be sent to its answer, of requests
            answered 200 and of those that were never answered or sent (counted with their age at the end).
        service: for each status an encoded histogram, µs from the actual send to the answer, of what was sent in the
            counted seconds: under overload that was due long before.
        unanswered: sent, but not answered 5 s after the end.
        unsent: open loop: due, but no connection was free up to the end or until they were given up.
        lost: under way on a connection that the server closed.
        reconnects: connections opened again.
        timeline: contributions answered in each second, warm-up included.
        generator_cpu: the generator's own share of its core, 0 to 1, while counting.
        unexpected: the first body that came with another status than 200.
    """

    duration_s: float
    contributions: int
    statuses: dict[int, int]
    latency: str
    service: dict[int, str]
    unanswered: int
    unsent: int
    lost: int
    reconnects: int
    timeline: list[int]
    generator_cpu: float
    unexpected: str = ""

    @property
    def rate(self) -> float:
        """Contributions a second."""
        return self.contributions / self.duration_s

    @property
    def problems(self) -> list[str]:
        """Everything that a clean run does not have; empty if it was clean."""
        found = [
            f"{count} answers of status {status}"
            for status, count in sorted(self.statuses.items())
            if status != 200
        ]
        named = {"unanswered": self.unanswered, "unsent": self.unsent, "lost": self.lost}
        found += [f"{count} {name}" for name, count in named.items() if count]
        if self.generator_cpu > 0.95:
            found.append(
                f"the generator was busy for {self.generator_cpu:.0%}: it may be the limit"
            )
        if self.unexpected:
            found.append(f"such as {self.unexpected}")
        return found


class Latency(Struct, frozen=True):
    """Percentiles in ms."""

    p50: float
    p90: float
    p99: float
    p999: float
    highest: float
    count: int


def histogram(encoded: str | None = None) -> HdrHistogram:
    """A histogram of µs, from 1 µs to two minutes with three digits; empty, or a decoded one."""
    made = HdrHistogram(1, LATENCY_MAX_US, _DIGITS)
    if encoded is not None:
        made.decode_and_add(encoded)
    return made


def share_within(seconds: float, *encoded: str) -> float:
    """The part of all recorded values, 0 to 1, that are not above so many seconds; 1 where there are none."""
    within = total = 0
    for part in encoded:
        for item in histogram(part).get_recorded_iterator():
            total += item.count_added_in_this_iter_step
            if item.value_iterated_to <= seconds * 1e6:
                within += item.count_added_in_this_iter_step
    return within / total if total else 1.0


def latency(*encoded: str) -> Latency:
    """Percentiles over one or more histograms."""
    whole = histogram()
    for part in encoded:
        whole.decode_and_add(part)
    at = {name: whole.get_value_at_percentile(name) / 1e3 for name in (50, 90, 99, 99.9)}
    return Latency(
        p50=at[50],
        p90=at[90],
        p99=at[99],
        p999=at[99.9],
        highest=whole.get_max_value() / 1e3,
        count=whole.get_total_count(),
    )
