"""What a training shows of each epoch, on a terminal, in a pipe and in its log."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from prenda.report.tables import read_history
from prenda.training import fit as fit_module
from prenda.training.callbacks.progress import TrainingProgress
from prenda.training.train import train
from tests.conftest import TINY, configured

RUN = (*TINY, "backbone=dense", "backbone.units=[16]", "trainer.epochs=2", "data.limit_train=700", "optimizer.lr=0.1")
EPOCH = re.compile(r"Epoch (\d)/2  loss ([\d.]+)  val/loss ([\d.]+)  val/accuracy ([\d.]+)  [\d.]+ s")


@pytest.fixture(params=[False, True], ids=["pipe", "terminal"])
def screen(request, monkeypatch) -> Console:
    console = Console(file=io.StringIO(), force_terminal=request.param, width=150)
    monkeypatch.setattr(TrainingProgress, "INTERVAL", 0.0)
    monkeypatch.setattr(fit_module, "TrainingProgress", lambda log: TrainingProgress(log, console))
    return console


@pytest.mark.slow
def test_each_epoch_shows_its_mean_loss_and_the_validation_scores(screen, tmp_path):
    train(configured(*RUN), tmp_path)
    history = read_history(tmp_path / "metrics" / "metrics.csv")
    expected = [
        (str(epoch), f"{history['train/loss'][epoch]:.3f}", f"{history['val/loss'][epoch]:.3f}",
         f"{history['val/accuracy'][epoch]:.4f}")
        for epoch in (1, 2)
    ]  # fmt: skip
    assert EPOCH.findall((tmp_path / "log.txt").read_text()) == expected
    printed = screen.file.getvalue()
    if not screen.is_terminal:
        assert EPOCH.findall(printed) == expected
    for _, loss, val_loss, val_accuracy in expected:  # after the last batch, the live line shows the mean as well
        assert f"loss {loss}" in printed
        assert f"val/loss {val_loss}  val/accuracy {val_accuracy}" in printed


def test_the_log_of_a_run_has_settings_network_and_scores(tmp_path):
    train(configured(*RUN), tmp_path)
    text = (tmp_path / "log.txt").read_text()
    for part in (
        "prenda train: ",
        "epochs: 2",
        "Linear",
        "Epoch 2/2",
        "test",
        "Test accuracy",
        "% interval ",
        "Trained in",
    ):
        assert part in text
