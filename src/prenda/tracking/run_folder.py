"""Marks in a run's own folder: its MLflow run, how it ended, what was freed of it, and the lock of who writes there."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from prenda.errors import UserError
from prenda.system.process_lock import process_lock

RUN_ID, STATUS = ".run_id", ".status"  # the MLflow run that the folder belongs to, and how it ended
FREED = ".freed"  # when `prenda runs --prune` freed its checkpoints
CONFIG = "config.yaml"  # every run's folder has one
LOCK, WRITER = ".lock", ".writer"  # the lock of the process that writes there, and which process that is


@contextmanager
def writing(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a run's folder, which lets one process at a time train, score and record the run.

    The system releases the lock of a process that dies. The same thread may enter again.

    Args:
        folder: Folder of the run; it is created.
        wait: Wait for a process that holds the lock, instead of raising an error.

    Raises:
        UserError: If another process holds the lock; the text names its host and number.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)

    def busy(writer: str) -> None:
        if not wait:
            raise UserError(
                f"{folder} is in use: {writer} trains or scores this run. Wait until it has ended, or stop it; then "
                f"`prenda resume {shlex.quote(str(folder))}` resumes the run."
            )
        print(f"Waiting for {writer}, which writes to {folder}.", flush=True)

    with process_lock(folder / LOCK, folder / WRITER, busy):
        yield


def status(folder: Path) -> str | None:
    """FINISHED, FAILED, KILLED or PRUNED, as the folder's run was closed; None where it was not."""
    return _text(folder / STATUS)


def is_finished(folder: Path) -> bool:
    """Whether the folder's run came to its end: trained, scored, reported and recorded."""
    return status(folder) == "FINISHED"


def run_id(folder: Path) -> str | None:
    """Return the id of the MLflow run that the folder belongs to; None for a run that was recorded offline."""
    return _text(folder / RUN_ID)


def freed(folder: Path) -> str | None:
    """Return the day on which the run's checkpoints were freed; None where they were not."""
    return _text(folder / FREED)


def name(folder: Path) -> str:
    """Return the name that the run's configuration gives it; that of the folder if it gives none."""
    try:
        given = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))["tracking"]["run_name"]
    except (
        OSError,
        ValueError,
        yaml.YAMLError,
        KeyError,
        TypeError,
        RecursionError,
    ):  # who needs the configuration will say so
        return folder.name
    return str(given or folder.name)


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None
