"""What comparisons take from recorded runs, and the record of their own that they leave."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prenda.errors import UserError
from prenda.tracking.journal import Destination
from prenda.tracking.listing import matching
from prenda.tracking.lookup import FoundRun, connect_existing, file_of, of_record, resolve
from prenda.tracking.records import COMPARISONS, content_hash
from prenda.tracking.runs import Run
from prenda.tracking.store import local_store

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
    found: dict[str, FoundRun] = {}  # by id, or by folder
    for name in names:
        run = resolve(uri, name)
        if _key(run) in found:
            raise UserError(f"{name!r} is {_key(run)}, which was given already: name each run once.")
        found[_key(run)] = run
    if experiment is not None or where is not None:
        for record in matching(connect_existing(uri), experiment, where):
            found.setdefault(record.info.run_id, of_record(record.info.run_id, record))
    if not 2 <= len(found) <= MOST_RUNS:
        these = ", ".join(run.name if run.record is not None else _key(run) for run in found.values())
        raise UserError(
            f"There are {len(found)} runs to compare{f' ({these})' if len(found) == 1 else ''}: give 2 to {MOST_RUNS}, "
            "by id, name, folder, --experiment or --where; `prenda runs` lists them."
        )
    return [_fetched(uri, run, scratch) for run in found.values()]


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
    run = Run(folder, Destination(uri, COMPARISONS, str(artifacts) if uri == local_store() else None))
    tags = {"prenda.kind": "comparison", "prenda.compared": ",".join(compared), "mlflow.note.content": description}
    run.start(name, tags | {"folder": str(folder)}, {})
    error = run.deliver()
    if error is not None:
        run.discard()
        raise error
    run.log_metrics(metrics, step=0)
    run.end("FINISHED")
    undelivered = run.close()
    if undelivered is not None:
        print(f"prenda: {undelivered}", file=sys.stderr)
    assert run.id is not None
    return run.id


def _key(run: FoundRun) -> str:
    """Return what tells runs apart, however they were named."""
    return run.id or str(run.folder or run.checkpoint)


def _fetched(uri: str, run: FoundRun, scratch: Path) -> ComparableRun:
    folder = scratch / _key(run).replace("/", "_")
    folder.mkdir()
    config, predictions = (file_of(uri, run, artifact, folder) for artifact in (CONFIG, PREDICTIONS))
    if run.record is None:
        return ComparableRun(str(run.folder), config, predictions)
    return ComparableRun(run.record.info.run_id, config, predictions, run.name, content_hash(run.record))
