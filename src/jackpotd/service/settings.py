"""Every setting of the program: one frozen Struct per TOML table, one default per field.

Owns the names, defaults, ranges and one-line descriptions, and the parsed form of a bind. It must
never read a file or the environment: that is `configuration`'s work.
"""

import ipaddress
import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

from jackpotd.service.feed_settings import EventsSettings, WebhooksSettings

_BIND = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})", re.ASCII)
_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?", re.ASCII)


class Bind(Struct, frozen=True):
    """Where one listener listens; port 0 means any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect: 127.0.0.0/8, ::1 or localhost."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_bind(text: str) -> Bind | None:
    """Parse HOST:PORT, `None` for off; anything else raises ValueError with the reason."""
    if text == "off":
        return None
    match = _BIND.fullmatch(text)
    if match is None:
        raise ValueError('expected "HOST:PORT" or "off"; an IPv6 address stands in brackets')
    port = int(match["port"])
    if port > 65535:
        raise ValueError("expected a port from 0 (any free port) to 65535")
    return Bind(_parse_host(match["v6"], match["host"]), port)


def _parse_host(v6: str | None, host: str) -> str:
    if v6 is not None:
        try:
            ipaddress.IPv6Address(v6)
        except ValueError:
            raise ValueError("expected an IPv6 address between the brackets") from None
        return v6
    if not host:
        raise ValueError("expected a host before the port; 0.0.0.0 listens on every interface")
    if host.replace(".", "").isdigit():
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError("expected an IPv4 address of four numbers from 0 to 255") from None
    elif not _HOST_NAME.fullmatch(host):
        raise ValueError("expected a host name of letters, digits, dots, hyphens and underscores")
    return host


class ListenerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the four listeners have in common."""

    bind: str
    tls_certificate: Annotated[
        str,
        Meta(min_length=1, description='Certificate chain in PEM; "off" is plain HTTP.'),
    ] = "off"
    tls_key: Annotated[
        str,
        Meta(
            min_length=1, description="Private key of the certificate in PEM, without passphrase."
        ),
    ] = "off"

    def __post_init__(self) -> None:
        parse_bind(self.bind)

    @property
    def address(self) -> Bind | None:
        """The parsed bind; `None` when the listener is off."""
        return parse_bind(self.bind)


class ServiceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    data_dir: Annotated[
        str,
        Meta(
            min_length=1,
            description="Folder of the journal, the checkpoint, the token secret and the draws' master key.",
        ),
    ] = "data"
    drain_deadline_s: Annotated[
        float,
        Meta(ge=0, le=3600, description="How long a stop waits for the work in flight."),
    ] = 10.0
    workers: Annotated[
        int,
        Meta(
            ge=0,
            le=64,
            description="Worker processes; 0 is one for each core, with the demo data one in all.",
        ),
    ] = 0
    shards: Annotated[
        str,
        Meta(
            min_length=1,
            description='Placement file, such as config/shards.toml; "off" places by hash alone.',
        ),
    ] = "off"
    restarts_max: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="Restarts of one worker within the window; one more stops the server.",
        ),
    ] = 5
    restart_window_s: Annotated[
        float,
        Meta(gt=0, le=3600, description="Window in which the restarts of a worker are counted."),
    ] = 60.0
    restart_delay_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="Wait before a second restart in the window; it doubles with each further one.",
        ),
    ] = 0.1
    link_deadline_s: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description="How long an answer waits for a linked jackpot of another worker.",
        ),
    ] = 2.0


class GatewaySettings(ListenerSettings, frozen=True, kw_only=True):
    bind: Annotated[
        str,
        Meta(description="Where integrators send contributions and opt-ins and read pots."),
    ] = "127.0.0.1:8084"


class AdminSettings(ListenerSettings, frozen=True, kw_only=True):
    bind: Annotated[
        str,
        Meta(description="Where templates, instances, operators and accounts are managed."),
    ] = "127.0.0.1:8080"
    four_eyes: Annotated[
        bool,
        Meta(
            description="A second person approves publishing, corrections, withheld wins and ends."
        ),
    ] = False
    approval_lifetime_s: Annotated[
        int,
        Meta(ge=1, le=31_536_000, description="How long a request waits for a second person."),
    ] = 86_400


