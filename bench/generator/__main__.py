"""The generator's process: a plan on standard input; progress and the measurement on standard output, in JSON lines."""

import gc
import os
import sys

import msgspec

from bench.generator.loop import LoadFailed, Loop
from bench.generator.plan import Failed, Measured, Plan, Progress


def say(message: Progress | Failed | Measured) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


class Saying:
    """Turns counts so far into what happened lately."""

    def __init__(self, plan: Plan) -> None:
        self._total_s = plan.warm_up_s + plan.duration_s
        self._before = (0, 0.0)

    def __call__(self, answered: int, done_s: float) -> None:
        count, at = self._before
        self._before = (answered, done_s)
        say(Progress(done_s, self._total_s, (answered - count) / (done_s - at)))


def main() -> None:
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    if plan.core is not None:
        os.sched_setaffinity(0, {plan.core})
    loop = Loop(plan, Saying(plan))
    gc.freeze()
    gc.disable()  # nothing here makes cycles; a collection would look like the server's pause
    try:
        say(loop.run())
    except LoadFailed as error:
        say(Failed(str(error)))


if __name__ == "__main__":
    main()
