from __future__ import annotations

import signal

import pytest
import torch
from pytorch_lightning.callbacks import Callback

from prenda.errors import ConfigError
from prenda.report.tables import read_history
from prenda.system.signals import Stopped
from prenda.training import checkpoints
from prenda.training.build import build_callbacks
from prenda.training.train import train
from tests.conftest import TINY, configured
from tests.training.test_train import DENSE

# Stops after the third epoch: a learning rate of nearly nothing improves nothing.
STALLED = (*TINY, *DENSE, "trainer.epochs=20", "optimizer.lr=1e-12", "scheduler=constant", "callbacks=early_stopping",
           "callbacks.early_stopping.patience=2")  # fmt: skip
# Improves for a while: it is interrupted before early stopping has decided.
LEARNING = (*TINY, *DENSE, "trainer.epochs=12", "scheduler=constant", "callbacks=early_stopping",
            "callbacks.early_stopping.patience=1")  # fmt: skip


class StopBefore(Callback):
    """Interrupts a run, as a signal does."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch + 1 == self.epoch:
            raise Stopped(signal.SIGTERM)


def epochs(folder) -> list[int]:
    return list(read_history(folder / "metrics/metrics.csv")["val/loss"])


def last(folder) -> dict:
    return checkpoints.read(folder / "checkpoints/last.ckpt")


def same_end(one, other) -> None:
    first, second = last(one), last(other)
    assert first["epoch"] == second["epoch"]
    assert all(torch.equal(first["state_dict"][name], value) for name, value in second["state_dict"].items())
    assert epochs(one) == epochs(other)


def test_early_stopping_ends_a_training_that_does_not_improve(tmp_path):
    train(configured(*STALLED), tmp_path)
    assert epochs(tmp_path) == [1, 2, 3]


@pytest.mark.slow
def test_an_interrupted_run_stops_where_it_would_have_stopped(tmp_path):
    train(configured(*LEARNING), tmp_path / "whole")
    stopped_at = epochs(tmp_path / "whole")[-1]
    assert 2 < stopped_at < 12, "the test needs a run that early stopping ends, but not at once"
    for epoch in sorted({2, stopped_at - 1, stopped_at}):
        folder = tmp_path / f"interrupted_{epoch}"
        with pytest.raises(Stopped):
            train(configured(*LEARNING), folder, [StopBefore(epoch)])
        train(configured(*LEARNING), folder)
        same_end(tmp_path / "whole", folder)


@pytest.mark.slow
def test_a_run_that_had_stopped_early_does_not_train_on_when_it_is_resumed(tmp_path, monkeypatch):
    def interrupt(*_: object) -> None:
        raise Stopped(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr("prenda.training.finish.write_tables", interrupt)
        with pytest.raises(Stopped):
            train(configured(*STALLED), tmp_path / "interrupted")
    train(configured(*STALLED), tmp_path / "interrupted")
    train(configured(*STALLED), tmp_path / "whole")
    same_end(tmp_path / "whole", tmp_path / "interrupted")


def test_a_target_that_is_no_callback_is_refused(tmp_path):
    config = configured(*TINY, "+callbacks.mine={_target_: prenda.backbones.dense.DenseNetwork,"
                        " image_shape: [1, 2, 2], num_classes: 2}")  # fmt: skip
    told = r"callbacks.mine._target_ is prenda.backbones.dense.DenseNetwork, which is no pytorch_lightning.Callback"
    with pytest.raises(ConfigError, match=told):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_setting_that_a_callback_does_not_know_is_refused_with_its_name():
    config = configured(*TINY, "callbacks=early_stopping", "+callbacks.early_stopping.patients=3")
    with pytest.raises(ConfigError, match=r"callbacks.early_stopping.patients is 3, but .*EarlyStopping takes no such"):
        build_callbacks(config)


def test_a_callback_that_is_null_is_left_out():
    assert build_callbacks(configured("callbacks=early_stopping", "callbacks.early_stopping=null")) == []
