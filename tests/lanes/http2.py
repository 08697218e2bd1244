"""An HTTP/2 client whose frames are the test's own: h2 keeps the state, the test keeps the order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import h2.config
import h2.connection
import h2.events

from .raw import READ_BYTES
from .stage import V2

if TYPE_CHECKING:
    from .raw import RawConnection
    from .stage import Stage


@dataclass
class Answer:
    """What came on one stream so far."""

    status: int = 0
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    was_reset: bool = False


class Http2:
    """One connection; streams are answered in any order."""

    def __init__(self, raw: RawConnection, stage: Stage) -> None:
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self.h2: Final = h2.connection.H2Connection(config)
        self.answers: Final[dict[int, Answer]] = {}
        self._raw = raw
        self._stage = stage

    async def begin(self) -> None:
        """The preface of prior knowledge."""
        self.h2.initiate_connection()
        await self.flush()

    async def flush(self) -> None:
        await self._raw.send(self.h2.data_to_send())

    def post(self, body: bytes, path: str = V2, *, end: bool = True, token: bool = True) -> int:
        """Begin a POST, with this much of its body; answer the number of its stream."""
        number = self.h2.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", self._stage.host.decode()),
            (":path", path),
            ("content-type", "application/json"),
        ]
        if token:
            headers.append(("authorization", f"Bearer {self._stage.service_token}"))
        self.h2.send_headers(number, headers)
        self.h2.send_data(number, body, end_stream=end)
        self.answers[number] = Answer()
        return number

    async def answer(self, number: int) -> Answer:
        """The answer on this stream, once it is whole or reset."""
        answer = self.answers.setdefault(number, Answer())
        while not (answer.ended or answer.was_reset):
            data = await self._raw.stream.receive_some(READ_BYTES)
            assert data, "the server closed the connection"
            self._received(bytes(data))
            await self.flush()
        return answer

    def _received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                status = dict(event.headers)[b":status"]
                self.answers.setdefault(event.stream_id, Answer()).status = int(status)
            elif isinstance(event, h2.events.DataReceived):
                self.answers[event.stream_id].body += event.data
                length = event.flow_controlled_length
                self.h2.acknowledge_received_data(length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.answers[event.stream_id].ended = True
            elif isinstance(event, h2.events.StreamReset):
                self.answers[event.stream_id].was_reset = True
