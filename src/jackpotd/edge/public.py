"""What every listener answers without a token: health and metrics (contract §1)."""

from collections.abc import Awaitable, Callable

from jackpotd import __version__
from jackpotd.edge.exchange import Incoming, Outgoing, answer
from jackpotd.edge.shell import Route
from jackpotd.wire.gateway_messages import Health

PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def public_routes(
    is_healthy: Callable[[], bool], metrics: Callable[[], Awaitable[bytes]]
) -> list[Route]:
    """Routes for `/health` and `/metrics`."""

    async def health(_request: Incoming) -> Outgoing:
        """Get the version; 200 only while the journal accepts writes, else 503."""
        return answer(Health(__version__), 200 if is_healthy() else 503)

    async def read_metrics(_request: Incoming) -> Outgoing:
        """Get the metrics as Prometheus text."""
        return Outgoing(200, await metrics(), PROMETHEUS_TEXT)

    return [
        Route("GET", "/health", health, "Health", None, Health, errors=(503,), is_public=True),
        Route("GET", "/metrics", read_metrics, "Health", errors=(), is_public=True),
    ]
