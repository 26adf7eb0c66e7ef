"""A photo server with a network that knows colours, photos for it, and a browser that watches its page."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

CHROMIUM = shutil.which("chromium") or "chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
PHONE = {"width": 393, "height": 852}  # CSS pixels
COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "grey": (250, 250, 250)}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Server:
    """`prenda serve` on a port of its own, which stays the same when it is started again."""

    def __init__(self, bundle: Path, *options: str, **environment: str) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}/"
        self._command = [sys.executable, "-m", "prenda", "serve", "--model", str(bundle), "--port", str(self.port)]
        self._command += options
        self._environment = os.environ | environment
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, env=self._environment, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not self._is_up():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError("the server does not start")
            time.sleep(0.1)

    def _is_up(self) -> bool:
        try:
            return urllib.request.urlopen(self.address + "healthz", timeout=5).status == 200
        except OSError:  # no connection, or no answer in time
            return False

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(30)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


@dataclass
class Watched:
    """What a page asked for, and what its console said."""

    address: str
    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)

    def watch(self, page: Any) -> None:
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))

    def outside(self) -> list[str]:
        return [url for url in self.requests if not url.startswith((self.address, "blob:", "data:"))]

    def problems(self) -> list[str]:
        """Return what the console said, without the browser's own lines about answers that are no success."""
        return [line for line in self.console if "Failed to load resource" not in line]


def draw(folder: Path, *names: str) -> list[Path]:
    """Draw a photo of one colour for each name, which starts with it: red.jpg is a T-shirt, grey.jpg is unsure."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        color = next(rgb for start, rgb in COLORS.items() if start in name)
        kind = "PNG" if name.endswith(".png") else "JPEG"
        Image.new("RGB", (64, 48), color).save(folder / name, kind)
    return [folder / name for name in names]


def drop(page: Any, *paths: Path) -> None:
    """Drop files and folders in the middle of the page, as a file manager does."""
    size = page.viewport_size
    place = {"x": size["width"] / 2, "y": size["height"] / 2}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})
    session.detach()


def answered(page: Any, count: int) -> None:
    """Wait until so many photos have an answer or an error, and their picture; an answer may come before it."""
    done = page.locator(".card.answered, .card.unsure, .card.failed")
    done.nth(count - 1).wait_for(state="attached", timeout=60_000)
    drawn = page.locator(".card .photo[src], .card .no-preview:not([hidden])")
    drawn.nth(count - 1).wait_for(state="attached", timeout=60_000)
    page.locator("#progress").wait_for(state="hidden")


def answers(page: Any) -> dict[str, str]:
    """Return the answer in large type of each photo that is shown, by its name."""
    cards = page.locator(".card:visible")
    return {card.locator(".name").text_content(): card.locator(".answer").text_content() for card in cards.all()}


def card(page: Any, name: str) -> Any:
    return page.locator(".card", has=page.get_by_text(name, exact=True))
