"""Whatever a client says, a socket answers, or closes as it says it will; it never dies of a message (hypothesis)."""

import json
from contextlib import suppress
from typing import Any

import pytest
import trio
import websockets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jackpotd.connect.audiences import PlayerAudience
from jackpotd.connect.conversation import BAD_MESSAGES_MAX, Conversation, Surroundings
from jackpotd.connect.players import AuthenticatedPlayer
from jackpotd.connect.requests import Requests
from jackpotd.connect.roles import PlayerRole, ServiceRole
from jackpotd.core.rejections import Code, Rejection
from jackpotd.edge.exchange import DEFECT
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.messages import OptInRequest
from jackpotd.feed.sockets import SocketClosed
from jackpotd.identity.principal import principal_of
from jackpotd.service.demo_data import DAILY, DEPOSIT

from .connect_data import ACCOUNTS, Json, entities
from .connect_house import ConnectHouse, connect_house

REQUESTS = (
    "SubscribeRequest",
    "PlayerOptInRequest",
    "PlayerOptInRequestV2",
    "PlayerRaffleTicketsRequest",
)
WORDS = (
    "thrilltech:brand1",
    "thrilltech",
    "brand1",
    "player_00001",
    "player_00002",
    DEPOSIT,
    DAILY,
    "*",
    "thrillpots",
    "WinEvent",
    "EUR",
    "source",
    "instance",
    "deposit",
    "",
    "\x00",
    "\ud800",
    "🎰",
    "x" * 300,
)
FIELDS = (
    "instance_id",
    "player_id",
    "brand_id",
    "player_country",
    "opt_in",
    "contribution_value",
    "contribution_currency",
    "target",
    "type",
    "id",
    "player",
    "country",
    "operator_id",
    "owner_id",
    "contribution_preference",
    "value",
    "currency",
    "opt_linked",
    "events",
    "source",
    "event_type",
    "last_event_id",
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=8)
    ),
    max_leaves=20,
)
GOOD: tuple[Json, ...] = (
    {"SubscribeRequest": {"events": [{"source": "thrillpots", "event_type": "*"}]}},
    {
        "PlayerOptInRequest": {
            "instance_id": DEPOSIT,
            "player_id": "player_00001",
            "brand_id": "thrilltech:brand1",
            "player_country": "MT",
            "opt_in": True,
        }
    },
    {
        "PlayerOptInRequestV2": {
            "target": {"type": "source", "id": "deposit"},
            "operator_id": "thrilltech",
            "player": {"id": "player_00001", "country": "MT", "brand_id": "brand1"},
            "opt_in": True,
            "contribution_preference": {"value": 0.2, "currency": "EUR"},
        }
    },
    {"PlayerRaffleTicketsRequest": {"player_id": "player_00001", "brand_id": "thrilltech:brand1"}},
)


@st.composite
def nearly_good(draw: st.DrawFn) -> str:
    """A good message of which one field is something else."""
    message = json.loads(json.dumps(draw(st.sampled_from(GOOD))))
    at = message
    while True:
        key = draw(st.sampled_from(sorted(at)))
        if isinstance(at[key], dict) and draw(st.booleans()):
            at = at[key]
            continue
        at[key] = draw(VALUES)
        return json.dumps(message)


MESSAGES = (
    st.text(max_size=64)
    | nearly_good()
    | st.sampled_from([json.dumps(message) for message in GOOD])
    | st.dictionaries(st.sampled_from(REQUESTS) | st.text(max_size=8), VALUES, max_size=2).map(
        json.dumps
    )
    | st.sampled_from(
        [
            "[" * 5_000,
            '{"PlayerOptInRequest":' * 1_000,
            '{"PlayerOptInRequest": {"contribution_value": 1e999999999}}',
            '{"PlayerOptInRequest": {}, "PlayerOptInRequest": {}}',
            '{"PlayerOptInRequest": {}} trailing',
            '{"SubscribeRequest": {"events": [{"source": "' + "*" * 64 + '", "event_type": "a"}]}}',
            '{"\\ud800": {}}',
            "{" + '"a":1,' * 1_000 + '"b":2}',
        ]
    )
)


class Line:
    """The end of a socket that the conversation holds: what it will hear, and what it has said."""

    def __init__(self, messages: list[str]) -> None:
        self.messages = list(messages)
        self.said: list[Json] = []
        self.closed: int | None = None

    async def receive(self) -> str:
        await trio.lowlevel.checkpoint()
        if not self.messages:
            raise SocketClosed
        return self.messages.pop(0)

    def send(self, message: bytes) -> None:
        self.said.append(json.loads(message))

    async def close(self, code: int, _reason: str = "") -> None:
        self.closed = code


class Refusing:
    """A platform that refuses every opt-in, or fails at it."""

    def __init__(self, *, fails: bool) -> None:
        self.catalog = Catalog()
        for entity in entities():
            self.catalog.apply(entity)
        self._fails = fails

    async def opt_in(self, _request: OptInRequest) -> Rejection:
        if self._fails:
            raise ZeroDivisionError
        return Rejection(Code.OVERLOADED, "away")


class Deaf:
    """A hub that takes every subscription."""

    async def subscribe(self, *_: object) -> None:
        await trio.lowlevel.checkpoint()