class ConnectSettings(ListenerSettings, frozen=True, kw_only=True):
    bind: Annotated[
        str,
        Meta(description="Where players' front ends connect; not opened without [events] enabled."),
    ] = "127.0.0.1:11000"


class OfficeSettings(ListenerSettings, frozen=True, kw_only=True):
    bind: Annotated[
        str,
        Meta(description="Where the back office is served; not opened in this version."),
    ] = "127.0.0.1:8088"


class LimitsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    body_bytes_max: Annotated[
        int,
        Meta(ge=1, le=1_073_741_824, description="Longest request body; a longer one is 413."),
    ] = 1_048_576
    header_bytes_max: Annotated[
        int,
        Meta(ge=1024, le=1_048_576, description="Longest header section; a longer one is 431."),
    ] = 65_536
    connections_max: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Connections open at once; further ones are 503."),
    ] = 10_000
    header_timeout_s: Annotated[
        float,
        Meta(gt=0, le=3600, description="How long the header section of a request may take."),
    ] = 10.0
    body_timeout_s: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description="How long a request body may stall, or come slower than 1 KiB a second.",
        ),
    ] = 10.0
    idle_timeout_s: Annotated[
        float,
        Meta(gt=0, le=3600, description="How long a connection may be open without a request."),
    ] = 75.0
    write_timeout_s: Annotated[
        float,
        Meta(gt=0, le=3600, description="How long a client may take nothing of its answer."),
    ] = 30.0
    mailbox_length_max: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Commands that may wait for one instance."),
    ] = 4096
    # 2048 is a fifth of a second's work of a core at its peak, and many times what one commit holds: enough that
    # neither the core nor the disk ever waits for requests, and little enough that an answer is not late.
    requests_in_flight_max: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Requests served, or waiting to be read, at once; further ones are 503.",
        ),
    ] = 2048
    list_limit_max: Annotated[
        int,
        Meta(ge=1, le=100_000, description="Most rows that one page of a list may ask for."),
    ] = 1000


class JournalSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    map_gibibytes_max: Annotated[
        int,
        Meta(ge=1, le=65_536, description="Address space for the data; disk is used as it fills."),
    ] = 64
    batch_records_max: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Records that one commit may hold."),
    ] = 4096
    checkpoint_interval_s: Annotated[
        float,
        Meta(gt=0, le=3600, description="Time from one checkpoint to the next."),
    ] = 2.0
    checkpoint_rows_max: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Rows in one small checkpoint transaction."),
    ] = 2000


class IdempotencySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    retention_days: Annotated[
        int,
        Meta(ge=1, le=3650, description="How long an idempotency key is remembered."),
    ] = 7


class IdentitySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user_token_lifetime_s: Annotated[
        int,
        Meta(ge=1, le=31_536_000, description="Life of a user token; service tokens never expire."),
    ] = 1800
    lock_failures_max: Annotated[
        int,
        Meta(ge=1, le=1000, description="Wrong passwords in a row that lock an account."),
    ] = 5
    lock_duration_s: Annotated[
        int,
        Meta(ge=1, le=31_536_000, description="How long a locked account stays locked."),
    ] = 900


class WalletSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    embedded: Annotated[
        bool,
        Meta(description="Give brands without a wallet an in-memory one, for development only."),
    ] = False


class LogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least severe message that is logged."),
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "console"],
        Meta(description="Shape of a log line; auto is console on a terminal, else json."),
    ] = "auto"


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration; `Settings()` is what an empty file means."""

    service: ServiceSettings = ServiceSettings()
    gateway: GatewaySettings = GatewaySettings()
    admin: AdminSettings = AdminSettings()
    connect: ConnectSettings = ConnectSettings()
    office: OfficeSettings = OfficeSettings()
    events: EventsSettings = EventsSettings()
    webhooks: WebhooksSettings = WebhooksSettings()
    limits: LimitsSettings = LimitsSettings()
    journal: JournalSettings = JournalSettings()
    idempotency: IdempotencySettings = IdempotencySettings()
    identity: IdentitySettings = IdentitySettings()
    wallet: WalletSettings = WalletSettings()
    log: LogSettings = LogSettings()

    @property
    def connect_address(self) -> Bind | None:
        """Where Connect listens; None where it is off, or nobody tells of events."""
        return self.connect.address if self.events.enabled else None
