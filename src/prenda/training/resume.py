"""Resuming an interrupted run."""

from __future__ import annotations

from pathlib import Path

from prenda.config import recorded
from prenda.errors import UserError
from prenda.tracking.lookup import connect_existing, find
from prenda.tracking.runs import is_finished
from prenda.tracking.store import local_store
from prenda.training.finish import TrainResult
from prenda.training.train import train


def resume(run: str) -> TrainResult:
    """Resume a run from its last checkpoint, in its own folder and in the same MLflow run.

    Args:
        run: Folder of the run, or its id or name in this project's store.

    Raises:
        UserError: If there is no such run, its folder or configuration cannot be read, or it has finished.
    """
    folder = _folder(run)
    path = folder / "config.yaml"
    if not path.is_file():
        raise UserError(
            f"{run!r} has no run's config.yaml in {folder}: give the folder of a run (outputs/runs/DATE/TIME), its id "
            "or its name, on the machine that it ran on."
        )
    if is_finished(folder):
        raise UserError(f"{run!r} has finished: there is nothing left to do. `prenda evaluate` scores it again.")
    return train(recorded.load(path), folder)


def _folder(run: str) -> Path:
    if Path(run).is_dir():
        return Path(run).resolve()
    return Path(find(connect_existing(local_store()), run).data.tags.get("folder", run))
