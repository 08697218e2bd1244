"""Fronts of listeners, as the settings want them."""

from typing import cast

from hypercorn.typing import ASGIFramework
from quart_trio import QuartTrio

from jackpotd.front.serving import FrontParts
from jackpotd.service.entropy import SystemEntropy
from jackpotd.service.listeners import Listener, config_of, limits_of
from jackpotd.service.settings import Settings
from jackpotd.service.storage import clock_ms
from jackpotd.service.telemetry import Telemetry


def parts_of(
    settings: Settings,
    telemetry: Telemetry,
    entropy: SystemEntropy,
    listener: Listener,
    app: QuartTrio,
) -> FrontParts:
    """What a listener serves by its application alone."""
    deadline_s = settings.service.drain_deadline_s
    return FrontParts(
        name=listener.name,
        # Quart has its own, equal, types for ASGI scopes and events.
        app=cast("ASGIFramework", app),
        direct={},
        streams={},
        limits=limits_of(settings.limits),
        config=config_of(settings.limits, graceful_timeout_s=deadline_s, tls=listener.tls),
        tls=listener.tls,
        clock=clock_ms,
        new_trace_id=entropy.uuid,
        observe=telemetry.observe_request,
    )
