"""Settings that meet: every two values of a group of settings in some row, refused clearly or trained for two steps."""

from __future__ import annotations

import itertools
import math
import os

import pytest

from prenda.data.batches import training_batches
from prenda.errors import UserError
from prenda.training.train import train
from tests.reliability.hostile_settings import BASE, all_pairs, check_refusal, configured, ready, tiny, trained

SMALL = [setting for setting in BASE if not setting.startswith(("backbone", "data.batch_size"))]
BATCHES = {
    "data.batch_size": ["1", "2", "1000"],
    "trainer.devices": ["1", "2"],
    "data.limit_train": ["1", "3", "17"],
    "data.eval_batch_size": ["1", "1000"],
    "data.balance": ["none", "loss", "sampler"],
    "backbone": ["dense", "cnn_batch_norm"],
    "backbone.batch_norm": ["true", "false"],
}
IMAGES = {
    "data.image_size": ["1", "28", "33"],
    "data.channels": ["1", "3"],
    "backbone": ["dense", "cnn", "cnn_batch_norm", "resnet", "resnet9", "torchvision"],
    "augment.size": ["null", "1", "20"],
    "augment": ["none", "erase", "photo"],
    "trainer.channels_last": ["true", "false"],
    "shifted_scoring": ["0", "1", "27"],
    "mirrored_scoring": ["true", "false"],
}
POOLS = {
    "data.image_size": ["4", "28", "31"],
    "backbone.pooling": ["max", "average", "none"],
    "backbone.pool_size": ["1", "2", "5"],
    "backbone.stride": ["1", "2"],
    "backbone.padding": ["0", "1", "same"],
    "backbone.kernel_size": ["1", "2", "5"],
    "backbone.batch_norm": ["true", "false"],
}
STEPS = {
    "optimizer": ["adam", "adamw", "muon", "rmsprop", "sgd"],
    "scheduler": ["constant", "cosine", "one_cycle", "step"],
    "trainer.precision": ["32", "bf16-mixed", "16-mixed"],
    "trainer.gradient_clip": ["null", "1e-30", "1", "1e30"],
    "ema": ["null", "0.5", "0.999999"],
    "label_smoothing": ["0", "0.99"],
    "data.balance": ["none", "loss"],
    "optimizer.weight_decay": ["0", "0.5"],
}
RECORDS = {
    "report": ["full", "light", "none"],
    "report.every_n_epochs": ["0", "1"],
    "report.settings": ["changed", "all"],
    "tracking": ["offline", "local"],
}


def rows(factors: dict[str, list[str]]) -> list[list[str]]:
    return [[f"{name}={value}" for name, value in row.items()] for row in all_pairs(factors)]


def told(row: list[str]) -> str:
    return " ".join(row)


def test_every_pair_is_in_some_row():
    made = all_pairs(STEPS)
    for one, two in itertools.combinations(STEPS, 2):
        assert {(row[one], row[two]) for row in made} == set(itertools.product(STEPS[one], STEPS[two]))
    assert len(made) < 30
    assert made == all_pairs(STEPS)


@pytest.mark.parametrize("row", rows(BATCHES), ids=told)
def test_batches_of_any_size_are_shared_or_refused(row, tmp_path):
    """The processes of a run take the same number of steps, whatever is left for the last one."""
    devices = 2 if "trainer.devices=2" in row else 1
    settings = [setting for setting in row if setting != "trainer.devices=2"]
    try:
        parts = ready(configured([*SMALL, *row]), tmp_path / "run")
    except UserError as error:
        check_refusal(error)
        return
    data = parts.data
    batches = [
        [len(labels) for _, labels in training_batches(data.split("train"), data.batch_size, 0, devices, rank)]
        for rank in range(devices)
    ]
    assert len({len(sizes) for sizes in batches}) == 1
    assert all(min(sizes) > 0 for sizes in batches)
    if devices == 1:
        loss = trained(configured([*SMALL, *settings]), tmp_path / "trained")
        assert loss is not None
        assert math.isfinite(loss)


@pytest.mark.parametrize("row", rows(IMAGES), ids=told)
def test_images_of_any_shape_train_or_are_refused(row, tmp_path):
    _trains_or_is_refused([*SMALL, "data.limit_train=4", "data.batch_size=2", *row], tmp_path)


@pytest.mark.parametrize("row", rows(POOLS), ids=told)
def test_stages_of_any_shape_train_or_are_refused(row, tmp_path):
    _trains_or_is_refused([*SMALL, "backbone=cnn", "data.limit_train=4", "data.batch_size=2", *row], tmp_path)


@pytest.mark.parametrize("row", rows(STEPS), ids=told)
def test_steps_of_any_kind_train_or_are_refused(row, tmp_path):
    network = ["backbone=dense", "backbone.units=[8]"]
    _trains_or_is_refused([*SMALL, *network, "data.limit_train=16", "data.batch_size=8", *row], tmp_path)


@pytest.mark.skipif("PRENDA_TORTURE" not in os.environ, reason="whole runs, 10 to 20 seconds each: on request alone")
@pytest.mark.parametrize("row", rows(RECORDS), ids=told)
def test_reports_and_records_of_any_kind_are_written(row, tmp_path, capsys):
    network = ["backbone=dense", "backbone.units=[8]"]
    given = [setting for setting in SMALL if not setting.startswith(("report", "tracking"))]
    config = configured([*given, *network, "data.limit_train=16", "data.batch_size=8", *row])
    with tiny():
        result = train(config, tmp_path / "run")
    assert math.isfinite(result.scores["test"].metrics["loss"])
    assert (result.run_id is None) == ("tracking=offline" in row)


def _trains_or_is_refused(overrides: list[str], folder) -> None:
    try:
        config = configured(overrides)
    except UserError as error:
        check_refusal(error)
        return
    loss = trained(config, folder / "run")
    assert loss is None or math.isfinite(loss)
