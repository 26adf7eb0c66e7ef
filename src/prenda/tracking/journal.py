"""Journal of a run: the content of its record in MLflow, in one append-only file of the run's folder.

A line is one record in JSON, or a mark that says how many records a store holds. The file needs no MLflow, so an
offline run has one too. A killed process loses no record that it has written.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JOURNAL = ".journal.jsonl"
Record = dict[str, Any]


@dataclass(frozen=True)
class Position:
    """Part of a journal that a store holds.

    Attributes:
        run_id: Id of the run in the store; None if the store has no run yet.
        count: Number of records that the store holds.
    """

    run_id: str | None = None
    count: int = 0


@dataclass(frozen=True)
class Destination:
    """Store and experiment of a run.

    Attributes:
        uri: Address of the store, without password; None keeps the record offline.
        experiment: Name of the experiment.
        artifacts: Folder of artifacts of a new experiment; None leaves the choice to the server.
    """

    uri: str | None
    experiment: str
    artifacts: str | None = None


class Journal:
    """The journal of a run's folder; several threads and processes may append to it.

    Attributes:
        is_new: Whether there was no journal before this process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / JOURNAL
        self.is_new = not self.path.is_file()
        self._may_create = self.is_new
        self._lock = threading.Lock()
        self._offset = 0
        self._records: list[Record] = []
        self._positions: dict[str, Position] = {}

    def append(self, kind: str, **content: Any) -> None:
        """Add a record; it is in the file when this returns.

        Raises:
            OSError: If the disk is full or the folder cannot be written.
        """
        self._write({"kind": kind, "time": int(time.time() * 1000), **content})

    def mark(self, store: str, position: Position) -> None:
        """Write a mark about the records that a store holds."""
        self._write({"delivered": store, "run_id": position.run_id, "count": position.count})

    def records(self) -> list[Record]:
        """Return all records, the oldest first."""
        with self._lock:
            self._read()
            return list(self._records)

    def holds(self, kind: str, **content: Any) -> bool:
        """Return whether there is a record of a kind with this content."""
        wanted = {"kind": kind, **content}.items()
        return any(wanted <= record.items() for record in self.records())

    def position(self, store: str) -> Position:
        """Return the position of a store, from its last mark."""
        with self._lock:
            self._read()
            return self._positions.get(store, Position())

    def waiting(self, store: str) -> int:
        """Return the number of records that a store does not hold yet."""
        with self._lock:
            self._read()
            return len(self._records) - self._positions.get(store, Position()).count

    def destination(self) -> Destination:
        """Return the destination of the run, from its last start."""
        starts = [record for record in self.records() if record["kind"] == "run"]
        return Destination(**starts[-1]["destination"])

    def _write(self, content: Record) -> None:
        line = (json.dumps(content) + "\n").encode()
        with self._lock:
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | (os.O_CREAT if self._may_create else 0), 0o644)
            self._may_create = False  # else a journal would begin in the middle of a run whose folder has vanished
            try:
                end = os.fstat(file).st_size
                if end and os.pread(file, 1, end - 1) != b"\n":  # a full disk cut the last line
                    line = b"\n" + line
                if os.write(file, line) < len(line):
                    os.write(file, line)  # raises the error that cut it
            finally:
                os.close(file)

    def _read(self) -> None:
        """Read the lines that were added since the last call; skip incomplete lines and those of others."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            try:
                content = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if not isinstance(content, dict):
                continue
            if {"delivered", "run_id", "count"} <= content.keys():
                self._positions[content["delivered"]] = Position(content["run_id"], content["count"])
            elif {"kind", "time"} <= content.keys():
                self._records.append(content)
