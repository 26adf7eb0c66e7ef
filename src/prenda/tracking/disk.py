"""Disk space of runs: the run's folder, its files in MLflow, and its logged models."""

from __future__ import annotations

import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prenda.tracking.records import local_folder, local_path

if TYPE_CHECKING:
    from mlflow.entities import Run

UNITS = ("kB", "MB", "GB", "TB")


def size_of(place: Path) -> int:
    """Return the bytes of all files below a folder; 0 if it is not there. Links are not followed."""
    total = 0
    for path in place.rglob("*"):
        with suppress(FileNotFoundError):  # a running run replaces its checkpoints
            about = path.lstat()
            total += about.st_size if stat.S_ISREG(about.st_mode) else 0
    return total


def text(size: int) -> str:
    """Format bytes in decimal units: `999 bytes`, `12.3 MB`."""
    if size < 1000:
        return f"{size} bytes"
    power = next((power for power in range(1, len(UNITS)) if size < 999.95 * 1000**power), len(UNITS))
    return f"{size / 1000**power:.1f} {UNITS[power - 1]}"


def artifacts_of(record: Run) -> Path | None:
    """Return the folder of a run's files in a store on this machine; None for a server's."""
    return local_path(record.info.artifact_uri or "mlflow-artifacts:")


def models_of(record: Run) -> list[Path]:
    """Return the folders of the models that a run logged, in a store on this machine.

    MLflow keeps them beside the runs of the experiment: `models/MODEL_ID` beside `RUN_ID/artifacts`.
    """
    artifacts = artifacts_of(record)
    outputs = record.outputs.model_outputs if record.outputs else []
    if artifacts is None:
        return []
    return [artifacts.parents[1] / "models" / output.model_id for output in outputs]


def bytes_of(record: Run) -> int:
    """Return the bytes that a recorded run holds on this machine's disk."""
    places = [local_folder(record), artifacts_of(record), *models_of(record)]
    return sum(size_of(place) for place in places if place is not None)


def share_text(folder: Path, record: Run | None) -> str:
    """Return what a run takes: in its folder and, where the store is on this machine, in MLflow."""
    own = size_of(folder)
    if record is None or artifacts_of(record) is None:
        return f"{text(own)} in its folder"
    return f"{text(own)} in its folder, {text(bytes_of(record) - own)} in MLflow"
