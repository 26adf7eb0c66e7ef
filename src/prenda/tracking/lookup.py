"""Finds the run that RUN names, in the store or on disk, and the files that it left.

RUN is the same in every command: the id of a run in MLflow or the first eight or more of its characters, its name, its
folder, or a checkpoint in that folder. A folder needs no store.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from prenda.bundle.format import DESCRIPTION
from prenda.errors import TrackingError
from prenda.system.redaction import complete, without_passwords
from prenda.system.sqlite_address import sqlite_path
from prenda.tracking import run_folder
from prenda.tracking.journal import Journal
from prenda.tracking.records import (
    FREED,
    Want,
    content_hash,
    is_trial,
    local_folder,
    local_path,
    named,
    short_id,
    status_of,
)
from prenda.tracking.run_folder import CONFIG
from prenda.tracking.store import connect, variable_kept

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

OUTSIDE = (
    "a file outside the checkpoints folder of a run: give the folder of a run (outputs/runs/DATE/TIME), its id or its "
    "name; `prenda runs` lists them."
)


@dataclass(frozen=True)
class FoundRun:
    """A run that RUN names.

    Attributes:
        named: RUN as it was given.
        name: Name of the run; that of its folder where nothing tells it.
        id: Its id in MLflow; None for a run that was recorded offline.
        status: FINISHED, FAILED, KILLED, PRUNED or RUNNING; None where nothing tells it.
        folder: Its folder, if that is on this machine.
        checkpoint: The checkpoint, where RUN is the path of one.
        record: Its record in MLflow, if the store was asked.
    """

    named: str
    name: str
    id: str | None
    status: str | None
    folder: Path | None
    checkpoint: Path | None = None
    record: Run | None = field(default=None, repr=False)

    @property
    def argument(self) -> str:
        """Short id or path that names the run in any command."""
        return short_id(self.id) if self.id is not None else str(self.folder or self.checkpoint)

    @property
    def paste(self) -> str:
        """The same in a printed command, quoted for a shell."""
        return shlex.quote(self.argument)

    @property
    def freed(self) -> str | None:
        """The day on which `prenda runs --prune` freed its checkpoints; None if it did not."""
        tag = None if self.record is None else self.record.data.tags.get(FREED)
        return tag or (None if self.folder is None else run_folder.freed(self.folder))


def resolve(uri: str, run: str, want: Want = "finished") -> FoundRun:
    """Return the run that RUN names; of a name that several runs bear, the one in the wanted state.

    Raises:
        TrackingError: If there is no such run, or several; the text then lists them.
    """
    found = _on_disk(run)
    if found is not None:
        return found
    if not is_there(uri):
        raise TrackingError(
            f"There is no store at {uri}, and {run!r} is {_no_run(run)}: train a run first, or set PRENDA_HOME to "
            "where runs are."
        )
    return of_record(run, named(connect(uri), run, want))


def of_record(run: str, record: Run) -> FoundRun:
    """Return a run whose record is known already."""
    folder = local_folder(record)
    return FoundRun(run, str(record.info.run_name), record.info.run_id, status_of(record), folder, None, record)


def find(client: MlflowClient, run: str) -> Run:
    """Return the record of the run that RUN names, for a command that needs its model; see `resolve`.

    Raises:
        TrackingError: If there is no such run, several have the name, it is not recorded in this store, or it is a
            trial whose bundle was freed.
    """
    record = named(client, _recorded_id(client, run) or run)
    day = record.data.tags.get(FREED)
    if day is not None and is_trial(record):
        raise TrackingError(_was_freed(f"{record.info.run_name!r} ({short_id(record.info.run_id)})", day, "bundle"))
    return record


def _recorded_id(client: MlflowClient, run: str) -> str | None:
    """Return the id of the run of a folder or checkpoint; None if RUN is no path."""
    found = _on_disk(run)
    if found is None:
        return None
    if found.folder is None:
        raise TrackingError(f"{run!r} is {OUTSIDE}")
    if found.id is None:
        raise TrackingError(
            f"{run!r} was recorded offline, and this command needs a run in {without_passwords(client.tracking_uri)}: "
            f"deliver it with `prenda sync {found.folder}`, or name another run; `prenda runs` lists them."
        )
    return found.id


def file_of(uri: str, found: FoundRun, artifact: str, into: Path) -> Path:
    """Return one file of a run: from its folder if that is here, else fetched from the store.

    Raises:
        TrackingError: If the run has no such file.
    """
    if found.folder is not None and (found.folder / artifact).is_file():
        return found.folder / artifact
    if found.record is not None:
        return fetch(connect(uri), found.record, artifact, into)
    if found.freed is not None:
        raise TrackingError(_was_freed(found.named, found.freed, artifact))
    if found.folder is None:
        raise TrackingError(f"{found.named!r} is {OUTSIDE}")
    raise TrackingError(
        f"{found.named} holds no {artifact}"
        + (f" (it is {found.status})" if found.status not in (None, "FINISHED") else "")
        + ": give the folder of a run that was scored."
    )


def tags_of(found: FoundRun) -> dict[str, str]:
    """Return the tags of a run, from MLflow if it was found there, else from its journal."""
    if found.record is not None:
        return dict(found.record.data.tags)
    tags: dict[str, str] = {}
    for record in [] if found.folder is None else Journal(found.folder).records():
        tags |= record.get("tags", {})
    return tags


def data_of(found: FoundRun) -> str | None:
    """Return the SHA-256 of a run's data set, from MLflow or from its journal; None if it recorded none."""
    if found.record is not None:
        return content_hash(found.record)
    records = [] if found.folder is None else Journal(found.folder).records()
    return next((str(record["content_hash"]) for record in records if record["kind"] == "data"), None)


