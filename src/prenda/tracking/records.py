"""Records of runs in MLflow: searching them, and what they say of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlparse

from prenda.errors import AmbiguousRunError, TrackingError
from prenda.system.redaction import without_passwords
from prenda.tracking import run_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

COMPARISONS = "comparisons"  # the experiment of what `prenda compare` records; trainings are elsewhere
REPRODUCES = "prenda.reproduces"  # tag of a reproduction: id or folder of the run that it repeats
REPRODUCED = "prenda.reproduced"  # tag of a reproduction: whether its result is that of the run
FREED = "prenda.freed"  # tag: the day on which `prenda runs --prune` freed the run's checkpoints
VAL, TEST = "best/val/accuracy", "test/accuracy"
SHORT = 8  # characters of an id that name a run
PAGE = 1000  # runs that MLflow returns at once
ID = re.compile(rf"[0-9a-f]{{{SHORT},32}}")
MOST_LISTED = 12  # runs in the text of an error
Want = Literal["finished", "unfinished"]


def short_id(run_id: str) -> str:
    """Return the first characters of an id, which name its run in every command."""
    return run_id[:SHORT]


def named(client: MlflowClient, run: str, want: Want = "finished") -> Run:
    """Return the run of an id, of the beginning of one, or of a name.

    Of several with the name, those in the wanted state count, if there is one.

    Raises:
        TrackingError: If there is no such run, or it is no training.
        AmbiguousRunError: If there are several.
    """
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = {record.info.run_id: record for record in _bearing(client, experiments, run)}
    trainings = [record for record in found.values() if kind_of(record) == "run"]
    wanted = [record for record in trainings if (record.info.status == "FINISHED") == (want == "finished")]
    candidates = wanted or trainings
    if len(candidates) == 1:
        return candidates[0]
    store = without_passwords(client.tracking_uri)
    if candidates:
        raise AmbiguousRunError(_several(run, candidates))
    if found:
        kind = kind_of(next(iter(found.values())))
        raise TrackingError(f"{run!r} is a {kind}, and a run is needed: `prenda runs` lists the runs with their ids.")
    if _is_deleted(client, run):
        raise TrackingError(
            f"{run!r} was deleted in {store}: restore it in the MLflow UI (`prenda ui`), or name "
            "another run; `prenda runs` lists them."
        )
    if Path(run).is_dir():
        raise TrackingError(
            f"{run!r} has no run's config.yaml in it, and no run in {store} bears this name: give the "
            "folder of a run (outputs/runs/DATE/TIME), its id or its name; `prenda runs` lists them."
        )
    raise TrackingError(
        f"{run!r} is neither a file nor a run in {store}: `prenda runs` shows ids and names of the runs."
    )


def kind_of(record: Run) -> str:
    """Return `run` for a training; `sweep` and `comparison` are records of their own."""
    return str(record.data.tags.get("prenda.kind", "run"))


def is_trial(record: Run) -> bool:
    """Whether a run is the trial of a sweep."""
    return "mlflow.parentRunId" in record.data.tags


def status_of(record: Run) -> str:
    """Return the status of a run: MLflow's, or PRUNED if a sweep gave it up."""
    return "PRUNED" if "pruned" in record.data.tags else str(record.info.status)


def started(record: Run) -> datetime:
    """Return when the run started, in local time."""
    return datetime.fromtimestamp(record.info.start_time / 1000)


def search(client: MlflowClient, experiments: Sequence[str], condition: str, view: int | None = None) -> Iterator[Run]:
    """Yield all runs that match a filter, the oldest first, a page at a time; `view` is one of MLflow's ViewType."""
    from mlflow.entities import ViewType

    token = None
    while True:
        page = client.search_runs(
            list(experiments),
            condition,
            run_view_type=ViewType.ACTIVE_ONLY if view is None else view,
            max_results=PAGE,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        yield from page
        token = page.token
        if not token:
            return


def local_folder(run: Run) -> Path | None:
    """Return the run's own folder, if it is on this machine and still belongs to the run."""
    folder = Path(run.data.tags.get("folder", ""))
    return folder if folder.is_absolute() and run_folder.run_id(folder) == run.info.run_id else None


def content_hash(run: Run) -> str | None:
    """SHA-256 of the run's data set, as `Run.log_data` recorded it; None where nothing did."""
    used = [] if run.inputs is None else run.inputs.dataset_inputs
    profiles = [json.loads(data.dataset.profile or "{}") for data in used]
    return next((str(profile["sha256"]) for profile in profiles if "sha256" in profile), None)


def local_path(address: str) -> Path | None:
    """Return the folder of an artifact address, if it lies on this machine."""
    parsed = urlparse(address)
    if parsed.scheme not in ("", "file") or parsed.netloc not in ("", "localhost"):
        return None
    return Path(unquote(parsed.path))


def _bearing(client: MlflowClient, experiments: Sequence[str], run: str) -> Iterator[Run]:
    if ID.fullmatch(run):
        yield from search(client, experiments, f"attributes.run_id LIKE '{run}%'")
    # MLflow's filters cannot quote quotes: any character matches in their places, and the names are compared here.
    pattern = re.sub(r"['\"\\\\]", "_", run)
    for record in search(client, experiments, f"attributes.run_name LIKE '{pattern}'"):
        if record.info.run_name == run:
            yield record


def _is_deleted(client: MlflowClient, run: str) -> bool:
    from mlflow.entities import ViewType

    if not ID.fullmatch(run):
        return False
    experiments = [found.experiment_id for found in client.search_experiments(view_type=ViewType.ALL)]
    return any(search(client, experiments, f"attributes.run_id LIKE '{run}%'", ViewType.DELETED_ONLY))


def _several(run: str, candidates: Sequence[Run]) -> str:
    """Return the text of an error that lists runs, the newest first, each with the id to paste."""
    newest = candidates[::-1]
    length = _telling([record.info.run_id for record in newest])
    lines = [
        f"  {record.info.run_id[:length]}  {started(record):%Y-%m-%d %H:%M:%S}  {status_of(record):<8}  "
        f"{_score(record)}"
        for record in newest[:MOST_LISTED]
    ]
    if len(newest) > MOST_LISTED:
        lines.append(f"  and {len(newest) - MOST_LISTED} more; `prenda runs` lists them.")
    return "\n".join([f"{run!r} names {len(newest)} runs: give the id of one of them in its place.", *lines])


def _telling(ids: Sequence[str]) -> int:
    """Return how many characters tell the ids apart, at least as many as a short id has."""
    return next(length for length in range(SHORT, 33) if len({one[:length] for one in ids}) == len(ids))


def _score(record: Run) -> str:
    scores = ((name, record.data.metrics.get(name)) for name in (TEST, VAL))
    return next((f"{name} {value:.2%}" for name, value in scores if value is not None), "not scored")
