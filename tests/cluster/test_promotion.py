"""Promotion of runs that an MLflow server keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prenda.bundle import champions
from prenda.bundle import format as bundle
from prenda.cli import main
from prenda.tracking.registry import Registry
from prenda.training.train import train
from tests.conftest import TINY, configured
from tests.training.test_train import DENSE

from .postgres import running_mlflow

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that needs no PostgreSQL."""
    with running_mlflow(f"sqlite:///{tmp_path_factory.mktemp('server')}/mlflow.db") as address:
        yield address


@pytest.mark.parametrize("report", ["light", "none"])
def test_the_champion_of_a_server_is_left_on_this_machine(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], report: str
):
    tracking = ("tracking=server", f"tracking.uri={server}", "tracking.system_metrics=false")
    classes = {"light": "[Shirt,Coat]", "none": "[Bag,Coat]"}[report]  # a task of its own
    run = train(configured(*TINY, *DENSE, *tracking, f"report={report}", f"data.classes={classes}"), tmp_path / "run")
    assert main(["promote", str(run.run_id), "--tracking-uri", server]) == 0
    assert "is the champion: there was no champion to beat" in capsys.readouterr().out
    (place,) = champions.kept()
    assert bundle.read(place).run_id == run.run_id
    assert main(["models", "--tracking-uri", server]) == 0
    assert f"task {place.name}" in capsys.readouterr().out
    assert not (tmp_path / "home/mlruns").exists()
    names = Registry(server).models()
    assert names[0] == "prenda"
