"""`jackpotd serve`: runs the server and turns what stops it into an exit code and one line."""

from collections.abc import Iterator

import click
import structlog
import trio

from jackpotd.core.ledger import InvariantViolation
from jackpotd.identity.tokens import SecretDamaged
from jackpotd.journal.group_commit import JournalFailed
from jackpotd.journal.key_runs import KeyIndexDamaged
from jackpotd.journal.log import LogError, StorageError
from jackpotd.service.data_directory import DataDirectoryError
from jackpotd.service.listeners import ListenerError
from jackpotd.service.server import run
from jackpotd.service.settings import Settings
from jackpotd.service.telemetry import configure_logs

EXPECTED = (
    DataDirectoryError,
    KeyIndexDamaged,
    ListenerError,
    LogError,
    SecretDamaged,
    StorageError,
)
FATAL = (JournalFailed, InvariantViolation, OSError)

_log = structlog.get_logger("jackpotd.server")


def run_server(settings: Settings, *, is_demo: bool) -> int:
    """Serves until a signal; 0 after a clean stop, 1 otherwise."""
    configure_logs(settings.log)
    code = 0
    try:
        trio.run(lambda: run(settings, is_demo=is_demo, say=_say))
    except* EXPECTED as group:
        code = 1
        for error in leaves(group):
            click.echo(f"jackpotd: {error}", err=True)
    except* FATAL as group:
        code = 1
        for error in leaves(group):
            _log.critical("stopped by a failure", error=str(error), kind=type(error).__name__)
    return code


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the line that scripts wait for


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """The exceptions inside a group, whatever its nesting."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error
