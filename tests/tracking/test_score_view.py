"""The view of an experiment that `prenda ui` opens; tests/browser looks at it in MLflow's UI."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

from prenda.tracking import score_view
from prenda.tracking.store import connect, experiment_id
from prenda.training.finish import RECORDED


@pytest.fixture
def client(tmp_path):
    return connect(f"sqlite:///{tmp_path}/mlruns/mlflow.db")


def test_the_experiment_keeps_a_view_with_columns_of_scores(client, tmp_path):
    experiment = experiment_id(client, "prenda", str(tmp_path / "artifacts"))
    assert score_view.share(client, experiment) == "viewStateShareKey=scores"
    kind, _, value = client.get_experiment(experiment).tags["mlflow.sharedViewState.scores"].partition(";")
    assert kind == "deflate"
    state = json.loads(zlib.decompress(base64.b64decode(value)))
    assert {"params.`backbone`", "metrics.`test/accuracy`", "metrics.`best/val/accuracy`"} <= set(
        state["selectedColumns"]
    )
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`test/accuracy`", False)


def test_its_columns_are_scores_that_runs_record():
    assert set(score_view.METRICS) <= set(RECORDED)


def test_a_view_that_is_there_is_not_written_again(client, tmp_path, monkeypatch):
    experiment = experiment_id(client, "prenda", str(tmp_path / "artifacts"))
    score_view.share(client, experiment)
    monkeypatch.setattr(client, "set_experiment_tag", None)
    score_view.share(client, experiment)
