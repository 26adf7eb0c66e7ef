from __future__ import annotations

import gc
import os
import subprocess
import sys

import pytest

from prenda.system.startup import collector_paused
from tests.conftest import TINY

# Two runs: the first ends in its first step, and the second does all that it does without MLflow.
RUNS = """
import gc, sys
from prenda.cli import main
from prenda.training.classifier import Classifier

def step(self, batch, batch_idx):
    print("FROZEN", gc.isenabled() and gc.get_freeze_count() > 100_000)
    print("IMPORTED", *sys.modules)
    raise SystemExit(7)

usual, Classifier.training_step = Classifier.training_step, step
try:
    main({first})
except SystemExit as end:
    assert end.code == 7, end.code
Classifier.training_step = usual
assert not sys.modules.get("mlflow")
sys.modules["mlflow"] = None  # importing it now raises
sys.exit(main({second}))
"""
LATER = {
    "onnxruntime",
    "onnx",
    "onnxscript",
    "safetensors",
    "jinja2",
    "prenda.bundle.export",
}  # a report's and a bundle's
ELSEWHERE = {"mlflow", "sqlalchemy", "pandas", "optuna", "sklearn", "tensorboard", "ray", "submitit"}


@pytest.mark.slow
def test_what_only_the_end_of_a_run_needs_is_not_imported_before_its_first_step_and_offline_mlflow_never(tmp_path):
    script = RUNS.format(first=["train", *TINY, "report=full"], second=["train", *TINY, "backbone=dense"])
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=tmp_path, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "home/outputs").rglob("best.ckpt"))) == 1
    lines = (line.split() for line in done.stdout.splitlines())
    told = {words[0]: words[1:] for words in lines if words and words[0] in ("FROZEN", "IMPORTED")}
    imported = set(told["IMPORTED"])
    assert "torch" in imported
    assert sorted((LATER | ELSEWHERE) & imported) == []
    assert told["FROZEN"] == ["True"]


def test_the_collector_rests_within_and_not_after():
    with collector_paused():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_collector_stays_off_where_it_was_off():
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