async def talk(messages: list[str], *, is_player: bool, fails: bool = False) -> Line:
    """A whole conversation, and the requests that it has begun."""
    line, node = Line(messages), Refusing(fails=fails)
    role = (
        PlayerRole("thrilltech", "brand1", AuthenticatedPlayer(("player_00001",), "EUR"))
        if is_player
        else ServiceRole(principal_of(ACCOUNTS[0]))
    )
    audience = PlayerAudience(node.catalog, "thrilltech", "brand1", lambda: 0)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            around: Any = Surroundings(
                hub=Deaf(),  # type: ignore[arg-type]
                requests=Requests(node),  # type: ignore[arg-type]
                nursery=nursery,
                clock=lambda: 0,
            )
            conversation = Conversation(around, line, role, audience)  # type: ignore[arg-type]
            with suppress(SocketClosed):
                await conversation.hold()
    return line


@given(st.lists(MESSAGES, max_size=40), st.booleans(), st.booleans())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_message_ends_a_conversation_but_as_it_should(
    messages: list[str], is_player: bool, fails: bool
) -> None:
    async def conversed() -> Line:
        return await talk(messages, is_player=is_player, fails=fails)

    line = trio.run(conversed)
    errors = [each for each in line.said if each["msg_type"] == "Error"]
    bad = [each for each in errors if each["data"]["status_code"] == 400]
    for error in errors:
        assert {"status_code", "code", "message"} <= set(error["data"])
        assert len(error["msg_name"]) <= 64
    if line.closed is None:
        assert not line.messages
    else:
        assert 1008 == line.closed
        assert len(bad) >= BAD_MESSAGES_MAX


async def test_a_defect_is_answered_once_and_the_next_request_is_served() -> None:
    message = {
        "PlayerOptInRequest": {
            "instance_id": DEPOSIT,
            "player_id": "player_00001",
            "brand_id": "thrilltech:brand1",
            "player_country": "MT",
            "opt_in": True,
        }
    }
    line = await talk([json.dumps(message)] * 10, is_player=True, fails=True)
    assert 10 == len(line.said)
    assert {DEFECT.body.code} == {each["data"]["code"] for each in line.said}
    assert line.closed is None


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("not json", "Unknown"),
        ("", "Unknown"),
        ("[]", "Unknown"),
        ("null", "Unknown"),
        ("{}", "Unknown"),
        ('{"SubscribeRequest": {}, "Other": {}}', "Unknown"),
        ('{"Other": {}}', "Other"),
        ('{"' + "x" * 65 + '": {}}', "Unknown"),
        ('{"SubscribeRequest": []}', "SubscribeRequest"),
        ('{"SubscribeRequest": {}}', "SubscribeRequest"),
        ('{"SubscribeRequest": null}', "SubscribeRequest"),
        ('{"PlayerOptInRequest": {}}', "PlayerOptInRequest"),
        ('{"PlayerOptInRequestV2": 1}', "PlayerOptInRequestV2"),
        ('{"PlayerRaffleTicketsRequest": {"player_id": 1}}', "PlayerRaffleTicketRequest"),
    ],
)
async def test_what_cannot_be_understood_is_an_error_under_its_name(
    message: str, name: str
) -> None:
    async with connect_house() as house, house.player() as client:
        await client.send(message)
        error = await client.receive()
        assert ("Error", name, "thrillpots") == (
            error["msg_type"],
            error["msg_name"],
            error["source"],
        )
        assert (400, "INVALID_REQUEST") == (error["data"]["status_code"], error["data"]["code"])
        assert await client.is_alive()


async def test_too_many_of_them_close_the_socket() -> None:
    async with connect_house() as house, house.player() as client:
        for _ in range(BAD_MESSAGES_MAX):
            await client.send("nonsense")
        assert 1008 == (await client.closed())[0]


async def test_refusals_of_good_messages_do_not_count() -> None:
    async with connect_house() as house, house.player() as client:
        message = {"player_id": "player_00002", "brand_id": "thrilltech:brand1"}
        for _ in range(BAD_MESSAGES_MAX + 5):
            await client.send({"PlayerRaffleTicketsRequest": message})
            assert 403 == (await client.receive())["data"]["status_code"]
        assert await client.is_alive()


async def test_bytes_are_no_messages() -> None:
    async with connect_house() as house, house.player() as client:
        await client.send(b"{}")
        assert 1003 == (await client.closed())[0]


async def test_many_requests_at_once_are_each_answered_once() -> None:
    """More than are served side by side, and than wait: the client is read no faster than it is answered."""
    async with connect_house() as house, house.player() as client:
        sent = 60
        message = {"player_id": "player_00001", "brand_id": "thrilltech:brand1"}
        for number in range(sent):
            instance_id = DAILY if number % 2 else DEPOSIT
            body = {**message, "instance_id": instance_id}
            await client.send({"PlayerRaffleTicketsRequest": body})
        answers = [await client.receive() for _ in range(sent)]
        names = [answer["msg_name"] for answer in answers]
        assert sent // 2 == names.count("PlayerRaffleTicketResponse")
        assert sent // 2 == names.count("PlayerRaffleTicketRequest")
        assert await client.is_alive()


@given(messages=st.lists(MESSAGES, min_size=1, max_size=12))
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_a_real_socket_survives_what_the_library_can_send(messages: list[str]) -> None:
    async def conversed() -> None:
        async with connect_house() as house:
            await _send_all(house, messages)

    trio.run(conversed)


async def _send_all(house: ConnectHouse, messages: list[str]) -> None:
    """A stranger beside it notices nothing."""
    async with house.player("token_00002") as other, house.player() as client:
        for message in messages:
            text = message.encode(errors="replace").decode()
            try:
                await client.send(text)
            except websockets.ConnectionClosed:
                assert client.connection.close_code in (1008, 1009)
        assert await other.is_alive()
