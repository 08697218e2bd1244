"""Passwords: argon2id hashes, checked off the event loop; accounts lock after repeated failures (R-CHG-5)."""

import math
import time
from collections.abc import Callable

import argon2
import structlog
import trio

from jackpotd.identity.principal import AccountByName
from jackpotd.wire.catalog_records import Account

# Known to everybody, so they open nothing that is reachable from outside (contract §2).
DEMO_PASSWORDS = frozenset({"admin-demo", "event-processor-demo"})
PASSWORD_LENGTH_MIN = 8
_CHECKS_AT_ONCE_MAX = 2
_TRACKED_NAMES_MAX = 10_000

_log = structlog.get_logger("jackpotd.identity")

_HASHER = argon2.PasswordHasher()


class AccountLocked(Exception):
    """Too many wrong passwords in a row; `seconds` until the next try counts."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"locked for {seconds} s")
        self.seconds = seconds


def hash_password(password: str) -> str:
    """An argon2id hash with the library's current parameters; takes tens of milliseconds."""
    return _HASHER.hash(password)


class PasswordDesk:
    """Checks passwords.

    Args:
        accounts: finds an account by its name.
        failures_max: wrong passwords in a row that lock an account.
        lock_s: how long.
        monotonic: seconds, for the locks.
    """

    def __init__(
        self,
        accounts: AccountByName,
        *,
        failures_max: int,
        lock_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._accounts = accounts
        self._failures_max = failures_max
        self._lock_s = lock_s
        self._monotonic = monotonic
        self._failures: dict[str, tuple[int, float]] = {}
        self._turns = trio.CapacityLimiter(_CHECKS_AT_ONCE_MAX)
        # Checked where the name is unknown, so that the time of an answer does not tell which names exist.
        self._decoy = hash_password("no account has this password")

    async def check(self, username: str, password: str, *, is_loopback: bool) -> Account | None:
        """The account, or None for an unknown name, a wrong password or a disabled account.

        Raises:
            AccountLocked: too many failures; the password was not looked at.
        """
        # The lock is looked at when it is this check's turn: guesses side by side count one after another.
        async with self._turns:
            return await self._check(username, password, is_loopback=is_loopback)

    async def _check(self, username: str, password: str, *, is_loopback: bool) -> Account | None:
        self._refuse_locked(username)
        account = self._accounts(username)
        hashed = self._decoy if account is None else account.password_hash
        is_right = await trio.to_thread.run_sync(_verify, hashed, password)
        if not is_loopback and password in DEMO_PASSWORDS:
            is_right = False
        if account is None or not is_right or not account.enabled:
            self._count_failure(username)
            return None
        self._failures.pop(username, None)
        return account

    def _refuse_locked(self, username: str) -> None:
        count, since = self._failures.get(username, (0, 0.0))
        left = since + self._lock_s - self._monotonic()
        if count >= self._failures_max:
            if left > 0:
                raise AccountLocked(math.ceil(left))
            del self._failures[username]

    def _count_failure(self, username: str) -> None:
        if len(self._failures) >= _TRACKED_NAMES_MAX and username not in self._failures:
            unlocked = (
                name for name, (count, _) in self._failures.items() if count < self._failures_max
            )
            self._failures.pop(next(unlocked, None) or next(iter(self._failures)))
        count, _ = self._failures.get(username, (0, 0.0))
        self._failures[username] = (count + 1, self._monotonic())
        if count + 1 == self._failures_max:
            _log.warning("account locked", username=username, seconds=self._lock_s)


def _verify(hashed: str, password: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except argon2.exceptions.VerificationError:
        return False
