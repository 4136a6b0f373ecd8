"""Headless Chromium as the tests drive it: its own debugging pipe, no driver, no network.

The protocol is Chrome's DevTools protocol over `--remote-debugging-pipe`: JSON ended by NUL.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

FOUND = shutil.which("chromium") or shutil.which("chromium-browser")
WHY_NOT = "no Chromium here: apt-get install chromium"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE_S = 120.0

Message = dict[str, Any]


DRAWN = "document.querySelectorAll('#front .scatterlayer .points path').length > 0"
"""Whether the chart of the front shows its networks."""

SCROLL_ALL = """(async () => {
  for (const element of document.querySelectorAll('[data-figure]')) {
    element.scrollIntoView();
    for (let i = 0; i < 400 && !element.querySelector('svg'); i++)
      await new Promise((done) => setTimeout(done, 25));
  }
  scrollTo(0, 0);
  return [...document.querySelectorAll('[data-figure]')].every((e) => e.querySelector('svg'));
})()"""
"""Scrolls to every figure, so that it is drawn; whether all are."""


class Browser:
    """One page in a browser of its own; `events` is everything that the browser told of it."""

    def __init__(self, profile: Path, size: tuple[int, int] = (1320, 1000)) -> None:
        assert FOUND is not None
        self.events: list[Message] = []
        self._count, self._session, self._rest = 0, "", b""
        there, self._write = (_high(fd) for fd in os.pipe())
        self._read, back = (_high(fd) for fd in os.pipe())
        window = f"--window-size={size[0]},{size[1]}"
        self._process = subprocess.Popen(
            [FOUND, *FLAGS, window, f"--user-data-dir={profile}", "about:blank"],
            close_fds=False,  # what is not inheritable closes all the same
            preexec_fn=lambda: (os.dup2(there, 3), os.dup2(back, 4)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(there)
        os.close(back)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(Exception):
            self._session = ""
            self.call("Browser.close")
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)

    def call(self, method: str, **params: Any) -> Message:
        """Send a command and return its result."""
        self._count += 1
        message: Message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        for answer in self._messages():
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                result: Message = answer["result"]
                return result
            self.events.append(answer)
        raise AssertionError("the browser has gone")

    def open(self, path: Path) -> None:
        """Open a file, and wait until it has loaded."""
        self.call("Page.navigate", url=path.absolute().as_uri())
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def value(self, script: str) -> Any:
        """Return what an expression is in the page."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until an expression is true in the page."""
        end = time.monotonic() + PATIENCE_S
        while not self.value(script):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.05)

    def mouse(self, kind: str, x: float, y: float) -> None:
        """Move or press the mouse: mouseMoved, mousePressed, mouseReleased."""
        button = "none" if kind == "mouseMoved" else "left"
        where = {"x": x, "y": y, "button": button, "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type=kind, **where)

    def requests(self) -> list[str]:
        """Return every address that the page asked for, but for what is in it."""
        asked = [e for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        urls = [event["params"]["request"]["url"] for event in asked]
        return [url for url in urls if not url.startswith(("data:", "blob:"))]

    def complaints(self) -> list[str]:
        """Return what went wrong in the page: exceptions, and errors on the console."""
        found = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append(json.dumps(params["exceptionDetails"])[:400])
            elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(params["entry"]["text"])
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
                found.append(json.dumps(params["args"])[:400])
            elif method == "Page.javascriptDialogOpening":
                found.append("a dialog opened")
        return found

    def _messages(self) -> Iterator[Message]:
        end = time.monotonic() + PATIENCE_S
        while True:
            while b"\0" in self._rest:
                text, self._rest = self._rest.split(b"\0", 1)
                yield json.loads(text)
            ready, _, _ = select.select([self._read], [], [], max(0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            more = os.read(self._read, 1 << 20)
            if not more:
                return
            self._rest += more


def _high(fd: int) -> int:
    """Return the same end of a pipe under a number that 3 and 4 do not overwrite."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(fd)
    return moved
