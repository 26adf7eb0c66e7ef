"""Pruning: freeing the disk space that old runs and trials hold, while their scores and predictions stay.

A crash at any time leaves runs that are whole or marked as freed; pruning again removes the rest.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from prenda.errors import UserError
from prenda.system.atomic_write import write_atomically
from prenda.system.sqlite_address import sqlite_path
from prenda.tracking import run_folder
from prenda.tracking.disk import artifacts_of, models_of, size_of
from prenda.tracking.listing import selected
from prenda.tracking.lookup import connect_existing
from prenda.tracking.records import FREED, REPRODUCES, VAL, is_trial, kind_of, local_folder, search, status_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

CHECKPOINTS, BUNDLES, DELETED = "checkpoints", "bundles of trials", "files of deleted runs"
CHECKPOINT_FOLDER, BUNDLE_FOLDER = "checkpoints", "bundle"
REMOVING = ".{}.removing"  # name of a folder that is being removed


@dataclass(frozen=True)
class Holding:
    """What one run holds that can be freed.

    Attributes:
        record: The run in MLflow.
        places: Files and folders by kind of what they hold; they are there.
    """

    record: Run
    places: Mapping[str, tuple[Path, ...]]

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each kind."""
        return {kind: sum(map(size_of, paths)) for kind, paths in self.places.items()}


@dataclass(frozen=True)
class Plan:
    """What pruning would free, and what it keeps.

    Attributes:
        holdings: Of each run that holds something.
        sizes: Bytes by kind.
        runs: Number of runs by kind.
        kept: Number of runs that are kept whole, by the reason.
    """

    holdings: tuple[Holding, ...]
    sizes: Mapping[str, int]
    runs: Mapping[str, int]
    kept: Mapping[str, int]

    @property
    def total(self) -> int:
        """Bytes in all."""
        return sum(self.sizes.values())


def make_plan(uri: str, keep: int, experiment: str | None = None, where: str | None = None) -> Plan:
    """Return what pruning would free. Nothing is changed.

    Kept whole are runs with a registered version, champions among them, the best of each data set by validation
    accuracy, and runs that run or can be resumed.

    Args:
        uri: The store.
        keep: Number of the best runs of each data set to keep.
        experiment: Free only runs of this experiment.
        where: Free only runs that match this MLflow filter.

    Raises:
        TrackingError: If there is no store or experiment, or the filter cannot be read.
        UserError: If `keep` is negative.
    """
    if keep < 0:
        raise UserError(f"--keep is {keep}: give 0 or more.")
    client = connect_existing(uri)
    runs = [record for record in selected(client, None, None, everything=True) if kind_of(record) == "run"]
    reasons = _reasons(client, runs, keep)
    chosen = {record.info.run_id for record in selected(client, experiment, where, everything=True)}
    free = [record for record in runs if record.info.run_id in chosen and record.info.run_id not in reasons]
    holdings = [_holding(record) for record in free]
    if experiment is None and where is None:
        holdings += [_deleted_holding(record) for record in _deleted(client)]
    holding = tuple(one for one in holdings if one.places)
    kept = Counter(reason for run_id, reason in reasons.items() if run_id in chosen)
    sizes, counts = Counter[str](), Counter[str]()
    for one in holding:
        sizes.update(one.sizes())
        counts.update(one.places.keys())
    return Plan(holding, sizes, counts, kept)


def free(uri: str, plan: Plan) -> int:
    """Free what a plan names, but for runs that were registered since; return the bytes.

    Raises:
        OSError: If a file cannot be removed; what came before it is freed.
    """
    client = connect_existing(uri)
    freed = 0
    with _promotions_waiting(uri):
        registered = _registered(client)
        for holding in plan.holdings:
            if holding.record.info.run_id not in registered:
                freed += _free(client, holding)
    return freed


