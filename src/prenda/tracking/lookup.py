"""Finds recorded runs and fetches what they left."""

from __future__ import annotations

from pathlib import Path

from prenda.tracking.store import TrackingError, connect


def download(uri: str, run: str, artifact: str, into: Path) -> Path:
    """Fetches one file of a recorded run, named by its id or its name (of several, the newest).

    Raises:
        TrackingError: If there is no store, no such run, or the run has no such file.
    """
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise TrackingError(f"{run!r} is no file, and there is no store at {uri} to look for a run: train one first.")
    client = connect(uri)
    from mlflow.exceptions import MlflowException

    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    name = run.replace("'", "")  # MLflow's filters have no way to quote it
    found = client.search_runs(experiments, f"attributes.run_id = '{name}'", max_results=1) or client.search_runs(
        experiments, f"attributes.run_name = '{name}'", order_by=["attributes.start_time DESC"], max_results=1
    )
    if not found:
        raise TrackingError(
            f"{run!r} is neither a file nor a run in {uri}: `prenda ui` shows ids and names of the runs."
        )
    try:
        return Path(client.download_artifacts(found[0].info.run_id, artifact, str(into)))
    except (MlflowException, OSError) as error:
        raise TrackingError(
            f"Run {run!r} ({found[0].info.status}) holds no {artifact}: name a run that finished an epoch."
        ) from error
