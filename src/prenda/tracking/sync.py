"""Delivery of the records that a store lacks, after their runs have ended."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prenda.config.paths import home
from prenda.errors import UserError
from prenda.system.redaction import without_passwords
from prenda.tracking.delivery import Target
from prenda.tracking.journal import JOURNAL, Destination, Journal
from prenda.tracking.run_folder import run_id
from prenda.tracking.store import local_store, reason_of

# Folders of journals, in outputs/.
RUNS = ("runs/*/*", "reproductions/*/*", "sweeps/*/summary", "sweeps/*/trials/*", "compare/*/*")


@dataclass(frozen=True)
class Synced:
    """Result of delivering one journal.

    Attributes:
        name: Name of the run.
        folder: Folder of the run.
        uri: Address of the store, without password.
        run_id: Id of the run in the store; None if the store has no such run.
        sent: Number of records that were delivered now.
        problem: Reason why records are missing; None if none is missing.
    """

    name: str
    folder: Path
    uri: str
    run_id: str | None
    sent: int
    problem: str | None


def sync(folders: Sequence[Path], offline: bool = False, uri: str | None = None) -> Iterator[Synced]:
    """Deliver missing records of runs; records of sweeps come before those of their trials.

    Args:
        folders: Folders of runs, or folders that hold some; an empty list means all of `outputs/`.
        offline: Whether to deliver all runs that were recorded offline. Those in named folders are always delivered.
        uri: Address of the store; None means that of each run, and this project's own store for offline runs.

    Raises:
        UserError: If a folder holds no run with a journal.
    """
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"  # a failed request is in doubt: the store is asked
    journals = [Journal(folder) for folder in _folders(folders)]
    journals = [journal for journal in journals if journal.records()]
    for journal in sorted(journals, key=lambda journal: journal.records()[0].get("parent") is not None):
        destination = _destination(journal, offline or bool(folders), uri)
        if destination.uri is not None and journal.waiting(destination.uri):
            yield _deliver(journal, destination)


def deliver_waiting(folder: Path) -> str | None:
    """Deliver the missing records of a sweep's trials; return a sentence about the first failure, or None."""
    for journal in map(Journal, sorted(path.parent for path in folder.glob(f"trials/*/{JOURNAL}"))):
        if not journal.records():
            continue
        destination = journal.destination()
        if destination.uri is None or not journal.waiting(destination.uri):
            continue
        synced = _deliver(journal, destination)
        if synced.problem is not None:
            return f"{synced.name}: {synced.problem}: `prenda sync {shlex.quote(str(folder))}` delivers it."
    return None


def add_tags(folder: Path, tags: Mapping[str, str]) -> str | None:
    """Add labels to a run that has ended; return a sentence about a failed delivery, or None."""
    journal = Journal(folder)
    journal.append("tags", tags=dict(tags))
    destination = journal.destination()
    problem = None if destination.uri is None else _deliver(journal, destination).problem
    return None if problem is None else f"{problem}: `prenda sync {shlex.quote(str(folder))}` delivers them."


def waiting(folder: Path) -> int:
    """Return the number of records of a run that its store lacks."""
    journal = Journal(folder)
    if not journal.records():
        return 0
    uri = journal.destination().uri
    return 0 if uri is None else journal.waiting(uri)


def undelivered() -> list[Journal]:
    """Return the journals in `outputs/` whose run no store holds: offline runs, and runs whose server is absent."""
    found = [Journal(folder) for folder in _folders([]) if run_id(folder) is None]
    return [journal for journal in found if journal.records()]


def _folders(named: Sequence[Path]) -> list[Path]:
    if not named:
        outputs = home() / "outputs"
        return sorted(path.parent for pattern in RUNS for path in outputs.glob(f"{pattern}/{JOURNAL}"))
    found = []
    for folder in named:
        inside = sorted(path.parent.resolve() for path in folder.rglob(JOURNAL))
        if not inside:
            raise UserError(
                f"{str(folder)!r} holds no run with a journal: give the folder of a run or of a sweep, or none for all "
                "of outputs/."
            )
        found += inside
    return found


def _destination(journal: Journal, offline: bool, uri: str | None) -> Destination:
    """Return the destination of a journal."""
    own = journal.destination()
    store = uri or own.uri or (local_store() if offline else None)
    if store == own.uri or (own.uri is None and not offline):
        return own
    artifacts = str(home() / "mlruns" / "artifacts") if store == local_store() else None
    return replace(own, uri=store, artifacts=artifacts)


def _deliver(journal: Journal, destination: Destination) -> Synced:
    target = Target(journal, destination)
    before, problem = target.waiting(), None
    try:
        target.deliver()
    except Exception as error:  # each kind of store has its own
        problem = f"{target.waiting()} records are not delivered ({reason_of(error)})"
    if problem is None and target.rejected:
        problem = f"the store refused {len(target.rejected)} records (first {target.rejected[0]})"
    name, position = str(journal.records()[0]["name"]), journal.position(target.uri)
    sent = before - target.waiting() - len(target.rejected)
    return Synced(name, journal.folder, without_passwords(target.uri), position.run_id, sent, problem)
