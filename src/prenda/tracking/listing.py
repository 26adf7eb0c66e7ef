"""Lists of recorded runs, selected by an MLflow filter and sorted by a score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from prenda.errors import TrackingError, UserError
from prenda.scoring.metrics import METRIC_BY_NAME
from prenda.tracking.disk import bytes_of
from prenda.tracking.lookup import connect_existing
from prenda.tracking.records import COMPARISONS, TEST, VAL, kind_of, search, started, status_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SHORTHAND = {"val": VAL, "test": TEST, "seconds": "train/seconds"}
TEXTS = ("name", "backbone", "data", "status")
SECONDS = SHORTHAND["seconds"]


@dataclass(frozen=True)
class ListedRun:
    """A recorded run, as `prenda runs` shows it.

    Attributes:
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
    client = connect_existing(uri)
    records = selected(client, experiment, where, everything)
    ordered = _sorted(records, sort, reverse)
    return Listing(tuple(map(_listed, ordered[:limit])), len(ordered) - len(ordered[:limit]))


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


def _sorted(records: Sequence[Run], sort: str, reverse: bool) -> list[Run]:
    if sort == "start":
        return list(records) if reverse else list(records)[::-1]
    if sort == "size":
        return sorted(records, key=bytes_of, reverse=not reverse)
    if sort in TEXTS:
        return sorted(records, key=lambda record: str(getattr(_listed(record), sort)), reverse=reverse)
    metric = SHORTHAND.get(sort, sort)
    known = {name for record in records for name in record.data.metrics}
    if metric not in known and records:
        columns = ", ".join(["start", *TEXTS, *SHORTHAND, "size"])
        raise UserError(
            f"--sort is {sort!r}, which no listed run has: choose {columns}, or a metric such as test/f1 or test/loss."
        )
    having = [record for record in records if not math.isnan(record.data.metrics.get(metric, math.nan))]
    without = [record for record in records if math.isnan(record.data.metrics.get(metric, math.nan))]
    ordered = sorted(having, key=lambda record: record.data.metrics[metric], reverse=_larger_first(metric) != reverse)
    return ordered + without


def _larger_first(metric: str) -> bool:
    """Whether the largest value is the best; of times, the smallest is."""
    known = next((METRIC_BY_NAME[part] for part in metric.split("/") if part in METRIC_BY_NAME), None)
    return known.larger_is_better if known is not None else not metric.endswith("seconds")
