"""Cross-origin reads (CORS): pages of allowed origins may read what is public, all others get no header of it.

Nothing here depends on a browser's own credentials, so they are never allowed, and neither is `*`.
"""

from quart import Response, request
from quart_trio import QuartTrio

from jackpotd.edge.origins import AllowedOrigins

ALLOWED_METHODS = "GET, HEAD, OPTIONS"
ALLOWED_HEADERS = "Accept, Authorization, Content-Type"
EXPOSED_HEADERS = "X-Trace-Id"
PREFLIGHT_AGE_S = 600
ADMINISTRATION = "/admin/"


def add_cors(app: QuartTrio, origins: AllowedOrigins) -> None:
    """Makes an application answer pages of allowed origins; its administration is not for pages."""

    @app.before_request
    async def preflight() -> Response | None:
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            return None
        response = Response(b"", 204)
        response.headers.pop("Content-Type", None)
        response.headers.pop("Content-Length", None)
        response.headers["Vary"] = "Access-Control-Request-Method, Access-Control-Request-Headers"
        if _is_allowed(origins):
            response.headers["Access-Control-Allow-Methods"] = ALLOWED_METHODS
            response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
            response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_AGE_S)
        return response

    @app.after_request
    async def answered(response: Response) -> Response:
        response.vary.add("Origin")
        if _is_allowed(origins):
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
        return response


def _is_allowed(origins: AllowedOrigins) -> bool:
    origin = request.headers.get("Origin")
    return (
        origin is not None
        and ADMINISTRATION not in request.path
        and len(request.headers.getlist("Origin")) == 1
        and origins.allows(origin)
    )
