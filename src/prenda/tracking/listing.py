"""Lists of recorded runs, selected by an MLflow filter and sorted by a score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from prenda.errors import TrackingError, UserError
from prenda.scoring.metrics import METRIC_BY_NAME
from prenda.tracking.disk import bytes_of, size_of
from prenda.tracking.journal import Journal
from prenda.tracking.lookup import connect_existing, is_there
from prenda.tracking.records import COMPARISONS, TEST, VAL, kind_of, search, started, status_of
from prenda.tracking.sync import undelivered

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_Measured: TypeAlias = "tuple[ListedRun, Mapping[str, float]]"  # with its last metrics
SHORTHAND = {"val": VAL, "test": TEST, "seconds": "train/seconds"}
TEXTS = ("name", "backbone", "data", "status")
SECONDS = SHORTHAND["seconds"]


@dataclass(frozen=True)
class ListedRun:
    """A recorded run, as `prenda runs` shows it.

    Attributes:
        id: Its id in MLflow; empty for a run that is recorded in its folder alone.
        status: MLflow's status, or PRUNED if a sweep gave the run up.
        kind: `run` or `sweep`.
        val: Validation accuracy of the selected epoch; None if it was not scored.
        test: Test accuracy.
        seconds: Seconds of training.
        size: Bytes on this machine's disk.
    """

    id: str
    name: str
    status: str
    kind: str
    backbone: str
    data: str
    val: float | None
    test: float | None
    seconds: float | None
    start: datetime
    size: int
    folder: Path | None = None  # where `id` is empty


@dataclass(frozen=True)
class Listing:
    """Runs in the order of the list, and how many more there are."""

    runs: tuple[ListedRun, ...]
    more: int


def list_runs(
    uri: str,
    *,
    experiment: str | None = None,
    where: str | None = None,
    everything: bool = False,
    sort: str = "start",
    reverse: bool = False,
    limit: int | None = None,
) -> Listing:
    """Return the recorded runs.

    Args:
        uri: The store.
        experiment: Only the runs of this experiment.
        where: Only the runs that match this MLflow filter.
        everything: Add runs that did not finish, and the records of sweeps.
        sort: `start` (the newest first), `name`, `backbone`, `data`, `status`, `val`, `test`, `seconds`, `size` (the
            largest first), or any metric. Scores are sorted by their own direction, the best first.
        reverse: Reverse that order; runs without the score stay last.
        limit: The most runs; None for all.

    Raises:
        TrackingError: If there is no store or experiment, or the filter cannot be read.
        UserError: If `sort` is no column and no metric of these runs, or `limit` is less than 1.
    """
    if limit is not None and limit < 1:
        raise UserError(f"--limit is {limit}: give at least 1.")
    own = [] if where is not None else _of_folders(uri, experiment, everything)
    records = [] if own and not is_there(uri) else selected(connect_existing(uri), experiment, where, everything)
    runs = [*((_listed(record), record.data.metrics) for record in records), *own]
    ordered = _sorted(sorted(runs, key=lambda run: run[0].start), sort, reverse)
    return Listing(tuple(run for run, _ in ordered[:limit]), len(ordered) - len(ordered[:limit]))


def _of_folders(uri: str, experiment: str | None, everything: bool) -> list[_Measured]:
    """Return the runs that are recorded in their folders alone: offline, or because the server is absent."""
    found = []
    for journal in undelivered():
        destination = journal.destination()
        listed, metrics = _of_journal(journal)
        finished = listed.status == "FINISHED" and listed.kind == "run"
        here = destination.uri in (None, uri) and experiment in (None, destination.experiment)
        if here and (finished or (everything and listed.kind != "comparison")):
            found.append((listed, metrics))
    return found


def _of_journal(journal: Journal) -> _Measured:
    records = journal.records()
    metrics: dict[str, float] = {}
    tags: dict[str, str] = {}
    for record in records:
        metrics |= record.get("metrics", {})
        tags |= record.get("tags", {})
    last = records[-1]
    listed = ListedRun(
        id="",
        name=str(records[0]["name"]),
        status=str(last["status"]) if last["kind"] == "end" else "RUNNING",
        kind=tags.get("prenda.kind", "run"),
        backbone=tags.get("backbone", "–"),
        data=tags.get("data", "–"),
        val=metrics.get(VAL),
        test=metrics.get(TEST),
        seconds=metrics.get(SECONDS),
        start=datetime.fromtimestamp(records[0]["time"] / 1000),
        size=size_of(journal.folder),
        folder=journal.folder,
    )
    return listed, metrics


def selected(client: MlflowClient, experiment: str | None, where: str | None, everything: bool) -> list[Run]:
    """Return the records of trainings that match an MLflow filter, in one experiment or in all, the oldest first.

    Raises:
        TrackingError: If there is no such experiment, or the filter cannot be read.
    """
    from mlflow.exceptions import MlflowException

    known = _experiments(client)
    if experiment is not None and experiment not in known:
        raise TrackingError(f"--experiment is {experiment!r}: choose one of {', '.join(known)}.")
    ids = list(known.values()) if experiment is None else [known[experiment]]
    conditions = [*([where] if where else []), *([] if everything else ["attributes.status = 'FINISHED'"])]
    try:
        found = list(search(client, ids, " and ".join(conditions)))
    except MlflowException as error:
        raise TrackingError(
            f"--where is {where!r}, which MLflow cannot read ({str(error).splitlines()[0]}): write it like "
            '"params.backbone = \'cnn\'" or "metrics.`test/accuracy` > 0.9", and join parts with `and`.'
        ) from error
    return [record for record in found if everything or kind_of(record) != "sweep"]


def matching(client: MlflowClient, experiment: str | None, where: str | None) -> list[Run]:
    """Return the finished trainings that match an MLflow filter, in one experiment or in all, the oldest first.

    Raises:
        TrackingError: If there is no such experiment, the filter cannot be read, or nothing matches.
    """
    runs = selected(client, experiment, where, everything=False)
    if not runs:
        place = "any experiment" if experiment is None else f"experiment {experiment!r}"
        raise TrackingError(
            f"--where is {where!r}, which no finished run of {place} matches: `prenda ui` shows what runs hold."
            if where or experiment is None
            else f"--experiment is {experiment!r}, which holds no finished run: choose one of "
            f"{', '.join(_experiments(client))}."
        )
    return runs


def _experiments(client: MlflowClient) -> dict[str, str]:
    return {found.name: found.experiment_id for found in client.search_experiments() if found.name != COMPARISONS}


def _listed(record: Run) -> ListedRun:
    metrics, tags = record.data.metrics, record.data.tags
    return ListedRun(
        id=record.info.run_id,
        name=str(record.info.run_name),
        status=status_of(record),
        kind=kind_of(record),
        backbone=tags.get("backbone") or record.data.params.get("backbone", "–"),
        data=tags.get("data") or record.data.params.get("data", "–"),
        val=metrics.get(VAL),
        test=metrics.get(TEST),
        seconds=metrics.get(SECONDS),
        start=started(record),
        size=bytes_of(record),
    )


def _sorted(runs: Sequence[_Measured], sort: str, reverse: bool) -> list[_Measured]:
    """Sort runs that come with the oldest first."""
    if sort == "start":
        return list(runs) if reverse else list(runs)[::-1]
    if sort == "size":
        return sorted(runs, key=lambda run: run[0].size, reverse=not reverse)
    if sort in TEXTS:
        return sorted(runs, key=lambda run: str(getattr(run[0], sort)), reverse=reverse)
    metric = SHORTHAND.get(sort, sort)
    known = {name for _, metrics in runs for name in metrics}
    if metric not in known and runs:
        columns = ", ".join(["start", *TEXTS, *SHORTHAND, "size"])
        raise UserError(
            f"--sort is {sort!r}, which no listed run has: choose {columns}, or a metric such as test/f1 or test/loss."
        )
    having = [run for run in runs if not math.isnan(run[1].get(metric, math.nan))]
    without = [run for run in runs if math.isnan(run[1].get(metric, math.nan))]
    ordered = sorted(having, key=lambda run: run[1][metric], reverse=_larger_first(metric) != reverse)
    return ordered + without


def _larger_first(metric: str) -> bool:
    """Whether the largest value is the best; of times, the smallest is."""
    known = next((METRIC_BY_NAME[part] for part in metric.split("/") if part in METRIC_BY_NAME), None)
    return known.larger_is_better if known is not None else not metric.endswith("seconds")
