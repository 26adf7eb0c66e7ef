from __future__ import annotations

import gc
import os
import subprocess
import sys

from prenda.system.startup import collector_paused
from tests.conftest import TINY

FIRST_STEP = """
import gc, sys
from prenda.cli import main
from prenda.training.classifier import Classifier

def step(self, batch, batch_idx):
    print("FROZEN", gc.isenabled() and gc.get_freeze_count() > 100_000)
    print("IMPORTED", *sys.modules)
    raise SystemExit(7)

Classifier.training_step = step
sys.exit(main({arguments}))
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


def at_first_step(tmp_path, *arguments: str) -> dict[str, list[str]]:
    """What a run prints of itself at its first training step, which ends it."""
    script = FIRST_STEP.format(arguments=["train", *arguments])
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=tmp_path, env=os.environ
    )
    assert done.returncode == 7, done.stderr
    lines = (line.split() for line in done.stdout.splitlines())
    return {words[0]: words[1:] for words in lines if words and words[0] in ("FROZEN", "IMPORTED")}


def test_what_only_the_end_of_a_run_needs_is_not_imported_before_its_first_step(tmp_path):
    told = at_first_step(tmp_path, *TINY, "report=full")
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
