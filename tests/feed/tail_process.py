"""The feed's part in a process of its own: follows the journals of a directory until it is killed.

Arguments: the directory, the seed of the catalog. It prints a line for each commit that told of something.
"""

import sys
from pathlib import Path

import trio

from jackpotd.feed import tail
from jackpotd.journal.feed_store import FeedStore

from .ground import Following, open_journal, open_store
from .play import seeded_catalog

RECORDS_AT_ONCE = 3


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def follow(directory: Path, seed: int, store: FeedStore) -> None:
    logs = {0: open_journal(directory, 0)}
    following = Following(logs, seeded_catalog(seed), store)
    following.tell = lambda: say(str(store.positions()))
    say("ready")
    await following.tails[0].run()


if __name__ == "__main__":
    tail.LOOK_RECORDS_MAX = RECORDS_AT_ONCE
    with open_store(Path(sys.argv[1])) as opened:
        trio.run(follow, Path(sys.argv[1]), int(sys.argv[2]), opened)