def _reasons(client: MlflowClient, runs: Iterable[Run], keep: int) -> dict[str, str]:
    """Return why runs are kept whole, by id."""
    reasons: dict[str, str] = {}
    best: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for record in runs:
        if record.info.status in ("RUNNING", "SCHEDULED"):
            reasons[record.info.run_id] = "running"
        elif status_of(record) in ("FAILED", "KILLED"):
            reasons[record.info.run_id] = "interrupted, to be resumed"
        elif record.info.status == "FINISHED" and VAL in record.data.metrics and REPRODUCES not in record.data.tags:
            best[record.data.params.get("data", ""), record.data.params.get("data.classes", "")].append(record)
    for group in best.values():
        group.sort(key=lambda record: -record.data.metrics[VAL])
        reasons |= {record.info.run_id: "among the best of its data" for record in group[:keep]}
    ids = {record.info.run_id for record in runs}
    return reasons | dict.fromkeys(_registered(client) & ids, "registered")


def _registered(client: MlflowClient) -> set[str]:
    """Return the ids of the runs that have a registered version."""
    found: set[str] = set()
    token = None
    while True:
        page = client.search_model_versions(max_results=1000, page_token=token)
        found |= {version.run_id for version in page if version.run_id}
        token = page.token
        if not token:
            return found


def _deleted(client: MlflowClient) -> list[Run]:
    from mlflow.entities import ViewType

    ids = [found.experiment_id for found in client.search_experiments(view_type=ViewType.ALL)]
    registered = _registered(client)
    deleted = search(client, ids, "", ViewType.DELETED_ONLY)
    return [record for record in deleted if record.info.run_id not in registered and kind_of(record) == "run"]


def _holding(record: Run) -> Holding:
    """Return the checkpoints of a run, and the bundles of a trial."""
    folder, artifacts = local_folder(record), artifacts_of(record)
    places = {CHECKPOINTS: _there(_below(folder, CHECKPOINT_FOLDER), _below(artifacts, CHECKPOINT_FOLDER))}
    if is_trial(record):
        places[BUNDLES] = _there(
            _below(folder, BUNDLE_FOLDER), _below(artifacts, BUNDLE_FOLDER), *map(_with_leftover, models_of(record))
        )
    return Holding(record, {kind: paths for kind, paths in places.items() if paths})


def _deleted_holding(record: Run) -> Holding:
    """Return all that a run deleted in MLflow holds: its files there, and the checkpoints and bundle in its folder."""
    folder, artifacts = local_folder(record), artifacts_of(record)
    paths = _there(
        _below(folder, CHECKPOINT_FOLDER),
        _below(folder, BUNDLE_FOLDER),
        () if artifacts is None or record.info.run_id not in artifacts.parts else _with_leftover(artifacts),
        *map(_with_leftover, models_of(record)),
    )
    return Holding(record, {DELETED: paths} if paths else {})


def _below(folder: Path | None, name: str) -> Iterator[Path]:
    return iter(()) if folder is None else _with_leftover(folder / name)


def _with_leftover(path: Path) -> Iterator[Path]:
    """Yield a folder, and what an interrupted pruning left of it."""
    yield path
    yield path.with_name(REMOVING.format(path.name))


def _there(*places: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(path for paths in places for path in paths if path.is_dir() and not path.is_symlink())


def _free(client: MlflowClient, holding: Holding) -> int:
    """Mark a run as freed, then remove what it holds."""
    today, folder = f"{date.today():%Y-%m-%d}", local_folder(holding.record)
    if folder is not None:
        write_atomically(folder / run_folder.FREED, today)
    if holding.record.info.lifecycle_stage == "active":
        client.set_tag(holding.record.info.run_id, FREED, today)
    freed = sum(holding.sizes().values())
    for path in (path for paths in holding.places.values() for path in paths):
        _remove(path)
    return freed


def _remove(path: Path) -> None:
    """Remove a folder; it is gone under its name at once, so that nobody reads half of it."""
    hidden = path if path.name.startswith(".") else path.with_name(REMOVING.format(path.name))
    if path != hidden:
        if hidden.exists():
            shutil.rmtree(hidden)
        path.rename(hidden)
    shutil.rmtree(hidden)


@contextmanager
def _promotions_waiting(uri: str) -> Iterator[None]:
    """Let no promotion register a run while its files are freed; a server's models are not locked."""
    database = sqlite_path(uri)
    if database is None:
        yield
        return
    with FileLock(database.with_suffix(".promote.lock")):
        yield
