"""Access log: one JSON line for each request on standard output, without photos, their names or tokens."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections import deque
from datetime import UTC, datetime
from typing import TextIO

LONGEST_PATH = 200  # characters
MOST_WAITING = 10_000  # lines; older ones are dropped while the reader of the output stands still
SECONDS = 0.2  # between two writes


class AccessLog:
    """Access log that a thread writes, a few times a second: a reader that stands still holds no request up.

    Args:
        output: Where lines go; standard output if None.
    """

    def __init__(self, output: TextIO | None = None) -> None:
        self._output = output if output is not None else sys.stdout
        self._lines: deque[str] = deque(maxlen=MOST_WAITING)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write_all, name="prenda-access-log", daemon=True)
        self._thread.start()

    def add(self, method: str, path: str, status: int, seconds: float, photos: int, model: str | None) -> None:
        """Log a request."""
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "method": method,
            "path": path[:LONGEST_PATH],
            "status": status,
            "ms": round(1000 * seconds, 1),
            "photos": photos,
            "model": model,
        }
        self._lines.append(json.dumps(line) + "\n")

    def close(self) -> None:
        """Write the lines that wait."""
        self._closing.set()
        self._thread.join(timeout=1)

    def _write_all(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # the reader has closed the output
            while not self._closing.wait(SECONDS):  # waking this thread for each request would take processor time
                self._write()
            self._write()

    def _write(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if lines:
            self._output.write("".join(lines))
            self._output.flush()
