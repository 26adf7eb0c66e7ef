"""What MLflow's database and a run's folder hold, read without MLflow and prenda."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from prenda.training.checkpoint_digest import damage
from tests.reliability.commands import LossError

MEASURED = ("train/seconds", "latency/seconds")  # metrics that differ from run to run


@dataclass(frozen=True)
class RecordedRun:
    """A run in MLflow's database.

    Attributes:
        points: (step, value) of each metric in the order of their arrival; no value where it is measured.
        models: Number of models among the run's outputs.
        files: Its files in the store, below the folder of its artifacts.
    """

    id: str
    name: str
    status: str
    parameters: dict[str, str]
    tags: dict[str, str]
    points: dict[str, list[tuple[int, float | None]]]
    models: int
    files: frozenset[str]


def recorded_runs(home: Path) -> list[RecordedRun]:
    """Return the runs that the home's store holds, the oldest first.

    Raises:
        LossError: If the database is damaged.
    """
    database = home / "mlruns/mlflow.db"
    if not database.is_file():
        return []
    with closing(_opened(home)) as connection:
        (state,) = connection.execute("PRAGMA integrity_check").fetchone()
        if state != "ok":
            raise LossError(f"{database} is damaged: {state}")
        rows = connection.execute("SELECT run_uuid, name, status FROM runs ORDER BY start_time, rowid").fetchall()
        return [_recorded(connection, home, *row) for row in rows]


def _opened(home: Path) -> sqlite3.Connection:
    """Open the home's database as MLflow would: what a killed command left unfinished is rolled back."""
    return sqlite3.connect(f"file:{home}/mlruns/mlflow.db?mode=rw", uri=True, timeout=60)


def _recorded(connection: sqlite3.Connection, home: Path, run: str, name: str, status: str) -> RecordedRun:
    def pairs(table: str) -> dict[str, str]:
        return dict(connection.execute(f"SELECT key, value FROM {table} WHERE run_uuid = ?", (run,)).fetchall())

    points: dict[str, list[tuple[int, float | None]]] = {}
    metrics = "SELECT key, step, value FROM metrics WHERE run_uuid = ? ORDER BY rowid"
    for key, step, value in connection.execute(metrics, (run,)):
        points.setdefault(key, []).append((step, None if key in MEASURED else value))
    outputs = "SELECT count(*) FROM inputs WHERE source_id = ? AND destination_type = 'MODEL_OUTPUT'"
    (models,) = connection.execute(outputs, (run,)).fetchone()
    artifacts = home / "mlruns/artifacts" / run / "artifacts"
    files = frozenset(path.relative_to(artifacts).as_posix() for path in artifacts.rglob("*") if path.is_file())
    return RecordedRun(run, name, status, pairs("params"), pairs("tags"), points, models, files)


def rows(home: Path, statement: str) -> list[tuple[str | int, ...]]:
    """Return the rows of a statement on the home's database."""
    with closing(_opened(home)) as connection:
        return connection.execute(statement).fetchall()


def files(folder: Path) -> set[str]:
    """Return the names of all files below a folder, but for locks."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if path.suffix != ".lock" and path.name != ".lock"}


def check_whole(folder: Path) -> None:
    """Check that no file below a folder is half written, where its kind shows it.

    Raises:
        LossError: If one is.
    """
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and path.suffix in READERS:
            try:
                READERS[path.suffix](path)
            except Exception as error:  # each format has its own
                raise LossError(f"{path} is half written: {error}") from error


def _read_checkpoint(path: Path) -> None:
    reason = damage(path)
    if reason:
        raise ValueError(reason)


def _read_settings(path: Path) -> None:
    if not isinstance(yaml.safe_load(path.read_bytes()), dict):
        raise ValueError("no mapping")


def _read_table(path: Path) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        widths = {len(row) for row in csv.reader(file)}
    if len(widths) != 1 or not path.read_bytes().endswith(b"\n"):
        raise ValueError(f"rows of {sorted(widths)} cells")


def _read_arrays(path: Path) -> None:
    with np.load(path) as arrays:
        for name in arrays:
            arrays[name]


def _read_picture(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


def _read_page(path: Path) -> None:
    if "</html>" not in path.read_text("utf-8"):
        raise ValueError("no end")


READERS: dict[str, Callable[[Path], object]] = {
    ".ckpt": _read_checkpoint,
    ".json": lambda path: json.loads(path.read_bytes()),
    ".yaml": _read_settings,
    ".csv": _read_table,
    ".npz": _read_arrays,
    ".png": _read_picture,
    ".html": _read_page,
}
