"""What `trainer.profile` records, and that it changes nothing else."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import Callback

from prenda.training import checkpoints
from prenda.training.profile import OPERATIONS, TRACE, Trace
from prenda.training.train import train
from tests.conftest import TINY, configured, metrics_of

# 700 images are 6 steps an epoch.
DENSE = (*TINY, "backbone=dense", "backbone.units=[16]", "data.limit_train=700")


def events(folder: Path) -> list[dict[str, Any]]:
    with gzip.open(folder / TRACE, "rt", encoding="utf-8") as file:
        return json.load(file)["traceEvents"]


def spans(folder: Path) -> Counter[str]:
    return Counter(event["name"] for event in events(folder) if event["ph"] == "X")


@pytest.mark.slow
def test_a_trace_names_operations_layers_and_hooks_and_the_table_is_sorted_by_each_operations_own_time(tmp_path, capfd):
    train(configured(*DENSE, "trainer.profile=2"), tmp_path)
    for event in events(tmp_path):
        assert {"ph", "name", "pid", "tid", "ts"} <= event.keys()
        assert event["ph"] != "X" or event["dur"] >= 0
    found = spans(tmp_path)
    twice = (  # in two steps of training
        "run_training_batch",
        "[Strategy]SingleDeviceStrategy.training_step",
        "[Strategy]SingleDeviceStrategy.backward",
        "Optimizer.step#AdamW.step",
        "[Callback]TrainingProgress.on_train_batch_end",
    )
    assert {name: found[name] for name in twice} == dict.fromkeys(twice, 2)
    for name in (
        "aten::addmm",
        "AddmmBackward0",
        "[pl][module]torch.nn.modules.linear.Linear: backbone.1",
        "[_TrainingEpochLoop].train_dataloader_next",
        "[LightningDataModule]ImageDataModule.on_after_batch_transfer",
        "[Strategy]SingleDeviceStrategy.validation_step",
        "[LightningModule]Classifier.on_validation_epoch_end",
        "[Callback]ModelCheckpoint.on_train_epoch_end",
        "save_checkpoint",
    ):
        assert found[name], name
    printed = capfd.readouterr()
    assert printed.err == ""
    assert f"Trace             {tmp_path / TRACE}" in printed.out
    rows = [line for line in (tmp_path / OPERATIONS).read_text().splitlines() if "%" in line][1:]
    shares = [float(line.partition("%")[0].split()[-1]) for line in rows]
    assert len(shares) > 50
    assert shares == sorted(shares, reverse=True)
    assert any(line.split()[0] == "aten::addmm" for line in rows)


@pytest.mark.slow
def test_a_profiled_run_gives_the_same_result_to_the_bit(tmp_path):
    settings = (*DENSE, "trainer.epochs=2", "backbone.dropout=0.3", "augment=erase")
    plain = train(configured(*settings), tmp_path / "plain")
    profiled = train(configured(*settings, "trainer.profile=3"), tmp_path / "profiled")
    assert metrics_of(plain) == metrics_of(profiled)
    one, two = (checkpoints.read(result.checkpoint)["state_dict"] for result in (plain, profiled))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert not (tmp_path / "plain/profile").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "recorded"), [(3, 3), (6, 6), (1000, 6)])
def test_one_epoch_is_recorded_at_most(steps, recorded, tmp_path):
    train(configured(*DENSE, "trainer.epochs=2", f"trainer.profile={steps}"), tmp_path)
    assert spans(tmp_path)["run_training_batch"] == recorded


@pytest.mark.slow
def test_trainer_profile_is_a_short_run(tmp_path):
    config = configured("trainer=profile", *(each for each in DENSE if not each.startswith("trainer")))
    assert (config.trainer.epochs, config.trainer.profile) == (1, 20)
    train(config, tmp_path)
    assert spans(tmp_path)["run_training_batch"] == 6


def test_of_several_processes_only_the_first_records(tmp_path):
    second = SimpleNamespace(is_global_zero=False, num_training_batches=1)
    trace = Trace(1, tmp_path, layers=True)
    trace.on_train_batch_start(second, torch.nn.Identity(), None, 0)
    assert not torch.autograd._profiler_enabled()
    trace.on_train_end(second, torch.nn.Identity())
    assert list(tmp_path.iterdir()) == []


class Fails(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if batch_idx == self.step:
            raise RuntimeError("no more")


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 4], ids=["before recording", "while recording"])
def test_a_run_that_fails_leaves_no_profiler_behind(step, tmp_path):
    config = configured(*DENSE, "trainer.profile=2")
    with pytest.raises(RuntimeError, match="no more"):
        train(config, tmp_path / "failed", [Fails(step)])
    assert not torch.autograd._profiler_enabled()
    assert not (tmp_path / "failed" / TRACE).exists()
    train(config, tmp_path / "next")
    assert spans(tmp_path / "next")["run_training_batch"] == 2
