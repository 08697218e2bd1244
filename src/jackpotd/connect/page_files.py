"""The ticker page and its files, read once from the package: only what is there is served, under its own name."""

import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable

from jackpotd.edge.exchange import Handler, Incoming, Outgoing
from jackpotd.edge.shell import Route

INDEX = "index.html"
SECTION = "Ticker page"
FILE_BYTES_MAX = 1 << 20

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/vnd.microsoft.icon",
    ".woff2": "font/woff2",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = (
    ("Cache-Control", "no-cache"),
    ("Content-Security-Policy", _POLICY),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)


class UnusableFile(Exception):
    """A file of the page that cannot be served: of a kind that is not known, or too large."""


def page_routes(folder: Traversable | None = None) -> list[Route]:
    """Routes for every file of the page's folder, by their names at the root; `/` is its index.

    Raises:
        UnusableFile: the package was put together wrongly.
    """
    found = files("jackpotd.connect").joinpath("page") if folder is None else folder
    routes = []
    for file in sorted(found.iterdir(), key=lambda each: each.name):
        if file.is_file() and not file.name.startswith((".", "_")):
            handler = _handler(file)
            routes.append(_route(f"/{file.name}", handler))
            if file.name == INDEX:
                routes.append(_route("/", handler))
    return routes


def _route(path: str, handler: Handler) -> Route:
    return Route("GET", path, handler, SECTION, errors=(), is_public=True)


def _handler(file: Traversable) -> Handler:
    suffix = "." + file.name.rpartition(".")[2]
    if suffix not in _TYPES:
        raise UnusableFile(f"{file.name} is of no kind that is served")
    body = file.read_bytes()
    if len(body) > FILE_BYTES_MAX:
        raise UnusableFile(f"{file.name} is larger than {FILE_BYTES_MAX} bytes")
    tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    headers = (*_HEADERS, ("ETag", tag))

    async def handler(request: Incoming) -> Outgoing:
        if _has(request.headers.get("if-none-match", ""), tag):
            return Outgoing(304, headers=headers)
        return Outgoing(200, body, _TYPES[suffix], headers)

    handler.__doc__ = f"Get {file.name} of the ticker page."
    return handler


def _has(if_none_match: str, tag: str) -> bool:
    """Whether the client has this very file already."""
    tags = (each.strip().removeprefix("W/") for each in if_none_match.split(","))
    return any(each in ("*", tag) for each in tags)
