"""Finds recorded runs and fetches what they left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from prenda.errors import TrackingError
from prenda.tracking.store import connect

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

COMPARISONS = "comparisons"  # the experiment of what `prenda compare` records; trainings are elsewhere


def download(uri: str, run: str, artifact: str, into: Path) -> Path:
    """Fetch one file of a recorded run, named by its id or its name (of several, the newest).

    Raises:
        TrackingError: If there is no store, no such run, or the run has no such file.
    """
    if not _is_there(uri):
        raise TrackingError(f"{run!r} is no file, and there is no store at {uri} to look for a run: train one first.")
    client = connect(uri)
    return fetch(client, find(client, run), artifact, into)


def connect_existing(uri: str) -> MlflowClient:
    """Return a client of a store that somebody has used; none is created.

    Raises:
        TrackingError: If there is none.
    """
    if not _is_there(uri):
        raise TrackingError(f"There is no store at {uri}: train a run first, or set PRENDA_HOME to where runs are.")
    return connect(uri)


def find(client: MlflowClient, run: str) -> Run:
    """Return the run of this id or name; of several with the name, the newest.

    Raises:
        TrackingError: If there is none.
    """
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    name = run.replace("'", "")  # MLflow's filters have no way to quote it
    found = client.search_runs(experiments, f"attributes.run_id = '{name}'", max_results=1) or client.search_runs(
        experiments, f"attributes.run_name = '{name}'", order_by=["attributes.start_time DESC"], max_results=1
    )
    if not found:
        raise TrackingError(
            f"{run!r} is neither a file nor a run in {client.tracking_uri}: `prenda ui` shows ids and names of the "
            "runs."
        )
    return found[0]


def matching(client: MlflowClient, experiment: str | None, where: str | None) -> list[Run]:
    """Return the finished trainings that match an MLflow filter, in one experiment or in all, the oldest first.

    Raises:
        TrackingError: If there is no such experiment, the filter cannot be read, or nothing matches.
    """
    from mlflow.exceptions import MlflowException

    known = {found.name: found.experiment_id for found in client.search_experiments() if found.name != COMPARISONS}
    if experiment is not None and experiment not in known:
        raise TrackingError(f"--experiment is {experiment!r}: choose one of {', '.join(known)}.")
    ids = list(known.values()) if experiment is None else [known[experiment]]
    conditions = [*([where] if where else []), "attributes.status = 'FINISHED'"]
    try:
        found = client.search_runs(ids, " and ".join(conditions), order_by=["attributes.start_time ASC"])
    except MlflowException as error:
        raise TrackingError(
            f"--where is {where!r}, which MLflow cannot read ({str(error).splitlines()[0]}): write it like "
            '"params.backbone = \'cnn\'" or "metrics.`test/accuracy` > 0.9", and join parts with `and`.'
        ) from error
    runs = [run for run in found if run.data.tags.get("prenda.kind") != "sweep"]  # their trials are here themselves
    if not runs:
        place = "any experiment" if experiment is None else f"experiment {experiment!r}"
        raise TrackingError(
            f"--where is {where!r}, which no finished run of {place} matches: `prenda ui` shows what runs hold."
            if where or experiment is None
            else f"--experiment is {experiment!r}, which holds no finished run: choose one of {', '.join(known)}."
        )
    return runs


def content_hash(run: Run) -> str | None:
    """SHA-256 of the run's data set, as `MlflowRun.log_data` recorded it; None where nothing did."""
    used = [] if run.inputs is None else run.inputs.dataset_inputs
    profiles = [json.loads(data.dataset.profile or "{}") for data in used]
    return next((str(profile["sha256"]) for profile in profiles if "sha256" in profile), None)


def fetch(client: MlflowClient, run: Run, artifact: str, into: Path) -> Path:
    """Fetch one file of a run that was found.

    Raises:
        TrackingError: If the run has no such file.
    """
    from mlflow.exceptions import MlflowException

    try:
        return Path(client.download_artifacts(run.info.run_id, artifact, str(into)))
    except (MlflowException, OSError) as error:
        raise TrackingError(
            f"Run {run.info.run_name!r} ({run.info.status}) holds no {artifact}: name a run that finished, "
            "or train it again with this version."
        ) from error


def _is_there(uri: str) -> bool:
    return not uri.startswith("sqlite:///") or Path(uri.removeprefix("sqlite:///")).is_file()
