"""A real browser without a window: Chromium, by its DevTools protocol over two pipes.

Source: https://chromedevtools.github.io/devtools-protocol, --remote-debugging-pipe.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

_OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions"),
    *("--disable-background-networking", "--remote-debugging-pipe"),
)


class Browser:
    """A page in a browser of its own; it ends with the block."""

    def __enter__(self) -> Browser:
        chromium = shutil.which("chromium")
        assert chromium
        self._profile = tempfile.mkdtemp()
        ours_read, theirs_write = os.pipe()
        theirs_read, ours_write = os.pipe()
        self.events: list[dict[str, Any]] = []
        self._last = 0
        # The browser reads 3 and writes 4; a shell puts them there.
        script = f'exec "$@" 3<&{theirs_read} 4>&{theirs_write}'
        words = [chromium, *_OPTIONS, f"--user-data-dir={self._profile}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", script, "sh", *words],
            pass_fds=[theirs_read, theirs_write],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_read)
        os.close(theirs_write)
        self._read, self._write = open(ours_read, "rb"), open(ours_write, "wb")
        targets = self._call("Target.getTargets", session="")["targetInfos"]
        page = next(one["targetId"] for one in targets if one["type"] == "page")
        attached = self._call("Target.attachToTarget", session="", targetId=page, flatten=True)
        self._session: str = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        size = {"width": 1300, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._call("Browser.close", session="")
        finally:
            self._write.close()
            self._read.close()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method: str, **values: Any) -> dict[str, Any]:
        return self._call(method, session=self._session, **values)

    def _call(self, method: str, *, session: str, **values: Any) -> dict[str, Any]:
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": values}
        if session:
            message["sessionId"] = session
        self._write.write(json.dumps(message).encode() + b"\0")
        self._write.flush()
        while True:
            said = self._hear()
            if said.get("id") == self._last:
                assert "error" not in said, said
                result: dict[str, Any] = said["result"]
                return result
            self.events.append(said)

    def _hear(self) -> dict[str, Any]:
        text = b""
        while not text.endswith(b"\0"):
            byte = self._read.read(1)
            assert byte, "the browser has ended"
            text += byte
        said: dict[str, Any] = json.loads(text[:-1])
        return said

    def open(self, path: Path, fragment: str = "") -> None:
        """Go to a file, and wait until it is there."""
        for url in ("about:blank", path.as_uri() + fragment):
            self.events.clear()
            self.call("Page.navigate", url=url)
            while not any(one.get("method") == "Page.loadEventFired" for one in self.events):
                self.events.append(self._hear())

    def run(self, script: str) -> Any:
        """The value of an expression of JavaScript in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Until it is true; the test's own limit is the end."""
        while not self.run(script):
            time.sleep(0.01)

    def press(self, key: str) -> None:
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        codes = {"Enter": 13, "Tab": 9}
        about = {"key": key, "text": text, "windowsVirtualKeyCode": codes.get(key, ord(key[0]))}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def dark(self, wanted: bool) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if wanted else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def troubles(self) -> list[str]:
        """Exceptions of scripts, what the console says, and what was asked of the network."""
        found = []
        for one in self.events:
            method, values = one.get("method"), one.get("params", {})
            if method in ("Runtime.exceptionThrown", "Log.entryAdded"):
                found.append(json.dumps(values))
            elif method == "Network.requestWillBeSent":
                url = values["request"]["url"]
                if not url.startswith("file:"):
                    found.append(url)
        return found
