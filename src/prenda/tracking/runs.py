"""Record of a run: the journal in its own folder, delivered to MLflow where `tracking` says so.

`tracking=offline` runs without MLflow.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

from prenda.config.identity import RunDescription
from prenda.config.paths import REPOSITORY
from prenda.config.schema import TrackingConfig, TrackingKind
from prenda.errors import RUN_FOLDER, RUN_TO_RESUME, TrackingError, UserError
from prenda.system.atomic_write import write_atomically
from prenda.tracking import disk, run_folder
from prenda.tracking.delivery import Delivery
from prenda.tracking.journal import Destination, Journal
from prenda.tracking.records import short_id
from prenda.tracking.run_folder import STATUS, writing
from prenda.tracking.store import StoreRefusedError, is_server, store_address

VERSIONED = ("prenda", "torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core", "mlflow", "numpy")
ENVIRONMENT = "environment.txt"  # in the folder of a run: its packages
COMMIT, DIRTY = "mlflow.source.git.commit", "git.dirty"  # tags
PRUNED = "pruned.txt"  # in the folder of a run that a sweep gave up: why


class Pruned(Exception):  # noqa: N818 - no error: it ends a run early, as Optuna's TrialPruned does
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
    """A run's record: the journal in its folder and, where the run has a destination, its delivery to MLflow.

    Attributes:
        folder: Where everything that the run makes is kept.
    """

    def __init__(self, folder: Path, destination: Destination) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._destination = folder, destination
        self._journal = Journal(folder)
        self._is_new = self._journal.is_new
        self._delivery = None if destination.uri is None else Delivery(self._journal, destination)
        self._monitor: Any = None

    @property
    def id(self) -> str | None:
        """MLflow's run id; None offline, and until a server has answered."""
        return None if self._delivery is None else self._delivery.run_id

    def start(
        self, name: str, tags: Mapping[str, str], parameters: Mapping[str, Any], *, parent: str | None = None
    ) -> None:
        """Begin the record, or continue that of the folder, without waiting for a store.

        Args:
            name: Name of the run.
            tags: Labels to filter runs by.
            parameters: Flattened configuration.
            parent: Folder of the sweep's record, or the id of its run; None for a run of its own.
        """
        earlier = run_folder.run_id(self.folder) if self._is_new else None
        if earlier is not None and self._delivery is not None:  # a run of a version without journals
            self._delivery.adopt(earlier)
        self._add("run", name=name, tags=dict(tags), parent=parent, destination=asdict(self._destination))
        if self._is_new and earlier is None:
            self._add("parameters", parameters={key: str(value) for key, value in parameters.items()})

    def deliver(self) -> TrackingError | None:
        """Start the delivery; return why the store has no run after a short while, or None if it has one.

        Raises:
            TrackingError: If MLflow is not installed.
        """
        return None if self._delivery is None else self._delivery.start()

    def start_system_metrics(self) -> None:
        """Start a thread that records the machine's load, memory and network."""
        from prenda.tracking.system_metrics import Monitor

        self._monitor = Monitor(self.log_metrics, first_step=self._samples())
        self._monitor.start()

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Add figures at an epoch, without those that the journal holds: a resumed run repeats its end."""
        kept = self.figures(step)
        new = {name: float(value) for name, value in metrics.items() if kept.get(name) != value}
        if new:
            self._add("metrics", step=step, metrics=new)

    def figures(self, step: int) -> dict[str, float]:
        """Return the figures at an epoch that the journal holds."""
        records = [one for one in self._journal.records() if one["kind"] == "metrics" and one["step"] == step]
        return {name: value for one in records for name, value in one["metrics"].items()}

    def log_data(self, data: DataUsed) -> None:
        """Record which images the run used."""
        split = {key: str(value) for key, value in data.split.items()}
        self._add("data", **{**asdict(data), "split": split, "sizes": dict(data.sizes)})

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Add labels to filter runs by."""
        self._add("tags", tags=dict(tags))

    def log_description(self, markdown: str) -> None:
        """Says in Markdown what the run gave."""
        self.log_tags({"mlflow.note.content": markdown})

    def log_bundle(self, folder: Path) -> None:
        """Record the folder's bundle as a model of the run, once."""
        path = folder.relative_to(self.folder).as_posix()
        if not self._journal.holds("bundle", path=path):
            self._add("bundle", path=path)

    def log_files(self) -> None:
        """Copy what the run's folder holds into the record."""
        self._add("files")

    def end(self, status: str) -> None:
        """Record what the run's folder holds, and its end as FINISHED, FAILED, KILLED or PRUNED."""
        if self._monitor is not None:
            self._monitor.finish()
        self.log_files()
        self._add("end", status=status)

    def close(self) -> str | None:
        """End the delivery; return a sentence about what it could not deliver, or None."""
        missing = None if self._delivery is None else self._delivery.finish()
        return None if missing is None else f"{missing}: `prenda sync {shlex.quote(str(self.folder))}` delivers them."

    def discard(self) -> None:
        """End a record whose store refused it: a new journal is removed, an older one ends as it was."""
        if self._delivery is not None:
            self._delivery.stop()
        if self._is_new:
            self._journal.path.unlink()
        else:
            self._add("end", status="KILLED")

    def disk_text(self) -> str:
        """Return what the run takes on disk, for people."""
        return disk.share_text(self.folder, None if self._delivery is None else self._delivery.local_record())

    def _samples(self) -> int:
        """Return the number of samples of the machine's load so far."""
        records = (one for one in self._journal.records() if one["kind"] == "metrics")
        return sum(any(name.startswith("system/") for name in one["metrics"]) for one in records)

    def _add(self, kind: str, **content: Any) -> None:
        self._journal.append(kind, **content)
        if self._delivery is not None:
            self._delivery.wake()


