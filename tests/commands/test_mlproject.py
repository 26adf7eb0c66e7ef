"""`mlflow run`, for people who come from MLflow Projects."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest
import yaml

from prenda.config.paths import REPOSITORY
from tests.conftest import TINY


@pytest.mark.slow
def test_a_training_is_started_with_overrides(tmp_path):
    (tmp_path / "prenda").write_text(f'#!/bin/sh\nexec {sys.executable} -m prenda "$@"\n')
    (tmp_path / "prenda").chmod(0o755)
    overrides = shlex.join([*TINY, "backbone=dense", "backbone.units=[16,8]"])
    store = f"sqlite:///{tmp_path}/projects.db"
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MLFLOW_TRACKING_URI": store}
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "run", str(REPOSITORY), "--env-manager", "local", "-P",
         f"overrides={overrides}"],
        env=os.environ | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (config,) = (tmp_path / "home/outputs/runs").rglob("checkpoints/../config.yaml")
    assert yaml.safe_load(config.read_text())["backbone"]["units"] == [16, 8]
