"""The run in MLflow that a sweep's trials are children of."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prenda.config.schema import TrackingConfig
from prenda.tracking.runs import Run, begin_delivery, destination_of
from prenda.tracking.sync import deliver_waiting


def open_sweep(tracking: TrackingConfig, folder: Path, name: str, command: str, parameters: Mapping[str, Any]) -> Run:
    """Return the sweep's record, new or that of its folder; the folder's files are copied when it ends.

    Raises:
        TrackingError: As `prenda.tracking.runs.recorded` does.
    """
    run = Run(folder, destination_of(tracking))
    tags = {"prenda.kind": "sweep", "prenda.command": command, "mlflow.source.name": "prenda train -m"}
    run.start(name, tags | {"folder": str(folder)}, parameters)
    begin_delivery(run, tracking)
    return run


def close_sweep(run: Run, status: str, trials: Path) -> None:
    """End the sweep's record, and deliver what its trials could not while their server was absent.

    Args:
        run: The sweep's record.
        status: How it ended.
        trials: Folder of the trials.
    """
    run.end(status)
    undelivered = run.close() or deliver_waiting(trials)
    if undelivered is not None:
        print(f"prenda: {undelivered}", file=sys.stderr)
