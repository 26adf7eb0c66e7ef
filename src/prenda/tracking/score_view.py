"""Shared view of an experiment in MLflow's UI: a table of runs with settings and scores, the best run first.

MLflow keeps such a view in a tag of the experiment, as zlib-compressed JSON; `&viewStateShareKey=KEY` opens it.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING

from prenda.scoring.metrics import HEADLINE
from prenda.tracking.records import TEST, VAL

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY = "scores"
TAG = f"mlflow.sharedViewState.{KEY}"
PARAMETERS = ("backbone", "data", "seed")
METRICS = (TEST, *(f"test/{metric.name}" for metric in HEADLINE if f"test/{metric.name}" != TEST), VAL, "train/seconds")


def share(client: MlflowClient, experiment_id: str) -> str:
    """Store the view in the experiment, and return the part of the address that opens it."""
    value = "deflate;" + base64.b64encode(zlib.compress(json.dumps(_state()).encode())).decode()
    if client.get_experiment(experiment_id).tags.get(TAG) != value:
        client.set_experiment_tag(experiment_id, TAG, value)
    return f"viewStateShareKey={KEY}"


def _state() -> dict[str, object]:
    """Return the state of MLflow's table of runs, under the names of its own keys."""
    columns = ["attributes.`Created`"]
    columns += [f"params.`{name}`" for name in PARAMETERS] + [f"metrics.`{name}`" for name in METRICS]
    return {
        "selectedColumns": columns,
        "orderByKey": f"metrics.`{TEST}`",
        "orderByAsc": False,
        "searchFilter": "",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
    }