@contextmanager
def recorded(tracking: TrackingConfig, about: RunDescription, folder: Path) -> Iterator[Run]:
    """Open the record of a run, and close it with its status whatever happens in between.

    FINISHED, FAILED on an error (its traceback is kept as `error.txt`), KILLED on Ctrl-C or SIGTERM, PRUNED. A folder
    that belongs to a run in MLflow resumes that run. No failure of the store or server ends the run: its records wait
    in the folder's journal.

    Raises:
        TrackingError: If a store on this machine cannot be used, a server refuses the user or the experiment, or it
            does not answer and `tracking.required` is true. A trial of a sweep is never refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in ("error.txt", STATUS):
        (folder / old).unlink(missing_ok=True)
    write_atomically(folder / ENVIRONMENT, environment())
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
            write_atomically(folder / "error.txt", traceback_of(error))
        if not killed and not isinstance(error, UserError):
            error.add_note(f"{RUN_FOLDER}{folder}")
        if killed:
            error.add_note(f"{RUN_TO_RESUME}{_resumable(tracking, run)}")
        try:
            _close(run, "KILLED" if killed else "FAILED")
        except OSError as second:  # no room: the first error is the one to tell
            error.add_note(f"The record is incomplete: {second}")
        raise
    else:
        _close(run, "FINISHED")


def record_failure(tracking: TrackingConfig, about: RunDescription, folder: Path, error: Exception) -> None:
    """Record a run that failed before, or without, a record of its own: its process was lost, or never got so far."""
    try:
        with writing(folder), recorded(tracking, about, folder):
            raise error
    except Exception as raised:
        if raised is not error:
            raise


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an error; its last line is the error itself, without the notes that say what to do."""
    formatted = traceback.TracebackException.from_exception(error)
    formatted.__notes__ = None
    return "".join(formatted.format())


def _resumable(tracking: TrackingConfig, run: Run) -> str:
    """Return what `prenda resume` takes: the run's short id in the store that commands read, else its folder."""
    return short_id(run.id) if run.id is not None and tracking.uri == store_address() else str(run.folder)


def _open(tracking: TrackingConfig, about: RunDescription, folder: Path) -> Run:
    """Begin the record, and its delivery where there is one."""
    tags = {
        **about.tags,
        "folder": str(folder),
        "mlflow.source.name": "prenda train",  # the command is in the description: MLflow shows the last part of a path
        "mlflow.source.type": "LOCAL",
        **git_tags(),
        **{f"version.{name}": version(name) for name in VERSIONED},
    }
    run = Run(folder, destination_of(tracking))
    run.start(about.name, tags, about.parameters, parent=tracking.parent)
    try:
        begin_delivery(run, tracking)
        if tracking.system_metrics and tracking.kind is TrackingKind.mlflow:
            run.start_system_metrics()
    except TrackingError:
        raise
    except BaseException as error:
        _close(run, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    return run


def destination_of(tracking: TrackingConfig) -> Destination:
    """Return where a run of these settings is recorded."""
    if tracking.kind is TrackingKind.offline:
        return Destination(None, tracking.experiment)
    assert tracking.uri is not None, "validation refuses kind=mlflow without an address"
    return Destination(tracking.uri, tracking.experiment, tracking.artifacts)


def begin_delivery(run: Run, tracking: TrackingConfig) -> None:
    """Start the delivery of a run; if its server is absent, say so once, and leave the records in the journal.

    Raises:
        TrackingError: See `recorded`.
    """
    error = run.deliver()
    if error is None:
        return
    assert tracking.uri is not None
    is_absent = is_server(tracking.uri) and not isinstance(error, StoreRefusedError)
    if tracking.parent is None and (tracking.required or not is_absent):
        run.discard()
        raise error
    print(
        f"prenda: {error}\nThe run goes on without it: its records are kept in {run.folder} and delivered once it "
        "answers, or by `prenda sync`.",
        file=sys.stderr,
        flush=True,
    )


def _close(run: Run, status: str) -> None:
    """End the record; a store that cannot be reached leaves the run's status as it is."""
    run.end(status)
    write_atomically(run.folder / STATUS, status)
    undelivered = run.close()
    if undelivered is not None:
        print(f"prenda: {undelivered}", file=sys.stderr, flush=True)


def git_tags() -> dict[str, str]:
    """Return the commit, and whether the tree differs from it; empty outside a checkout."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(REPOSITORY), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    if not (REPOSITORY / ".git").exists():
        return {}
    try:
        dirty = str(bool(git("status", "--porcelain"))).lower()
        return {COMMIT: git("rev-parse", "HEAD"), DIRTY: dirty}
    except (OSError, subprocess.CalledProcessError):
        return {}  # no git, or no commit yet


@cache
def environment() -> str:
    """Return every installed distribution with its version, a line each."""
    every = [dist.metadata for dist in distributions()]  # each access reads and parses the file again
    lines = {f"{metadata['Name']}=={metadata['Version']}" for metadata in every}
    return "\n".join(sorted(lines, key=str.lower)) + "\n"
