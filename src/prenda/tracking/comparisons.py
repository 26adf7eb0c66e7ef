"""What comparisons take from recorded runs, and the record of their own that they leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prenda.errors import UserError
from prenda.tracking.lookup import COMPARISONS, connect_existing, content_hash, fetch, find, matching
from prenda.tracking.runs import MlflowRun
from prenda.tracking.store import connect, experiment_id

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

CONFIG, PREDICTIONS = "config.yaml", "predictions/test.npz"
MOST_RUNS = 50  # which make 1,225 pairs


@dataclass(frozen=True)
class ComparableRun:
    """A run that can be compared.

    Attributes:
        place: Its id in MLflow, or its folder.
        config: The file of its configuration.
        predictions: The file of its test predictions.
        name: Of the recorded run; None for a folder, whose configuration tells it.
        content_hash: Of its data set, where that is recorded.
    """

    place: str
    config: Path
    predictions: Path
    name: str | None = None
    content_hash: str | None = None


def gather(
    uri: str, names: Sequence[str], experiment: str | None, where: str | None, scratch: Path
) -> list[ComparableRun]:
    """Find runs by id, name or folder, add the finished ones of an experiment and filter, and fetch their files.

    Without names to look up and without a filter, no store is needed.

    Raises:
        UserError: If one is given twice, or there are too few or too many.
        TrackingError: If there is no store, no such run, or a run kept no predictions.
    """
    filtered = experiment is not None or where is not None
    client = connect_existing(uri) if filtered or not all(Path(name).is_dir() for name in names) else None
    found: dict[str, Run | None] = {}  # by place; a folder needs no record
    for name in names:
        run = None if client is None or Path(name).is_dir() else find(client, name)
        place = str(Path(name).resolve()) if run is None else run.info.run_id
        if place in found:
            raise UserError(f"{name!r} is {place}, which was given already: name each run once.")
        found[place] = run
    if client is not None and filtered:
        for run in matching(client, experiment, where):
            found.setdefault(run.info.run_id, run)
    if not 2 <= len(found) <= MOST_RUNS:
        these = ", ".join(place if run is None else str(run.info.run_name) for place, run in found.items())
        raise UserError(
            f"There are {len(found)} runs to compare{f' ({these})' if len(found) == 1 else ''}: give 2 to {MOST_RUNS}, "
            "by id, name, folder, --experiment or --where."
        )
    return [_fetched(client, place, run, scratch) for place, run in found.items()]


def record(
    uri: str,
    artifacts: Path,
    folder: Path,
    name: str,
    compared: Sequence[str],
    description: str,
    metrics: Mapping[str, float],
) -> str:
    """Record a comparison as a run of its own, with the files of its folder; return the run's id.

    Raises:
        TrackingError: If the store cannot be used.
    """
    client = connect(uri)
    tags = {"prenda.kind": "comparison", "prenda.compared": ",".join(compared), "mlflow.note.content": description}
    run = MlflowRun(folder, client, experiment_id(client, COMPARISONS, str(artifacts)), name, tags)
    try:
        run.log_metrics(metrics, step=0)
        run.log_files()
    except BaseException as error:
        run.end("FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    run.end("FINISHED")
    assert run.id is not None
    return run.id


def _fetched(client: MlflowClient | None, place: str, run: Run | None, scratch: Path) -> ComparableRun:
    if client is None or run is None:
        return ComparableRun(place, Path(place) / CONFIG, Path(place) / PREDICTIONS)
    folder = scratch / place
    folder.mkdir()
    config, predictions = (fetch(client, run, artifact, folder) for artifact in (CONFIG, PREDICTIONS))
    return ComparableRun(place, config, predictions, run.info.run_name, content_hash(run))
