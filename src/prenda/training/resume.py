"""Resuming an interrupted run."""

from __future__ import annotations

import shlex
from pathlib import Path

from prenda.config import recorded
from prenda.errors import UserError
from prenda.tracking import sync
from prenda.tracking.lookup import OUTSIDE, FoundRun, resolve
from prenda.tracking.run_folder import CONFIG, is_finished
from prenda.tracking.store import store_address
from prenda.training.finish import TrainResult
from prenda.training.train import train


def resume(run: str, uri: str | None = None) -> TrainResult:
    """Resume a run from its last checkpoint, in its own folder and in the same MLflow run.

    Args:
        run: Id, name, folder or checkpoint of the run. Of a name that several runs bear, the unfinished one counts.
        uri: Address of the store or server that knows it; None takes MLFLOW_TRACKING_URI, else this project's own.

    Raises:
        UserError: If there is no such run, its folder or configuration cannot be read, or it has finished.
    """
    found = resolve(store_address(uri), run, want="unfinished")
    folder = _folder(found)
    if is_finished(folder):
        waiting = sync.waiting(folder)
        if waiting:
            raise UserError(
                f"{run!r} has finished, but its store lacks {waiting} of its records: `prenda sync "
                f"{shlex.quote(str(folder))}` delivers them."
            )
        raise UserError(
            f"{run!r} has finished: there is nothing left to do. `prenda evaluate {found.paste}` scores it again."
        )
    return train(recorded.load(folder / CONFIG), folder)


def _folder(found: FoundRun) -> Path:
    if found.folder is not None:
        return found.folder
    if found.record is None:
        raise UserError(f"{found.named!r} is {OUTSIDE}")
    place = found.record.data.tags.get("folder", "no folder")
    raise UserError(
        f"The folder of {found.named!r} ({place}) is not on this machine: resume the run on the machine that it ran "
        "on, or train it again."
    )
