"""The run in MLflow that a sweep's trials are children of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prenda.config.schema import TrackingConfig, TrackingKind
from prenda.system.signals import stop_deferred
from prenda.tracking.runs import MlflowRun, Run
from prenda.tracking.store import connect, experiment_id


def open_sweep(tracking: TrackingConfig, folder: Path, name: str, command: str, parameters: Mapping[str, Any]) -> Run:
    """Return the sweep's record, new or that of its folder; the folder's files are copied when it ends.

    Raises:
        TrackingError: If the store or server cannot be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if tracking.kind is TrackingKind.offline:
        return Run(folder)
    assert tracking.uri is not None, "validation refuses kind=mlflow without an address"
    client = connect(tracking.uri)
    tags = {"prenda.kind": "sweep", "prenda.command": command, "mlflow.source.name": "prenda train -m"}
    experiment = experiment_id(client, tracking.experiment, tracking.artifacts)
    with stop_deferred():  # a run that its folder does not know would stay open for ever
        run = MlflowRun(folder, client, experiment, name, tags)
        if not run.continued:
            run.log_parameters(parameters)
    return run


def close_sweep(run: Run, status: str) -> None:
    """Copy the sweep's files and end its record."""
    try:
        run.log_files()
    finally:
        run.end(status)
