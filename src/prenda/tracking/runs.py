"""What a run leaves behind: its own folder, and MLflow where `tracking` says so.

`tracking=offline` runs without MLflow.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prenda.config.identity import RunDescription
from prenda.config.paths import REPOSITORY
from prenda.config.schema import TrackingConfig, TrackingKind
from prenda.errors import RUN_FOLDER, RUN_TO_RESUME, UserError
from prenda.system.atomic_write import write_atomically
from prenda.system.redaction import without_passwords
from prenda.system.signals import stop_deferred
from prenda.tracking import disk
from prenda.tracking.records import short_id
from prenda.tracking.registry import log_bundle
from prenda.tracking.run_folder import RUN_ID, STATUS, writing
from prenda.tracking.store import connect, experiment_id, local_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

VERSIONED = ("prenda", "torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core", "mlflow", "numpy")
PRUNED = "pruned.txt"  # in the folder of a run that a sweep gave up: why
LONGEST_PARAMETER = 6000  # characters, MLflow's own limit


# The rule wants …Error. Nothing has gone wrong here: it carries a decision up the stack, as Optuna's TrialPruned does.
class Pruned(Exception):  # noqa: N818
    """A sweep gave the run up. Not a failure: MLflow, which has no word for it, shows KILLED and the tag `pruned`."""


@dataclass(frozen=True)
class DataUsed:
    """The data set of a run, for its record: name, SHA-256 of its content, how it was cut, images in each part."""

    name: str
    content_hash: str
    folder: str
    split: Mapping[str, Any]
    sizes: Mapping[str, int]


class Run:
    """A run's record in its own folder. `MlflowRun` records it in MLflow too.

    Attributes:
        id: MLflow's run id; None offline.
        folder: Where everything that the run makes is kept.
    """

    id: str | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Add figures at an epoch; offline they stand in `scores.json` alone."""

    def log_data(self, data: DataUsed) -> None:
        """Record which images the run used."""

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Add labels to filter runs by."""

    def log_description(self, markdown: str) -> None:
        """Says in Markdown what the run gave."""
        self.log_tags({"mlflow.note.content": markdown})

    def log_bundle(self, folder: Path) -> None:
        """Record the folder's bundle as a model of the run."""

    def log_files(self) -> None:
        """Copy what the run's folder holds into the record."""

    def end(self, status: str) -> None:
        """Close the record as FINISHED, FAILED, KILLED or PRUNED."""

    def disk_text(self) -> str:
        """Return what the run takes on disk, for people."""
        return disk.share_text(self.folder, None)


