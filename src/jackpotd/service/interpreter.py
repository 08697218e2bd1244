"""How the interpreter and its process are set for what serves contributions, or sockets."""

import gc
import resource
import sys

_SWITCH_INTERVAL_S = 0.0005
_YOUNG_OBJECTS = 50_000
_MIDDLE_ROUNDS = 20
_OLD_ROUNDS = 100


def prepare() -> None:
    """Before anything else: threads change places quickly, garbage is looked for rarely, files may be many.

    A thread that holds the interpreter delays a commit by the switch interval; the default costs milliseconds. What a
    contribution leaves behind is freed by its references; the collector finds next to nothing, and with its defaults
    spends a seventh of the time looking. Each connection is a file, and the usual limit is a thousand of them.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.set_threshold(_YOUNG_OBJECTS, _MIDDLE_ROUNDS, _OLD_ROUNDS)


def settle() -> None:
    """Once everything is recovered: it stays, so the collector need not walk it ever again."""
    gc.collect()
    gc.freeze()
