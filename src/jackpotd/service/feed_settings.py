"""Settings of what the outside sees live: the event stream, Connect's sockets, and webhooks."""

from typing import Annotated

from msgspec import Meta, Struct

from jackpotd.outbound.targets import check_prefix


class EventsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enabled: Annotated[
        bool,
        Meta(
            description="Run the process that tells of events; without it no /events, no Connect, no webhooks."
        ),
    ] = True
    update_interval_s: Annotated[
        float,
        Meta(gt=0, le=3600, description="Time from one update of a jackpot to the next."),
    ] = 2.0
    heartbeat_interval_s: Annotated[
        float,
        Meta(gt=0, le=3600, description="Silence after which a socket is pinged."),
    ] = 20.0
    sockets_max: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Sockets open at once; further ones are 503."),
    ] = 20_000
    sockets_per_address_max: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Sockets of one address; further ones are 503."),
    ] = 10_000
    sockets_per_account_max: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Sockets of one account or player."),
    ] = 100
    backlog_bytes_max: Annotated[
        int,
        Meta(
            ge=4096,
            le=1_073_741_824,
            description="What may wait for a reader that is behind; more closes its socket.",
        ),
    ] = 262_144
    window_events_max: Annotated[
        int,
        Meta(ge=1, le=1_000_000_000, description="Events kept for readers that come back."),
    ] = 100_000
    window_hours: Annotated[
        int,
        Meta(ge=1, le=87_600, description="How long they are kept at the most."),
    ] = 168


class WebhooksSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    allow: Annotated[
        tuple[str, ...],
        Meta(description="URL prefixes that results may be sent to, whichever the operator."),
    ] = ()
    timeout_s: Annotated[
        float,
        Meta(gt=0, le=3600, description="How long a receiver may take for one attempt."),
    ] = 15.0
    concurrency_max: Annotated[
        int,
        Meta(ge=1, le=10_000, description="Attempts under way at once, to all receivers."),
    ] = 64
    target_concurrency_max: Annotated[
        int,
        Meta(ge=1, le=10_000, description="Attempts under way at once to one receiver."),
    ] = 4
    dead_letters_max: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000_000,
            description="Results of an operator kept after they were given up; the oldest make room.",
        ),
    ] = 100_000

    def __post_init__(self) -> None:
        for prefix in self.allow:
            problem = check_prefix(prefix)
            if problem is not None:
                raise ValueError(f"{prefix}: {problem}")
