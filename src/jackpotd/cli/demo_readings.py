"""What the demo reads from its server: rates, pots from the admin listener, commit figures from the metrics.

Owns the read side of the demo and the logins. It must never change anything on the server.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

import httpx
import msgspec
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from jackpotd.service import demo_data

T = TypeVar("T")

SERVICE_ACCOUNT = "event-processor"
ADMIN_ACCOUNT = "admin"
_ORDER = (
    demo_data.SITEWIDE,
    demo_data.DAILY_DROP,
    demo_data.SLOTS,
    demo_data.DAILY,
    demo_data.WEEKLY,
    demo_data.MONTHLY,
    demo_data.DEPOSIT,
)
_COMMIT_SAMPLES = (
    "jackpotd_commit_seconds_count",
    "jackpotd_commit_seconds_sum",
    "jackpotd_commit_records_sum",
)


class DemoRefused(Exception):
    """The server refused what the demo cannot do without; the message is one line."""


class Pot(Struct, frozen=True):
    """A pot as the admin listener shows it; `wins` is what it has paid since its beginning."""

    id: str
    current_value: Decimal
    hits: int
    wins: Decimal


class Raffle(Struct, frozen=True):
    """What a raffle's round has come to; without a number none runs."""

    round: int | None = None
    tickets: int = 0
    entrants: int = 0


class Instance(Struct, frozen=True):
    """An instance as the admin listener shows it; `raffle` only where it is one."""

    id: str
    name: str
    currency: str
    status: str
    contribution_count: int
    pots: list[Pot]
    raffle: Raffle | None = None


class Commits(Struct, frozen=True):
    """Totals of the journal since the server's start."""

    commits: int = 0
    seconds: float = 0.0
    records: int = 0

    @property
    def mean_s(self) -> float:
        return self.seconds / self.commits if self.commits else 0.0

    @property
    def mean_records(self) -> float:
        return self.records / self.commits if self.commits else 0.0

    def since(self, earlier: "Commits") -> "Commits":
        return Commits(
            self.commits - earlier.commits,
            self.seconds - earlier.seconds,
            self.records - earlier.records,
        )


class View(Struct, frozen=True):
    """What the server says about itself at one moment."""

    instances: list[Instance] = []
    commits: Commits = Commits()

    def name_of(self, instance_id: str) -> str:
        names = (each.name for each in self.instances if each.id == instance_id)
        return next(names, instance_id)


class _Token(Struct, frozen=True):
    token: str


class Rates(Struct, frozen=True):
    """The multipliers of a brand to its base currency."""

    base_currency: str
    multipliers: dict[str, Decimal]

    def in_base(self, amount: Decimal, currency: str) -> Decimal:
        return amount * self.multipliers[self.base_currency] / self.multipliers[currency]


_TOKEN = msgspec.json.Decoder(_Token)
_RATES = msgspec.json.Decoder(Rates)
_INSTANCES = msgspec.json.Decoder(list[Instance])


class Readings:
    """Reads through HTTP with the demo's two accounts."""

    def __init__(self, client: httpx.AsyncClient, gateway_url: str, admin_url: str) -> None:
        self._client = client
        self._gateway_url = gateway_url
        self._admin_url = admin_url
        self._admin_headers: Mapping[str, str] = {}

    async def log_in(self) -> dict[str, str]:
        """Logs both accounts in; returns the headers of the service account."""
        token = await self._token(
            f"{self._gateway_url}/authenticate/service", SERVICE_ACCOUNT, "is this the demo's data?"
        )
        await self._log_in_admin()
        return {"Authorization": f"Bearer {token}"}

    async def _log_in_admin(self) -> None:
        token = await self._token(f"{self._admin_url}/accounts/auth", ADMIN_ACCOUNT, "")
        self._admin_headers = {"Authorization": f"Bearer {token}"}

    async def _token(self, url: str, username: str, hint: str) -> str:
        credentials = {"username": username, "password": f"{username}-demo"}
        response = await self._client.post(url, json=credentials)
        what = f"the login of {username} ({hint})" if hint else f"the login of {username}"
        return _decoded(_TOKEN, response, what).token

    async def rates(self, service_headers: Mapping[str, str]) -> Rates:
        brand = f"{demo_data.OPERATOR}:{demo_data.BRANDS[0]}"
        response = await self._client.get(
            f"{self._gateway_url}/currencies/{brand}", headers=service_headers
        )
        return _decoded(_RATES, response, "the currencies")

    async def view(self) -> View:
        """Pots and commit figures of this moment."""
        url = f"{self._admin_url}/instances?owner_id={demo_data.OPERATOR}"
        response = await self._client.get(url, headers=self._admin_headers)
        if response.status_code == 401:  # a user token lives half an hour
            await self._log_in_admin()
            response = await self._client.get(url, headers=self._admin_headers)
        instances = _decoded(_INSTANCES, response, "the list of instances")
        metrics = await self._client.get(f"{self._gateway_url}/metrics")
        return View(sorted(instances, key=_place), _commits(metrics.text))


def _place(instance: Instance) -> tuple[int, str]:
    is_known = instance.id in _ORDER
    return (_ORDER.index(instance.id) if is_known else len(_ORDER), instance.name)


def _commits(metrics: str) -> Commits:
    found = dict.fromkeys(_COMMIT_SAMPLES, 0.0)
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name in found:
                found[sample.name] += sample.value
    commits, seconds, records = (found[name] for name in _COMMIT_SAMPLES)
    return Commits(int(commits), seconds, int(records))


def _decoded(decoder: msgspec.json.Decoder[T], response: httpx.Response, what: str) -> T:
    if response.status_code != 200:
        raise DemoRefused(f"{what}: {response.status_code} {response.text}")
    return decoder.decode(response.content)
