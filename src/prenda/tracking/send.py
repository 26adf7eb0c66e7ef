"""Requests to MLflow that deliver one record of a run's journal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prenda.tracking.journal import Record
from prenda.tracking.registry import log_bundle

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

LONGEST_PARAMETER = 6000  # characters, MLflow's own limit
MOST_PARAMETERS, MOST_METRICS = 100, 1000  # of one request, MLflow's own limits


def send(
    client: MlflowClient, run_id: str, record: Record, records: Sequence[Record], folder: Path, in_doubt: bool
) -> None:
    """Deliver one record of a run's journal.

    Args:
        client: Client of the store.
        run_id: Id of the run in the store.
        record: The record.
        records: All records of the journal.
        folder: Folder of the run.
        in_doubt: Whether an earlier attempt may have reached the store, which is then asked first.
    """
    match record["kind"]:
        case "run":  # the folder's run was resumed
            client.update_run(run_id, status="RUNNING")
            _tags(client, run_id, record["tags"])
        case "parameters":
            _parameters(client, run_id, record["parameters"])
        case "metrics":
            _metrics(client, run_id, record, in_doubt)
        case "tags":
            _tags(client, run_id, record["tags"])
        case "data":
            _data(client, run_id, record)
        case "picture":
            _picture(client, run_id, record, folder, in_doubt)
        case "bundle":
            _bundle(client, run_id, folder, folder / record["path"], in_doubt)
        case "files":
            bundles = [folder / earlier["path"] for earlier in records if earlier["kind"] == "bundle"]
            _files(client, run_id, folder, bundles)
        case "end":
            status = "KILLED" if record["status"] == "PRUNED" else record["status"]
            client.set_terminated(run_id, status, end_time=record["time"])


def _parameters(client: MlflowClient, run_id: str, parameters: dict[str, str]) -> None:
    from mlflow.entities import Param

    params = [Param(key, value[:LONGEST_PARAMETER]) for key, value in parameters.items()]
    for start in range(0, len(params), MOST_PARAMETERS):
        client.log_batch(run_id, params=params[start : start + MOST_PARAMETERS])


def _metrics(client: MlflowClient, run_id: str, record: Record, in_doubt: bool) -> None:
    from mlflow.entities import Metric

    metrics = [Metric(name, value, record["time"], record["step"]) for name, value in record["metrics"].items()]
    if in_doubt:
        metrics = [metric for metric in metrics if not _holds(client, run_id, metric)]
    for start in range(0, len(metrics), MOST_METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + MOST_METRICS])


def _holds(client: MlflowClient, run_id: str, metric: Metric) -> bool:
    """Return whether the store holds a point of a metric."""
    history = client.get_metric_history(run_id, metric.key)
    return (metric.timestamp, metric.step) in {(point.timestamp, point.step) for point in history}


def _tags(client: MlflowClient, run_id: str, tags: dict[str, str]) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def _data(client: MlflowClient, run_id: str, record: Record) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=record["name"],
        digest=record["content_hash"][:32],  # MLflow keeps at most 36 characters
        source_type="local",
        source=json.dumps({"uri": record["folder"]}),
        profile=json.dumps({"sha256": record["content_hash"], **record["sizes"]}),
    )
    tags = {"mlflow.data.context": "train, val, test", **record["split"]}
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag(key, value) for key, value in tags.items()])])


def _picture(client: MlflowClient, run_id: str, record: Record, folder: Path, in_doubt: bool) -> None:
    """Add a picture to a series that MLflow's UI steps through."""
    from PIL import Image

    path = folder / record["path"]
    if not (path.is_file() and _is_inside(path, folder)):
        return
    if in_doubt:
        mark = f"+step+{record['step']}+timestamp+{record['time']}+"
        if any(mark in file.path and file.path.endswith(".webp") for file in client.list_artifacts(run_id, "images")):
            return
    with Image.open(path) as picture:
        client.log_image(run_id, picture, key=record["name"], step=record["step"], timestamp=record["time"])


def _bundle(client: MlflowClient, run_id: str, folder: Path, bundle: Path, in_doubt: bool) -> None:
    """Record a bundle as a model of the run, unless it was removed or an earlier attempt arrived."""
    outputs = client.get_run(run_id).outputs if in_doubt else None
    if bundle.is_dir() and _is_inside(bundle, folder) and not (outputs and outputs.model_outputs):
        log_bundle(client, run_id, bundle)


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether a path leads into the folder, through its links: the journal and the links of a run may be of others."""
    return path.resolve().is_relative_to(folder.resolve())


def _files(client: MlflowClient, run_id: str, folder: Path, bundles: Sequence[Path]) -> None:
    """Copy the folder's files, except the bundles, which are models of the run.

    Hidden and unfinished files and links to other places stay where they are.
    """
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        elsewhere = any(path.is_relative_to(bundle) for bundle in bundles)
        if (
            path.is_file()
            and _is_inside(path, folder)
            and not (inside.parts[0].startswith(".") or path.suffix == ".part" or elsewhere)
        ):
            into = inside.parent.as_posix()
            client.log_artifact(run_id, str(path), None if into == "." else into)
