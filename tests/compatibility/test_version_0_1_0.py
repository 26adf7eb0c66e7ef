"""Run folders that version 0.1.0 wrote are resumed, scored and compared by this version.

`version_0_1_0/finished` is a run of four epochs; `interrupted` is the same run, stopped after two.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from prenda.cli import main
from prenda.report.tables import read_history
from prenda.training.evaluation import evaluate_again

RECORDED = Path(__file__).parent / "version_0_1_0"


@pytest.fixture
def runs(tmp_path) -> Path:
    return Path(shutil.copytree(RECORDED, tmp_path / "runs"))


def test_an_interrupted_run_is_resumed_to_the_result_of_the_whole_one(runs):
    assert main(["resume", str(runs / "interrupted")]) == 0
    resumed, whole = (read_history(runs / run / "metrics/metrics.csv") for run in ("interrupted", "finished"))
    assert list(resumed["train/loss"]) == [1, 2, 3, 4]
    for name in ("train/loss", "val/loss", "val/accuracy", "train/lr"):
        assert resumed[name] == pytest.approx(whole[name], rel=1e-4)


def test_a_checkpoint_is_scored_as_it_was_recorded(runs):
    recorded = json.loads((runs / "finished/scores.json").read_text())
    scores = evaluate_again(str(runs / "finished/checkpoints/best.ckpt"))
    for name, value in scores["test"].metrics.items():
        assert value == pytest.approx(recorded[f"test/{name}"], abs=1e-4)


def test_runs_of_both_versions_are_compared(runs, capsys):
    assert main(["resume", str(runs / "interrupted")]) == 0
    assert main(["compare", str(runs / "finished"), str(runs / "interrupted"), "--no-record"]) == 0
    assert "A and B predict different classes on" in " ".join(capsys.readouterr().out.split())
