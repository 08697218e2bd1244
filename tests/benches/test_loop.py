"""The generator's loop against a small real server: what it sends, counts and measures."""

import json
import threading

import pytest
from msgspec.structs import replace

from bench.generator.loop import Loop
from bench.generator.plan import Measured, Plan, latency
from bench.generator.tally import Tally
from bench.generator.workload import Workload

from .answering_server import AnsweringServer, answer, answering


def plan(server: AnsweringServer) -> Plan:
    return Plan(
        host="127.0.0.1",
        port=server.port,
        token="abc",
        run="run",
        connections=4,
        duration_s=0.3,
        warm_up_s=0.1,
    )


PLAN = Plan("127.0.0.1", 1, token="abc", run="run", connections=1, duration_s=0.3, warm_up_s=0.1)


def run(chosen: Plan) -> Measured:
    return Loop(chosen, lambda _answered, _done_s: None).run()


def test_closed_loop_counts_every_answer_and_uses_its_connections() -> None:
    """What was counted is not more than what came, and nothing is lost."""
    with answering(lambda _number, _body: answer()) as server:
        measured = run(plan(server))

    assert 0 < measured.contributions <= len(server.bodies)
    assert measured.statuses == {200: measured.contributions}
    assert sum(measured.timeline) == len(server.bodies)
    assert (server.connections, measured.lost, measured.unanswered) == (4, 0, 0)
    assert measured.rate == pytest.approx(measured.contributions / 0.3)


def test_pipelined_requests_are_answered_in_order() -> None:
    """Several under way on one connection."""
    with answering(lambda _number, _body: answer()) as server:
        measured = run(replace(plan(server), connections=1, pipeline=8))

    keys = [json.loads(body)["options"]["idempotency_key"] for body in server.bodies]
    assert keys == sorted(keys)
    assert len(keys) > 8
    assert measured.lost == measured.unanswered == 0


def test_open_loop_sends_at_its_rate() -> None:
    """Exactly as many as are due, in the warm-up too."""
    with answering(lambda _number, _body: answer()) as server:
        measured = run(replace(plan(server), rate=200.0, duration_s=0.5))

    assert len(server.bodies) == 120
    assert latency(measured.latency).count == 100
    assert measured.problems == []


def test_stall_of_the_server_is_not_omitted() -> None:
    """Requests that were due while the server stood still are late by what was left of the stall."""
    released = threading.Event()
    timer = threading.Timer(0.3, released.set)

    def reply(number: int, _body: bytes) -> bytes:
        if number == 0:
            timer.start()
            assert released.wait(10)
        return answer()

    with answering(reply) as server:
        stalled = replace(plan(server), connections=1, rate=100.0, warm_up_s=0.0, duration_s=0.5)
        measured = run(stalled)

    seen = latency(measured.latency)
    assert seen.count == 50
    assert seen.highest >= 290
    # 30 of 50 were due during the stall, on average half of it late; one alone was sent in it.
    assert seen.p50 >= 40
    assert latency(measured.service[200]).p50 < 40


def test_other_statuses_are_counted_and_shown() -> None:
    """Only 200 is a contribution; the first other answer is kept to be shown."""

    def reply(number: int, _body: bytes) -> bytes:
        return answer() if number % 2 else answer(503, b'{"code":"OVERLOADED"}')

    with answering(reply) as server:
        measured = run(replace(plan(server), connections=1))

    assert measured.statuses.keys() == {200, 503}
    assert measured.contributions == measured.statuses[200]
    assert abs(measured.statuses[200] - measured.statuses[503]) <= 1
    assert latency(measured.service[503]).count == pytest.approx(measured.statuses[503], abs=1)
    assert "OVERLOADED" in measured.unexpected
    assert any("503" in problem for problem in measured.problems)


def test_closed_connections_are_opened_again_and_their_requests_are_lost() -> None:
    """With an answer that says so nothing is lost; without one, what was under way is."""

    def reply(number: int, _body: bytes) -> bytes | None:
        if number == 3:
            return None
        return answer(200, b"[]", "Connection: close") if number == 6 else answer()

    with answering(reply) as server:
        measured = run(replace(plan(server), connections=1))

    assert (measured.lost, measured.reconnects, server.connections) == (1, 2, 3)
    assert len(server.bodies) > 7


def test_requests_that_find_no_connection_are_given_up() -> None:
    """A client does not wait for ever: what it never sent is counted, with its age."""
    released = threading.Event()

    def reply(number: int, _body: bytes) -> bytes:
        if number == 0:
            timer.start()
            assert released.wait(10)
        return answer()

    timer = threading.Timer(0.4, released.set)
    with answering(reply) as server:
        impatient = replace(
            plan(server), connections=1, rate=100.0, warm_up_s=0, duration_s=0.5, give_up_s=0.1
        )
        measured = run(impatient)

    assert measured.unsent >= 25
    assert len(server.bodies) + measured.unsent == 50
    assert latency(measured.latency).count == 50


def test_time_to_an_answer_counts_by_when_it_was_sent() -> None:
    """Under overload nearly all that is answered was due before the measurement: its answers count all the same."""
    tally = Tally(PLAN, begin=0.0)
    due, sent, answered = 0.05, 0.15, 0.2

    tally.add(503, b"", due, sent, answered)
    measured = tally.measured(0.0)

    assert latency(measured.service[503]).count == measured.statuses[503] == 1
    assert latency(measured.latency).count == 0


def test_batch_counts_elements_and_finds_those_refused() -> None:
    """A contribution is an element of status 200."""
    results = [{"status_code": 200, "result": []}] * 3 + [{"status_code": 400, "result": {}}]

    with answering(lambda _number, _body: answer(200, json.dumps(results).encode())) as server:
        measured = run(replace(plan(server), workload=Workload(batch=4)))

    assert measured.contributions > 0
    assert measured.statuses[200] == 3 * measured.statuses[400]
    assert "status_code" in measured.unexpected