class MlflowRun(Run):
    """A run in an MLflow store or server; a new one, or the one that the folder belongs to already."""

    def __init__(self, folder: Path, client: MlflowClient, experiment_id: str, name: str, tags: dict[str, str]) -> None:
        super().__init__(folder)
        self._client = client
        known = _known_run(client, folder)
        self.continued = known is not None
        if known is not None:
            self.id = self._id = known
            client.update_run(self._id, status="RUNNING")
            self.log_tags(tags)
        else:
            self.id = self._id = client.create_run(experiment_id, run_name=name, tags=tags).info.run_id
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / RUN_ID, self._id)
        self._models: set[Path] = set()
        self._monitor: Any = None

    def start_system_metrics(self) -> None:
        """Start a thread that records the machine's load, memory and network."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self._monitor = SystemMetricsMonitor(self._id, tracking_uri=self._client.tracking_uri)
        self._monitor.start()

    @stop_deferred()
    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Record the flattened configuration, in batches of MLflow's largest size."""
        from mlflow.entities import Param

        params = [Param(key, str(value)[:LONGEST_PARAMETER]) for key, value in parameters.items()]
        for start in range(0, len(params), 100):
            self._client.log_batch(self._id, params=params[start : start + 100])

    @stop_deferred()
    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self._id, metrics=[Metric(name, value, now, step) for name, value in metrics.items()])

    @stop_deferred()
    def log_data(self, data: DataUsed) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=data.name,
            digest=data.content_hash[:32],  # MLflow keeps at most 36 characters
            source_type="local",
            source=json.dumps({"uri": data.folder}),
            profile=json.dumps({"sha256": data.content_hash, **data.sizes}),
        )
        tags = {"mlflow.data.context": "train, val, test", **{key: str(value) for key, value in data.split.items()}}
        self._client.log_inputs(
            self._id, [DatasetInput(dataset, [InputTag(key, value) for key, value in tags.items()])]
        )

    @stop_deferred()
    def log_tags(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self._client.log_batch(self._id, tags=[RunTag(key, value) for key, value in tags.items()])

    @stop_deferred()
    def log_bundle(self, folder: Path) -> None:
        log_bundle(self._client, self._id, folder)
        self._models.add(folder)

    def log_files(self) -> None:
        for path in sorted(self.folder.rglob("*")):
            inside = path.relative_to(self.folder)
            elsewhere = any(path.is_relative_to(folder) for folder in self._models)  # kept as a model, once
            if path.is_file() and not (inside.parts[0].startswith(".") or path.suffix == ".part" or elsewhere):
                into = inside.parent.as_posix()
                with stop_deferred():
                    self._client.log_artifact(self._id, str(path), None if into == "." else into)

    def end(self, status: str) -> None:
        if self._monitor is not None:
            self._monitor.finish()
        self._client.set_terminated(self._id, "KILLED" if status == "PRUNED" else status)

    def disk_text(self) -> str:
        return disk.share_text(self.folder, self._client.get_run(self._id))


def _known_run(client: MlflowClient, folder: Path) -> str | None:
    """Return the run that the folder belongs to; None if it has none, or the store does not hold it any more."""
    from mlflow.exceptions import MlflowException

    path = folder / RUN_ID
    if not path.is_file():
        return None
    run_id = path.read_text(encoding="utf-8")
    try:
        if client.get_run(run_id).info.lifecycle_stage == "active":
            return run_id
        reason = "was deleted in"
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        reason = "is not in"
    store = without_passwords(client.tracking_uri)
    print(f"prenda: MLflow run {run_id} {reason} {store}: a new run records what follows.", file=sys.stderr)
    return None


@contextmanager
def recorded(tracking: TrackingConfig, about: RunDescription, folder: Path) -> Iterator[Run]:
    """Open the record of a run, and close it with its status whatever happens in between.

    FINISHED, FAILED on an error (its traceback is kept as `error.txt`), KILLED on Ctrl-C or SIGTERM, PRUNED. A folder
    that belongs to a run in MLflow resumes that run.

    Raises:
        TrackingError: If the store or server cannot be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in ("error.txt", STATUS):
        (folder / old).unlink(missing_ok=True)
    (folder / "environment.txt").write_text(_environment(), encoding="utf-8")
    run = _open(tracking, about, folder)
    try:
        yield run
    except Pruned as pruned:
        run.log_tags({"pruned": str(pruned)})
        _close(run, "PRUNED")
        raise
    except BaseException as error:
        killed = not isinstance(error, Exception)
        with suppress(OSError):  # a full disk
            (folder / "error.txt").write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        if not killed and not isinstance(error, UserError):
            error.add_note(f"{RUN_FOLDER}{folder}")
        if killed:
            error.add_note(f"{RUN_TO_RESUME}{_resumable(tracking, run)}")
        status = "KILLED" if killed else "FAILED"
        try:
            try:
                _close(run, status)
            except Exception:  # a signal may have come in the midst of a transaction: the next one is whole
                _close(run, status)
        except Exception as second:  # no room, no server: the first error is the one to tell
            error.add_note(f"The MLflow record is incomplete: {second}")
        raise
    else:
        _close(run, "FINISHED")


def record_failure(tracking: TrackingConfig, about: RunDescription, folder: Path, error: Exception) -> None:
    """Record a run that failed before, or without, a record of its own: its process was lost, or never got so far."""
    with writing(folder), suppress(type(error)), recorded(tracking, about, folder):
        raise error


def _resumable(tracking: TrackingConfig, run: Run) -> str:
    """Return what `prenda resume` takes: the run's short id in this project's store, else its folder."""
    return short_id(run.id) if run.id is not None and tracking.uri == local_store() else str(run.folder)


def _open(tracking: TrackingConfig, about: RunDescription, folder: Path) -> Run:
    if tracking.kind is TrackingKind.offline:
        return Run(folder)
    assert tracking.uri is not None, "validation refuses kind=mlflow without an address"
    client = connect(tracking.uri)
    tags = {
        **about.tags,
        "folder": str(folder),
        "mlflow.source.name": "prenda train",  # the command is in the description: MLflow shows the last part of a path
        "mlflow.source.type": "LOCAL",
        **_git_tags(),
        **{f"version.{name}": version(name) for name in VERSIONED},
        **({"mlflow.parentRunId": tracking.parent} if tracking.parent else {}),
    }
    experiment = experiment_id(client, tracking.experiment, tracking.artifacts)
    run: MlflowRun | None = None
    try:
        with (
            stop_deferred()
        ):  # a run that its folder does not know would stay open for ever, one without parameters too
            run = MlflowRun(folder, client, experiment, about.name, tags)
            if not run.continued:
                run.log_parameters(about.parameters)
        if tracking.system_metrics:
            run.start_system_metrics()
    except BaseException as error:
        if run is not None:
            _close(run, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    return run


def _close(run: Run, status: str) -> None:
    """Copy the folder and end the record; a failure to copy does not leave it open."""
    try:
        run.log_files()
    except BaseException:
        run.end("FAILED" if status == "FINISHED" else status)
        raise
    run.end(status)
    write_atomically(run.folder / STATUS, status)


def _git_tags() -> dict[str, str]:
    """Commit and whether the tree differs from it; empty outside a checkout."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(REPOSITORY), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    if not (REPOSITORY / ".git").exists():
        return {}
    try:
        dirty = str(bool(git("status", "--porcelain"))).lower()
        return {"mlflow.source.git.commit": git("rev-parse", "HEAD"), "git.dirty": dirty}
    except (OSError, subprocess.CalledProcessError):
        return {}  # no git, or no commit yet


def _environment() -> str:
    """Every installed distribution with its version, a line each."""
    lines = {f"{dist.metadata['Name']}=={dist.version}" for dist in distributions()}
    return "\n".join(sorted(lines, key=str.lower)) + "\n"
