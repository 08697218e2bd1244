"""One port for all workers: the server holds it, each worker listens on it, and Linux spreads the connections.

The holder never listens, so it gets no connection; as long as it is there, the port stays the server's while workers
come and go, also a port that the system has chosen.
"""

import socket

from jackpotd.front.hand_over import TlsFiles
from jackpotd.service.listeners import Listener, ListenerError
from jackpotd.service.settings import Bind

_BACKLOG = 1024


def hold(name: str, address: Bind, tls: TlsFiles | None) -> Listener:
    """Binds an address for workers to share.

    Raises:
        ListenerError: it is taken, also by a server that would share it, or not this machine's.
    """
    # Sharing is the sharer's choice: without this, two servers of one user would answer in turn.
    _bound(name, address, is_shared=False).close()
    return Listener(name, _bound(name, address, is_shared=True), tls)


def listen(name: str, address: Bind, tls: TlsFiles | None) -> Listener:
    """A worker's own listener on an address that the server holds."""
    bound = _bound(name, address, is_shared=True)
    bound.listen(_BACKLOG)
    return Listener(name, bound, tls)


def _bound(name: str, address: Bind, *, is_shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((address.host, address.port))
    except OSError as error:
        bound.close()
        variable = f"JACKPOTD_{name.upper()}_BIND"
        raise ListenerError(
            f"[{name}] bind = {address}: {error.strerror}; choose another with {variable}"
        ) from None
    return bound
