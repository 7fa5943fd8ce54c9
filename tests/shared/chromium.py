"""A headless Chromium, spoken to by its own protocol over two pipes: no package is needed.

Chrome DevTools Protocol, https://chromedevtools.github.io/devtools-protocol/: JSON messages that end with a zero byte.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOW = "no Chromium is installed: apt-get install chromium (Debian), or name one in VISUS_CHROMIUM"
MODIFIERS = {"Shift": 8}
KEYS = {"Tab": 9, "Enter": 13, " ": 32, "ArrowRight": 39, "ArrowLeft": 37, "End": 35, "Home": 36}


def found() -> str | None:
    """The program, or None."""
    named = os.environ.get("VISUS_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One browser with one page. seconds: that anything may take."""

    def __init__(self, seconds: float = 60) -> None:
        self._seconds = seconds
        self._folder = tempfile.TemporaryDirectory(prefix="visus-chromium-", ignore_cleanup_errors=True)
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()

        def give() -> None:  # the browser reads from descriptor 3 and writes to 4
            reading, writing = os.dup(to_browser), os.dup(from_browser)
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        self._process = subprocess.Popen(
            [
                found() or "chromium",
                *("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--mute-audio"),
                *("--no-first-run", "--disable-extensions", "--disable-background-networking", "--hide-scrollbars"),
                *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--disable-dev-shm-usage"),
                *("--force-color-profile=srgb", f"--user-data-dir={self._folder.name}", "about:blank"),
            ],
            preexec_fn=give,
            close_fds=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []
        target = self._ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = self._ask("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM", "Accessibility"):
            self.ask(f"{domain}.enable")

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._folder.cleanup()

    def ask(self, method: str, **parameters: Any) -> Any:
        """A command of the protocol to the page."""
        return self._ask(method, parameters, self._session)

    def run(self, script: str) -> Any:
        """The value of an expression of JavaScript in the page, awaited."""
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, script: str) -> None:
        """Waits until an expression is true."""
        end = time.monotonic() + self._seconds
        while not self.run(script):
            if time.monotonic() > end:
                raise AssertionError(f"never true: {script}; {self.run('document.body.innerText')}")
            time.sleep(0.05)

    def open(self, address: str) -> None:
        """Opens a page and waits for it."""
        self.ask("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def size(self, width: int, height: int, *, phone: bool = False, dark: bool = False) -> None:
        """The size of the window in CSS pixels; a phone has fingers and twice the pixels."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1 + phone, mobile=phone
        )
        self.ask("Emulation.setTouchEmulationEnabled", enabled=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def choose(self, selector: str, *files: Path) -> None:
        """Chooses files in an input."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.ask("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def press(self, key: str, *modifiers: str) -> None:
        """Presses a key."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        common = {"key": key, "windowsVirtualKeyCode": KEYS[key], "modifiers": sum(MODIFIERS[m] for m in modifiers)}
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **common)

    def names(self) -> list[tuple[str, str]]:
        """(role, name) of what a screen reader meets, in order."""
        nodes = self.ask("Accessibility.getFullAXTree")["nodes"]
        told = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n["ignored"]]
        return [(role, name) for role, name in told if role not in ("none", "generic", "InlineTextBox")]

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """Saves what the page looks like."""
        if whole:
            box = self.ask("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": box["width"], "height": box["height"], "scale": 1}
            taken = self.ask("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        else:
            taken = self.ask("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(taken["data"]))

    def addresses(self) -> list[str]:
        """Of everything that the page asked for."""
        return [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]

    def complaints(self) -> list[str]:
        """Errors in the log and exceptions, of the page itself."""
        found = [e["params"]["entry"]["text"] for e in self.events if e["method"] == "Log.entryAdded"]
        return found + [str(e["params"]) for e in self.events if e["method"] == "Runtime.exceptionThrown"]

    def _ask(self, method: str, parameters: dict[str, Any], session: str = "") -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | (
            {"sessionId": session} if session else {}
        )
        os.write(self._out, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + self._seconds
        while True:
            for answer in self._read(end):
                if answer.get("id") == self._number:
                    if "error" in answer:
                        raise AssertionError(f"{method}: {answer['error']}")
                    return answer["result"]

    def _read(self, end: float) -> list[dict[str, Any]]:
        if not select.select([self._in], [], [], max(0.0, end - time.monotonic()))[0]:
            raise AssertionError("the browser does not answer")
        self._buffer += os.read(self._in, 1 << 20)
        *whole, self._buffer = self._buffer.split(b"\0")
        messages = [json.loads(text) for text in whole]
        self.events += [message for message in messages if "method" in message]
        return messages
