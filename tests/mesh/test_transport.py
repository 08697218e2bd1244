"""The transport over real Unix sockets: questions, frames of many, reconnects, and peers that misbehave."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import pytest
import trio
import trio.lowlevel

from jackpotd.mesh import EDGE, limits
from jackpotd.mesh.link import Unreached
from jackpotd.mesh.mesh import Asked, Mesh, socket_path
from jackpotd.wire import mesh_messages as wire

TEST_TIMEOUT_S = 20


@pytest.fixture
def directory() -> Iterator[Path]:
    """A path that is short enough for AF_UNIX."""
    made = Path(mkdtemp(prefix="mesh"))
    yield made
    rmtree(made)


class Node:
    """A node that answers `AskInstances` with what it was asked, and counts what it got."""

    def __init__(self, number: int, directory: Path, connects_to: tuple[int, ...]) -> None:
        self.mesh = Mesh(number, directory, connects_to)
        self.mesh.handle(wire.AskInstances, self._asked)
        self.mesh.handle(wire.ReleaseKey, self._posted)
        self.posted: list[tuple[int, bytes]] = []
        self.held: list[Asked] = []
        self.holds = False
        self.ups: list[int] = []
        self.downs: list[int] = []
        self.mesh.on_up(self.ups.append)
        self.mesh.on_down(self.downs.append)

    def _asked(self, asked: Asked, message: wire.AskInstances) -> None:
        if self.holds:
            self.held.append(asked)
        else:
            names = message.instance_ids or ()
            asked.answer(wire.Instances(tuple(name.encode() for name in names)))

    def _posted(self, asked: Asked, message: wire.ReleaseKey) -> None:
        self.posted.append((asked.peer, message.digest))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[trio.CancelScope]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.mesh.run)
            yield nursery.cancel_scope
            nursery.cancel_scope.cancel()


async def until(*conditions: object) -> None:
    """Waits until every callable says yes."""
    while not all(condition() for condition in conditions if callable(condition)):
        await trio.lowlevel.checkpoint()


def question(text: str) -> wire.AskInstances:
    return wire.AskInstances((text,))


async def test_questions_and_posts_go_both_ways_in_order(directory: Path) -> None:
    """A thousand of each, posted at once, arrive in order and are answered, whoever opened the connection."""
    with trio.fail_after(TEST_TIMEOUT_S):
        low, high = Node(EDGE, directory, ()), Node(3, directory, (EDGE,))
        async with low.running(), high.running():
            await until(lambda: low.mesh.is_up(3), lambda: high.mesh.is_up(EDGE))
            answers: dict[int, list[object]] = {EDGE: [], 3: []}
            for number in range(1000):
                for node, peer in ((low, 3), (high, EDGE)):
                    node.mesh.post(peer, wire.ReleaseKey(b"%d" % number))
                    node.mesh.ask(peer, question(str(number)), answers[peer].append)
            await until(lambda: len(answers[EDGE]) == len(answers[3]) == 1000)
    expected = [wire.Instances((b"%d" % number,)) for number in range(1000)]
    assert expected == answers[EDGE] == answers[3]
    assert [(3, b"%d" % number) for number in range(1000)] == low.posted
    assert [(EDGE, b"%d" % number) for number in range(1000)] == high.posted


async def test_a_node_that_is_not_there_is_not_asked(directory: Path) -> None:
    """The question is called back at once, and a post says that it went nowhere."""
    answers: list[object] = []
    with trio.fail_after(TEST_TIMEOUT_S):
        node = Node(0, directory, (EDGE,))
        async with node.running():
            node.mesh.ask(EDGE, question("a"), answers.append)
            assert not node.mesh.post(EDGE, wire.ReleaseKey(b"a"))
    assert [Unreached.ABSENT] == answers


async def test_a_node_that_dies_loses_open_questions_and_comes_back(directory: Path) -> None:
    """What was asked is called back as lost; the next life of the node is connected without help, and answers."""
    answers: list[object] = []
    with trio.fail_after(TEST_TIMEOUT_S):
        high = Node(1, directory, (0,))
        async with high.running():
            low = Node(0, directory, ())
            low.holds = True
            async with low.running():
                await until(lambda: high.mesh.is_up(0))
                high.mesh.ask(0, question("a"), answers.append)
                await until(lambda: low.held)
            await until(lambda: answers)
            assert [Unreached.LOST] == answers
            assert not high.mesh.is_up(0)
            low.held[0].answer(wire.DONE)  # into the void
            async with Node(0, directory, ()).running():
                await until(lambda: high.mesh.is_up(0))
                again = await high.mesh.question(0, question("b"))
    assert wire.Instances((b"b",)) == again
    assert [0, 0] == high.ups
    assert [0, 0] == high.downs


async def test_a_connection_anew_ends_the_one_before(directory: Path) -> None:
    """A node that connects a second time is down before it is up again, and its first connection is closed."""
    with trio.fail_after(TEST_TIMEOUT_S):
        node = Node(0, directory, ())
        async with node.running(), connected(directory, 0) as one, connected(directory, 0) as two:
            await one.send_all(limits.frame([(0, wire.Hello(7))]))
            await until(lambda: node.ups == [7])
            posted = limits.frame([(0, wire.Hello(7)), (0, wire.ReleaseKey(b"x"))])
            await two.send_all(posted)
            await until(lambda: node.posted)
            assert [7, 7] == node.ups
            assert [7] == node.downs
            await ended(one)
            assert node.mesh.is_up(7)


@asynccontextmanager
async def connected(directory: Path, node: int) -> AsyncIterator[trio.SocketStream]:
    connection = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    await connection.connect(str(socket_path(directory, node)))
    async with trio.SocketStream(connection) as stream:
        yield stream


async def ended(stream: trio.SocketStream) -> None:
    """Reads until the node closes."""
    try:
        while await stream.receive_some():
            pass
    except trio.BrokenResourceError:
        pass


HELLO = limits.frame([(0, wire.Hello(7))])


@pytest.mark.parametrize(
    ("sent", "is_known"),
    [
        ((limits.FRAME_BYTES_MAX + 1).to_bytes(4, "big"), False),
        (HELLO + (limits.FRAME_BYTES_MAX + 1).to_bytes(4, "big"), True),
        (HELLO + b"\0\0\0\2\xc1\xc1", True),
        (HELLO + limits.frame([(-5, wire.DONE)]), True),
        (limits.frame([(0, wire.ReleaseKey(b"x"))]), False),
    ],
    ids=["oversized at once", "oversized", "no frame", "answer to nothing", "no hello"],
)
async def test_a_peer_that_does_not_speak_right_is_cut(
    directory: Path, sent: bytes, is_known: bool
) -> None:
    """The connection is closed, others go on, and nothing of it was taken."""
    with trio.fail_after(TEST_TIMEOUT_S):
        node, other = Node(0, directory, ()), Node(1, directory, (0,))
        async with node.running(), other.running():
            async with connected(directory, 0) as stream:
                await stream.send_all(sent)
                await ended(stream)
            await until(lambda: other.mesh.is_up(0))
            assert wire.Instances((b"a",)) == await other.mesh.question(0, question("a"))
    assert [7] * is_known == [peer for peer in node.downs if peer == 7]
    assert [] == node.posted


async def test_a_peer_killed_in_the_middle_of_a_frame_is_down(directory: Path) -> None:
    """Whole frames before the cut are taken, the torn one is not."""
    with trio.fail_after(TEST_TIMEOUT_S):
        node = Node(0, directory, ())
        async with node.running():
            whole = limits.frame([(0, wire.ReleaseKey(b"whole"))])
            torn = limits.frame([(0, wire.ReleaseKey(b"torn"))])
            async with connected(directory, 0) as stream:
                await stream.send_all(HELLO + whole + torn[:-1])
                await until(lambda: node.posted)
            await until(lambda: node.downs == [7])
    assert [(7, b"whole")] == node.posted


async def test_a_frame_in_single_bytes_is_one_frame(directory: Path) -> None:
    """Where the stream is torn does not matter."""
    with trio.fail_after(TEST_TIMEOUT_S):
        node = Node(0, directory, ())
        async with node.running():
            sent = limits.frame([(0, wire.ReleaseKey(b"x")), (0, wire.ReleaseKey(b"y"))])
            async with connected(directory, 0) as stream:
                for byte in HELLO + sent:
                    await stream.send_all(bytes([byte]))
                await until(lambda: len(node.posted) == 2)
    assert [(7, b"x"), (7, b"y")] == node.posted


async def test_a_peer_that_does_not_read_is_asked_no_more_and_then_cut(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Questions beyond the bound are refused at once; posts beyond it cut the connection, and all are called back."""
    monkeypatch.setattr(limits, "QUESTIONS_OPEN_MAX", 10)
    monkeypatch.setattr(limits, "QUEUED_MESSAGES_MAX", 100)
    answers: list[object] = []
    with trio.fail_after(TEST_TIMEOUT_S):
        node = Node(0, directory, ())
        async with node.running():
            async with connected(directory, 0) as stream:
                await stream.send_all(HELLO)
                await until(lambda: node.mesh.is_up(7))
                for _ in range(11):
                    node.mesh.ask(7, question("a"), answers.append)
                assert [Unreached.CROWDED] == answers
                posted = 0
                while node.mesh.post(7, wire.ReleaseKey(bytes(10_000))):
                    posted += 1
                    if posted % 50 == 0:  # lets the writer fill the socket
                        await trio.lowlevel.checkpoint()
            assert posted < 5_000
            assert [Unreached.CROWDED] + [Unreached.LOST] * 10 == answers
            assert [7] == node.downs


async def test_large_frames_pass(directory: Path) -> None:
    """A message beyond the socket's buffer goes through whole, both ways, and small ones after it."""
    name = "x" * 3_000_000
    with trio.fail_after(TEST_TIMEOUT_S):
        low, high = Node(0, directory, ()), Node(1, directory, (0,))
        async with low.running(), high.running():
            await until(lambda: high.mesh.is_up(0))
            assert wire.Instances((name.encode(),)) == await high.mesh.question(0, question(name))
            assert wire.Instances((b"a",)) == await high.mesh.question(0, question("a"))
