"""Marks in a run's own folder: the MLflow run that it belongs to, how it ended, and what was freed of it."""

from __future__ import annotations

from pathlib import Path

import yaml

RUN_ID, STATUS = ".run_id", ".status"  # the MLflow run that the folder belongs to, and how it ended
FREED = ".freed"  # when `prenda runs --prune` freed its checkpoints
CONFIG = "config.yaml"  # every run's folder has one


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
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):  # who needs the configuration will say so
        return folder.name
    return str(given or folder.name)


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None
