from __future__ import annotations

import json

import pytest
import torch

from prenda.training import checkpoints, features
from prenda.training.callbacks.progress import TrainingProgress
from prenda.training.evaluation import evaluate, load_run
from prenda.training.features import FILE
from prenda.training.train import train
from tests.conftest import TINY, configured, metrics_of

TIMM = (
    *TINY,
    "backbone=timm",
    "backbone.model=test_efficientnet",
    "data.image_size=32",
    "data.channels=3",
    "data.limit_train=60",
    "data.val_size=40",
    "optimizer.lr=1e-2",
)
FROZEN = (*TIMM, "backbone.frozen=true", "backbone.dropout=0.2", "trainer.epochs=2")


def body_of(path):
    return {name: tensor for name, tensor in checkpoints.read(path)["state_dict"].items() if ".body." in name}


@pytest.mark.slow
@pytest.mark.parametrize("settings", [(), ("mirrored_scoring=true", "augment=flip"), ("trainer.precision=bf16-mixed",)])
def test_a_head_on_kept_features_is_scored_as_the_whole_network(settings, tmp_path):
    config = configured(*FROZEN, "augment=none", *settings)
    result = train(config, tmp_path / "run")
    assert (tmp_path / "run" / FILE).is_file()
    with load_run(str(result.checkpoint)) as run:  # every picture through the whole network
        assert run.classifier.features is None
        again = evaluate(config.trainer, run.classifier, run.data, run.checkpoint)
    for name, value in metrics_of(result).items():
        split, _, metric = name.partition("/")
        assert again[split].metrics[metric] == pytest.approx(value, rel=1e-5), name


@pytest.mark.slow
def test_checkpoints_hold_the_whole_network_and_the_body_is_unchanged(tmp_path):
    result = train(configured(*FROZEN), tmp_path / "run")
    best, last = (body_of(result.checkpoint.with_name(f"{name}.ckpt")) for name in ("best", "last"))
    assert len(best) > 50
    assert all(torch.equal(tensor, last[name]) for name, tensor in best.items())
    recorded = json.loads((tmp_path / "run/scores.json").read_text())
    assert recorded["parameters"] > 100_000  # not of the head alone


@pytest.mark.slow
def test_a_resumed_run_reads_its_features_and_ends_as_an_uninterrupted_one(tmp_path, monkeypatch):
    whole = train(configured(*FROZEN, "trainer.epochs=3"), tmp_path / "whole")
    stop_after(monkeypatch, 1)
    with pytest.raises(RuntimeError, match="stopped here"):
        train(configured(*FROZEN, "trainer.epochs=3"), tmp_path / "cut")
    monkeypatch.undo()
    monkeypatch.setenv("PRENDA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(features, "_computed", None)  # calling it would fail
    resumed = train(configured(*FROZEN, "trainer.epochs=3"), tmp_path / "cut")
    one, other = (checkpoints.read(result.checkpoint)["state_dict"] for result in (whole, resumed))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def stop_after(monkeypatch, epoch):
    def stop(self, trainer, module):
        if trainer.current_epoch == epoch:
            raise RuntimeError("stopped here")

    monkeypatch.setattr(TrainingProgress, "on_train_epoch_start", stop)


def test_damaged_features_are_computed_again(tmp_path):
    path = tmp_path / FILE
    features._write(path, {"train": torch.ones(4, 100)}, "key")
    assert features._read(path, "key") is not None
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    assert features._read(path, "key") is None


@pytest.mark.slow
def test_features_of_other_content_are_computed_again(tmp_path):
    config = configured(*FROZEN)
    train(config, tmp_path / "run")
    (tmp_path / "run" / FILE).write_bytes(b"damaged")
    assert features._read(tmp_path / "run" / FILE, "key") is None
    assert features._read(tmp_path / "nothing", "key") is None


@pytest.mark.slow
@pytest.mark.parametrize("settings", [("augment=photo",), ("augment=shift_flip",), ("shifted_scoring=1",)])
def test_features_are_not_kept_where_pictures_change(settings, tmp_path):
    result = train(configured(*FROZEN, *settings, "trainer.epochs=1"), tmp_path / "run")
    assert not (tmp_path / "run" / FILE).exists()
    assert 0 <= result.score <= 1


@pytest.mark.slow
def test_a_trained_body_keeps_no_features(tmp_path):
    train(configured(*TIMM, "augment=none"), tmp_path / "run")
    assert not (tmp_path / "run" / FILE).exists()
