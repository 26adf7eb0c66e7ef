"""Access log: one JSON line for each request on standard output, without photos, their names or tokens."""

from __future__ import annotations

import contextlib
import json
import queue
import sys
import threading
from datetime import UTC, datetime
from typing import TextIO

LONGEST_PATH = 200  # characters
MOST_WAITING = 10_000  # lines; more are dropped while the reader of the output stands still


class AccessLog:
    """Access log that a thread writes: a reader that stands still holds no request up.

    Args:
        output: Where lines go; standard output if None.
    """

    def __init__(self, output: TextIO | None = None) -> None:
        self._output = output if output is not None else sys.stdout
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="prenda-access-log", daemon=True)
        self._thread.start()

    def add(self, method: str, path: str, status: int, seconds: float, photos: int, model: str | None) -> None:
        """Log a request."""
        if self._lines.qsize() >= MOST_WAITING:
            return
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "method": method,
            "path": path[:LONGEST_PATH],
            "status": status,
            "ms": round(1000 * seconds, 1),
            "photos": photos,
            "model": model,
        }
        self._lines.put(json.dumps(line))

    def close(self) -> None:
        """Write the lines that wait."""
        self._lines.put(None)
        self._thread.join(timeout=1)

    def _write(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # the reader has closed the output
            while (line := self._lines.get()) is not None:
                lines = [line]
                while not self._lines.empty() and (line := self._lines.get()) is not None:
                    lines.append(line)
                self._output.write("\n".join(lines) + "\n")
                self._output.flush()
                if line is None:
                    return
