"""A headless Chromium with one page, driven by its DevTools protocol.

Waits are for what is to be seen on the page (a condition that is looked at whenever the document changes); there is no
polling and no sleep here. `TEST_BROWSER` names another program than Debian's `chromium`; pictures go into the folder
that `TEST_ARTEFACTS` names.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROGRAM: Final = os.environ.get("TEST_BROWSER", "chromium")
MISSING: Final = f"no browser: `{PROGRAM}` is not on the path (Debian: apt-get install chromium)"
START_TIMEOUT_S: Final = 60
MESSAGE_BYTES_MAX: Final = 1 << 26
_LISTENING: Final = "DevTools listening on "
_ARGUMENTS: Final = (
    "--headless=new",
    "--no-sandbox",  # tests often run as root in a container; the only page that is opened is ours
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)

# Becomes true with the document: looked at now, and after each change of it.
_UNTIL: Final = """
new Promise((resolve, reject) => {
  const watch = new MutationObserver(() => look());
  const look = () => {
    try {
      const found = (%s)();
      if (found) { watch.disconnect(); resolve(found); }
    } catch (error) { watch.disconnect(); reject(error); }
  };
  watch.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
  look();
})
"""


def is_installed() -> bool:
    return shutil.which(PROGRAM) is not None


def artefact(name: str, otherwise: Path) -> Path:
    """Where a file goes that a test leaves for people to look at."""
    folder = Path(os.environ.get("TEST_ARTEFACTS") or otherwise)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


class PageError(Exception):
    """What the page or the protocol says is wrong."""


class Page:
    """One page. `problems` are the errors that its console has shown, those of the network and the CSP included."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self.problems: list[str] = []
        self._connection = connection
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[trio.Event, list[dict[str, Any]]]] = {}
        self._loaded = trio.Event()

    async def run(self) -> None:
        """Takes what the browser says, until it says no more."""
        with suppress(ConnectionClosed):
            while True:
                self._take(json.loads(await self._connection.get_message()))

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            event, answers = self._waiting.pop(message["id"])
            answers.append(message)
            event.set()
            return
        what, about = message["method"], message["params"]
        if what == "Page.loadEventFired":
            self._loaded.set()
        elif what == "Runtime.exceptionThrown":
            details = about["exceptionDetails"]
            self.problems.append(details.get("exception", details).get("description", ""))
        elif what == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.problems.append(f"{about['entry']['text']} {about['entry'].get('url', '')}")

    async def send(self, method: str, **parameters: object) -> dict[str, Any]:
        """A command of the protocol and its result."""
        number = next(self._numbers)
        event, answers = trio.Event(), list[dict[str, Any]]()
        self._waiting[number] = event, answers
        command = {"id": number, "method": method, "params": parameters}
        await self._connection.send_message(json.dumps(command))
        await event.wait()
        (answer,) = answers
        if "error" in answer:
            raise PageError(answer["error"]["message"])
        return dict(answer["result"])

    async def open(self, url: str) -> None:
        """Returns once the page is there, and its script has begun."""
        self._loaded = trio.Event()
        failed = (await self.send("Page.navigate", url=url)).get("errorText")
        if failed:
            raise PageError(f"{url}: {failed}")
        await self._loaded.wait()

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression, awaited where it is a promise."""
        result = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise PageError(details.get("exception", details).get("description", str(details)))
        return result["result"].get("value")

    async def until(self, condition: str) -> Any:
        """Waits for an expression to hold, and answers its value."""
        return await self.evaluate(_UNTIL % f"() => ({condition})")

    async def text(self, selector: str) -> str:
        """What an element shows."""
        return str(await self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    async def press(self, key: str) -> None:
        """A key of a keyboard, where the focus is."""
        text = {"Enter": "\r", "Space": " "}.get(key, "")
        codes = {"Enter": 13, "Space": 32, "Tab": 9}
        common = {"key": " " if key == "Space" else key, "code": key}
        common |= {"windowsVirtualKeyCode": codes[key]}  # type: ignore[dict-item]  # a number
        await self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    async def picture(self, path: Path) -> None:
        """Saves what is to be seen, from the top to the bottom of the page."""
        shot = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        await trio.Path(path).write_bytes(base64.b64decode(shot["data"]))


@asynccontextmanager
async def browser_page(folder: Path) -> AsyncIterator[Page]:
    """An empty page of a browser that is gone afterwards, with all its processes.

    Args:
        folder: for the browser's profile.
    """
    process = await _start(folder)
    try:
        with trio.fail_after(START_TIMEOUT_S):
            address = await _address(process)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_drain, process)
            async with open_websocket_url(
                await _page_address(address), max_message_size=MESSAGE_BYTES_MAX
            ) as connection:
                page = Page(connection)
                nursery.start_soon(page.run)
                for domain in ("Page", "Runtime", "Log"):
                    await page.send(f"{domain}.enable")
                yield page
                nursery.cancel_scope.cancel()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with trio.CancelScope(shield=True):
            await process.wait()
            assert process.stderr is not None
            await process.stderr.aclose()


async def _start(folder: Path) -> trio.Process:
    profile = folder / "profile"
    # A session's bus and display have nothing to say to a browser without a head.
    kept = {"PATH", "LANG", "TMPDIR", "LD_LIBRARY_PATH"}
    environment = {name: value for name, value in os.environ.items() if name in kept}
    return await trio.lowlevel.open_process(
        [PROGRAM, *_ARGUMENTS, f"--user-data-dir={profile}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**environment, "HOME": str(folder), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
        start_new_session=True,
    )


async def _address(process: trio.Process) -> str:
    """The address of the protocol, which the browser tells once it listens."""
    assert process.stderr is not None
    told = b""
    while True:
        chunk = await process.stderr.receive_some()
        told += chunk
        for line in told.decode(errors="replace").splitlines(keepends=True):
            if line.startswith(_LISTENING) and line.endswith("\n"):
                return line.removeprefix(_LISTENING).strip()
        if not chunk:
            raise PageError(f"the browser has ended: {told.decode(errors='replace')}")


async def _page_address(address: str) -> str:
    """The address of the one page."""
    async with open_websocket_url(address) as connection:
        await connection.send_message(json.dumps({"id": 1, "method": "Target.getTargets"}))
        targets = json.loads(await connection.get_message())["result"]["targetInfos"]
    (page,) = (each["targetId"] for each in targets if each["type"] == "page")
    root, _, _ = address.partition("/devtools/")
    return f"{root}/devtools/page/{page}"


async def _drain(process: trio.Process) -> None:
    """A browser whose complaints nobody reads would wait for ever."""
    assert process.stderr is not None
    async for _ in process.stderr:
        pass
