"""Run folders that version 0.1.0 wrote are scored and compared by this version; an interrupted one is not resumed.

They have results version 1: this version would draw other batches for the remaining epochs.

`version_0_1_0/finished` is a run of four epochs; `interrupted` is the same run, stopped after two.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from prenda.cli import main
from prenda.config.convert import typed
from prenda.training.evaluation import evaluate_again
from prenda.training.train import train

RECORDED = Path(__file__).parent / "version_0_1_0"


@pytest.fixture
def runs(tmp_path) -> Path:
    return Path(shutil.copytree(RECORDED, tmp_path / "runs"))


def test_an_interrupted_run_is_refused_by_name_and_left(runs, capsys):
    before = {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()}
    assert main(["resume", str(runs / "interrupted")]) == 2
    printed = capsys.readouterr().err
    assert f"{runs / 'interrupted'} holds a run of results version 1, but this prenda has results version 2" in printed
    assert "train the run again in another folder (prenda train" in printed
    assert {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()} == before


def test_an_interrupted_run_is_scored_at_its_best_epoch(runs):
    assert 0 < evaluate_again(str(runs / "interrupted/checkpoints/best.ckpt"))["val"].metrics["accuracy"] < 1


def test_a_checkpoint_is_scored_as_it_was_recorded(runs):
    recorded = json.loads((runs / "finished/scores.json").read_text())
    scores = evaluate_again(str(runs / "finished/checkpoints/best.ckpt"))
    for name, value in scores["test"].metrics.items():
        assert value == pytest.approx(recorded[f"test/{name}"], abs=1e-4)


@pytest.mark.slow
def test_runs_of_both_versions_are_compared(runs, capsys):
    settings = OmegaConf.load(runs / "finished/config.yaml")
    train(typed(OmegaConf.masked_copy(settings, [key for key in settings if key != "paths"])), runs / "new")
    assert main(["compare", str(runs / "finished"), str(runs / "new"), "--no-record"]) == 0
    assert "A and B predict different classes on" in " ".join(capsys.readouterr().out.split())
