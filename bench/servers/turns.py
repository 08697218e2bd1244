"""One turn of one server: what the generator measured, and what the server took of its cores for it."""

from msgspec import Struct

from bench.generator.driving import drive
from bench.generator.plan import Measured, Plan
from bench.servers.subjects import Subject


class Turn(Struct, frozen=True):
    """One round of one subject: what was measured, and µs of its cores for each contribution answered 200.

    On a busy machine the µs move less than rates do; they do move, with caches and the records in a commit.
    """

    measured: Measured
    core_us: float

    @property
    def rate(self) -> float:
        return self.measured.rate


def take(subject: Subject, plan: Plan, what: str) -> Turn:
    """Runs a plan against a server and reads its processes' clocks before and after, kernel included.

    Raises:
        GeneratorFailed: the server cannot be loaded.
    """
    before = subject.program.cpu_s()
    measured = drive(plan, what)
    core_s = subject.program.cpu_s() - before
    return Turn(measured, core_s / max(sum(measured.timeline), 1) * 1e6)