def download(uri: str, run: str, artifact: str, into: Path) -> Path:
    """Return one file of the run that RUN names, fetched if it is not on this machine.

    Raises:
        TrackingError: If there is no such run, several have the name, or the run has no such file.
    """
    return file_of(uri, resolve(uri, run), artifact, into)


def bundle_of(uri: str, run: str, into: Path) -> Path:
    """Return the folder of a run's bundle, fetched only if the run's folder is not on this machine.

    Args:
        uri: The store.
        run: RUN, or the folder of a bundle.
        into: An existing folder for what is fetched.

    Raises:
        TrackingError: If there is no such run, several have the name, or it holds no bundle.
    """
    if (Path(run) / DESCRIPTION).is_file():
        return Path(run)
    found = resolve(uri, run)
    folder = bundle_in(uri, found, into)
    if folder is not None:
        return folder
    if found.freed is not None:
        raise TrackingError(_was_freed(f"{found.name!r} ({found.paste})", found.freed, "bundle"))
    if found.folder is None and found.record is None:
        raise TrackingError(f"{run!r} is {OUTSIDE}")
    if found.status not in (None, "FINISHED"):
        raise TrackingError(
            f"Run {found.name!r} ({found.status}) holds no bundle: name a run that finished, or finish this one by "
            f"`prenda resume {found.paste}`."
        )
    raise TrackingError(
        f"Run {found.name!r} holds no bundle: `prenda export {found.paste} --to FOLDER` makes one from its "
        "checkpoint, or name another run; `prenda runs` lists them."
    )


def bundle_in(uri: str, found: FoundRun, into: Path) -> Path | None:
    """Return the folder of the bundle of a run that was found, or None if it has none; see `bundle_of`."""
    if found.folder is not None and (found.folder / "bundle" / DESCRIPTION).is_file():
        return found.folder / "bundle"
    return None if found.record is None else _recorded_bundle(uri, found.record, into)


def fetch(client: MlflowClient, run: Run, artifact: str, into: Path) -> Path:
    """Fetch one file of a run that was found.

    Raises:
        TrackingError: If the run has no such file.
    """
    from mlflow.exceptions import MlflowException

    try:
        return Path(client.download_artifacts(run.info.run_id, artifact, str(into)))
    except (MlflowException, OSError) as error:
        name, short = run.info.run_name, short_id(run.info.run_id)
        if FREED in run.data.tags:
            raise TrackingError(_was_freed(f"{name!r} ({short})", run.data.tags[FREED], artifact)) from error
        unfinished = status_of(run) not in ("FINISHED", "PRUNED")
        finish = f"finish this one by `prenda resume {short}`, " if unfinished else ""
        raise TrackingError(
            f"Run {name!r} ({run.info.status}) holds no {artifact}: name a run that finished, {finish}"
            "or train it again with this version. `prenda runs` lists the finished ones."
        ) from error


def connect_existing(uri: str) -> MlflowClient:
    """Return a client of a store that somebody has used; none is created.

    Raises:
        TrackingError: If there is none.
    """
    if not is_there(uri):
        raise TrackingError(f"There is no store at {uri}: train a run first, or set PRENDA_HOME to where runs are.")
    return connect(uri)


def is_there(uri: str) -> bool:
    """Whether a store is there already; of a server, nothing is asked."""
    database = sqlite_path(uri)
    return database is None or database.is_file()


def _on_disk(run: str) -> FoundRun | None:
    """Return the run of a folder or a checkpoint; None if RUN is the path of neither."""
    path = Path(run)
    if path.is_file():
        folder = path.resolve().parents[1] if len(path.resolve().parents) > 1 else path.resolve().parent
        if not (path.resolve().parent.name == "checkpoints" and (folder / CONFIG).is_file()):
            return FoundRun(run, path.name, None, None, None, path)
        return _of_folder(run, folder, path)
    return _of_folder(run, path.resolve(), None) if (path / CONFIG).is_file() else None


def _of_folder(run: str, folder: Path, checkpoint: Path | None) -> FoundRun:
    name = run_folder.name(folder)
    return FoundRun(run, name, run_folder.run_id(folder), run_folder.status(folder), folder, checkpoint)


def _recorded_bundle(uri: str, record: Run, into: Path) -> Path | None:
    """Return the bundle that the run logged as a model, fetched unless the store lies on this machine."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    outputs = record.outputs.model_outputs if record.outputs else []
    if not outputs:
        return None
    try:
        place = connect(uri).get_logged_model(outputs[-1].model_id).artifact_location
        local = local_path(place)
        if local is not None:
            return local if (local / DESCRIPTION).is_file() else None
        with variable_kept():
            return Path(download_artifacts(artifact_uri=place, dst_path=str(into), tracking_uri=complete(uri)))
    except (MlflowException, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise TrackingError(
            f"The bundle of run {record.info.run_name!r} ({short_id(record.info.run_id)}) cannot be had from {uri} "
            f"({reason}): start the server, or name another run."
        ) from error


def _no_run(run: str) -> str:
    """Say what RUN is on disk, for the text of an error."""
    return f"a folder that has no run's {CONFIG} in it" if Path(run).is_dir() else "no file"


def _was_freed(run: str, day: str, artifact: str) -> str:
    return (
        f"Run {run} holds no {artifact} any more: `prenda runs --prune` freed it on {day}. Its scores and predictions "
        "are still there; train it again with the command in its description, or name another run."
    )
