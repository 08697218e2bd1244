"""`jackpotd serve`, its workers and its feed: runs each and turns what stops it into an exit code and one line."""

from collections.abc import Awaitable, Callable, Iterator

import click
import structlog
import trio

from jackpotd.cluster.relocation import TwoHomes
from jackpotd.core.ledger import InvariantViolation
from jackpotd.identity.tokens import SecretDamaged
from jackpotd.journal.group_commit import JournalFailed
from jackpotd.journal.key_runs import KeyIndexDamaged
from jackpotd.journal.log import LogError, StorageError
from jackpotd.service import lifecycle
from jackpotd.service.configuration import ConfigurationError
from jackpotd.service.data_directory import DataDirectoryError
from jackpotd.service.feed import run_feed
from jackpotd.service.keeping import WorkerLost
from jackpotd.service.listeners import ListenerError
from jackpotd.service.settings import Settings
from jackpotd.service.storage import FeedUnusable
from jackpotd.service.telemetry import configure_logs
from jackpotd.service.vault import KeyDamaged
from jackpotd.service.worker import run_worker
from jackpotd.service.worker_process import bind_to

EXPECTED = (
    DataDirectoryError,
    FeedUnusable,
    KeyDamaged,
    KeyIndexDamaged,
    ListenerError,
    LogError,
    SecretDamaged,
    StorageError,
    TwoHomes,
    WorkerLost,
)
FATAL = (JournalFailed, InvariantViolation, OSError)

_log = structlog.get_logger("jackpotd.server")


def run_server(settings: Settings, *, is_demo: bool) -> int:
    """Serves until a signal; 0 after a clean stop, 2 for a placement that cannot be used, 1 otherwise."""
    configure_logs(settings.log)
    try:
        plan = lifecycle.planned(settings, is_demo=is_demo)
    except ConfigurationError as error:
        click.echo(str(error), err=True)
        return 2
    return _exit_code(lambda: lifecycle.serve(settings, plan, is_demo=is_demo, say=_say))


def run_worker_process(server: int) -> int:
    """Is a worker of a server until that says otherwise; 0 after a clean stop, 1 otherwise."""
    end = bind_to(server)
    return _exit_code(lambda: run_worker(end))


def run_feed_process(server: int) -> int:
    """Is the feed of a server until that says otherwise; 0 after a clean stop, 1 otherwise."""
    end = bind_to(server)
    return _exit_code(lambda: run_feed(end))


def _exit_code(life: Callable[[], Awaitable[None]]) -> int:
    code = 0
    try:
        trio.run(life)
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
