"""A headless Chromium that tests open pages in, told what to do over its own debugging protocol."""

import base64
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

_START_SECONDS: Final = 600
_PAGE_SECONDS: Final = 300


class Browser:
    """One page of a headless Chromium.

    Args:
        connection: to the page's debugger, upgraded to a web socket.
        process_id: of the browser, which leads a session of its own.
    """

    def __init__(self, connection: socket.socket, process_id: int) -> None:
        self._connection = connection
        self._number = 0
        self.process_id = process_id

    def wait_at_most(self, seconds: float) -> None:
        """Let a page be busy for so long before it answers."""
        self._connection.settimeout(seconds)

    def open(self, address: str) -> None:
        """Open an address; one that differs behind # alone is loaded anew, too."""
        self.ask("Page.navigate", url="about:blank")
        self.ask("Page.navigate", url=address)

    def read(self) -> str:
        """Return the text of the page that is seen now."""
        return str(self.run("document.body.innerText"))

    def run(self, script: str) -> Any:
        """Return what a script in the page comes to."""
        return self.ask("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def wait_for(self, *texts: str) -> str:
        """Wait until the page has loaded and shows every text, and return all that it shows."""
        deadline = time.monotonic() + _PAGE_SECONDS
        while True:
            shown = self.read()
            missing = [text for text in texts if text not in shown]
            # Of a long page the texts are seen before the script at its end has run.
            if not missing and self.run("document.readyState") == "complete":
                return shown
            if time.monotonic() > deadline:
                pytest.fail(f"not on the page within {_PAGE_SECONDS} s: {missing}; it shows {shown[:2000]}")
            time.sleep(0.3)

    def photograph(self, file: Path) -> None:
        """Write a picture of the page, PNG."""
        file.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result; what else the browser says is passed over."""
        self._number += 1
        self._send(json.dumps({"id": self._number, "method": method, "params": params}).encode())
        while True:
            answer = json.loads(self._receive())
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def _send(self, content: bytes) -> None:
        # A client's frames are masked; a mask of zeros leaves the content as it is.
        length = bytes([0x80 | 126]) + struct.pack(">H", len(content))
        if len(content) >= 1 << 16:
            length = bytes([0x80 | 127]) + struct.pack(">Q", len(content))
        self._connection.sendall(b"\x81" + length + bytes(4) + content)

    def _receive(self) -> bytes:
        content, is_last = b"", False
        while not is_last:
            head, length = self._take(2)
            if length == 126:
                (length,) = struct.unpack(">H", self._take(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", self._take(8))
            content += self._take(length)
            is_last = bool(head & 0x80)
        return content

    def _take(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self._connection.recv(count - len(found))
            assert part, "the browser has gone"
            found += part
        return found


@contextmanager
def browse(folder: Path, *, width: int = 1400, height: int = 900) -> Iterator[Browser]:
    """Run a headless Chromium with an empty profile.

    Args:
        folder: for its profile.
        width: of the window, pixels.
        height: of the window, pixels.
    """
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    command += ["--remote-debugging-port=0", f"--user-data-dir={folder}", f"--window-size={width},{height}"]
    process = subprocess.Popen(
        [*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        with _connect(folder / "DevToolsActivePort") as connection:
            yield Browser(connection, process.pid)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _connect(told: Path) -> socket.socket:
    deadline = time.monotonic() + _START_SECONDS
    while not (told.is_file() and told.read_text().count("\n")):
        assert time.monotonic() < deadline, "Chromium did not start"
        time.sleep(0.05)
    port = int(told.read_text().split()[0])
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
        page = next(each for each in json.load(answer) if each["type"] == "page")
    path = page["webSocketDebuggerUrl"].partition(f":{port}")[2]
    connection = socket.create_connection(("127.0.0.1", port), timeout=_PAGE_SECONDS)
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    assert b" 101 " in head.splitlines()[0], head
    return connection
