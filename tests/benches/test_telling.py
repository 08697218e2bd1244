"""The readers of the socket benches, and short runs of both benches."""

import socket
import subprocess
import sys
from pathlib import Path
from threading import Thread

import msgspec
import pytest

from bench.reporting.report import Report
from bench.telling.readers import Readers, ReadersFailed
from jackpotd.feed import frames

ROOT = Path(__file__).resolve().parents[2]
MESSAGES = [b"a", b"b" * 125, b"c" * 126, b"d" * 65_536, b"", b"e"]


def serve(listener: socket.socket, answer: bytes, heard: list[bytes]) -> None:
    """Answers one handshake with these bytes, one by one, and keeps what comes after it."""
    with listener.accept()[0] as sock:
        sock.settimeout(10)
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(1000)
        for place in range(0, len(answer), 7_001):
            sock.sendall(answer[place : place + 7_001])
        while data := sock.recv(1000):
            heard.append(data)


def test_readers_hear_whole_messages_and_answer_pings() -> None:
    """However the bytes are cut."""
    parts = [b"HTTP/1.1 101 Switching Protocols\r\n\r\n", frames.ping()]
    answer = b"".join([*parts, *(frames.text(message) for message in MESSAGES)])
    seen: list[bytes] = []
    said: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve, args=(listener, answer, said))
        thread.start()
        host, port = listener.getsockname()
        readers = Readers(host, port, seen.append)
        readers.open([("/", b"hello")], 10.0)
        readers.read_until(lambda: readers.messages == len(MESSAGES), 10.0)
        readers.close()
        thread.join()

    assert seen == MESSAGES
    assert b"".join(said) == b"\x81\x85\x00\x00\x00\x00hello" + b"\x8a\x80\x00\x00\x00\x00"


def test_readers_say_how_they_were_refused() -> None:
    """A bench that cannot open its readers measures nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve, args=(listener, b"HTTP/1.1 503 No\r\n\r\n{}", []))
        thread.start()
        host, port = listener.getsockname()
        readers = Readers(host, port)
        with pytest.raises(ReadersFailed, match="503"):
            readers.open([("/", b"")], 10.0)
        readers.close()
        thread.join()


SMALL = {"memory_bytes", "last_s"}


@pytest.mark.parametrize(
    ("name", "more"),
    [("sockets", ()), ("tickers", ("--readers", "20"))],
    ids=["sockets", "tickers"],
)
def test_short_run_prints_its_tables(name: str, more: tuple[str, ...], tmp_path: Path) -> None:
    """The whole way: servers, readers, figures, JSON."""
    file = tmp_path / "report.json"
    command = [
        sys.executable, "-m", "bench", name, *more, "--rounds", "1", "--seconds", "0.3",
        "--warm-up-s", "0", "--data-root", str(tmp_path), "--json", str(file),
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=180
    )

    assert done.returncode == 0, done.stderr
    report = msgspec.json.decode(file.read_bytes(), type=Report)
    assert all(report.figures.values())
    # With so few readers, the feed may need no more memory, and be sooner than the answer.
    rates = {name: values for name, values in report.figures.items() if name not in SMALL}
    assert rates
    assert {name: values for name, values in rates.items() if min(values) <= 0} == {}
    assert list(tmp_path.iterdir()) == [file]
