"""Listeners: bound before anything is served, so a port that is taken stops the start.

Each is then given to a front.
"""

import socket
import ssl

from hypercorn.config import Config
from msgspec import Struct

from jackpotd.front.hand_over import TlsFiles, hypercorn_config, tls_context
from jackpotd.front.limits import FrontLimits
from jackpotd.service.settings import Bind, LimitsSettings, ListenerSettings

_BACKLOG = 1024
_OFF = "off"
_TARGET_BYTES_MAX = 8_192


class ListenerError(Exception):
    """An address that cannot be bound, or TLS that cannot be served; the message names the listener."""


class Listener(Struct, frozen=True):
    """One bound address."""

    name: str
    socket: socket.socket
    tls: TlsFiles | None = None

    @property
    def url(self) -> str:
        host, port = self.socket.getsockname()[:2]
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def tls_files(name: str, settings: ListenerSettings) -> TlsFiles | None:
    """The certificate of a listener; None for plain HTTP.

    Raises:
        ListenerError: it is half given, or cannot be used.
    """
    files = TlsFiles(settings.tls_certificate, settings.tls_key)
    if files.certificate == files.key == _OFF:
        return None
    if _OFF in (files.certificate, files.key):
        raise ListenerError(f"[{name}] tls_certificate and tls_key belong together")
    try:
        tls_context(files)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or error
        raise ListenerError(
            f"[{name}] tls_certificate = {files.certificate}, tls_key = {files.key}: {reason}"
        ) from None
    return files


def limits_of(settings: LimitsSettings) -> FrontLimits:
    """The limits of a front, as the operator has set them."""
    return FrontLimits(
        body_bytes_max=settings.body_bytes_max,
        header_bytes_max=settings.header_bytes_max,
        target_bytes_max=min(_TARGET_BYTES_MAX, settings.header_bytes_max),
        connections_max=settings.connections_max,
        header_timeout_s=settings.header_timeout_s,
        body_timeout_s=settings.body_timeout_s,
        idle_timeout_s=settings.idle_timeout_s,
        write_timeout_s=settings.write_timeout_s,
    )


def config_of(
    settings: LimitsSettings, *, graceful_timeout_s: float, tls: TlsFiles | None
) -> Config:
    """How Hypercorn serves what a listener's front hands over."""
    return hypercorn_config(
        body_bytes_max=settings.body_bytes_max,
        header_bytes_max=settings.header_bytes_max,
        idle_timeout_s=settings.idle_timeout_s,
        graceful_timeout_s=graceful_timeout_s,
        tls=tls,
    )


def bind(name: str, address: Bind, tls: TlsFiles | None = None) -> Listener:
    """Binds a listener's address.

    Raises:
        ListenerError: the address is taken, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((address.host, address.port))
    except OSError as error:
        bound.close()
        variable = f"JACKPOTD_{name.upper()}_BIND"
        raise ListenerError(
            f"[{name}] bind = {address}: {error.strerror}; choose another with {variable}"
        ) from None
    bound.listen(_BACKLOG)
    return Listener(name, bound, tls)
