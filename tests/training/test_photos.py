"""Whole runs on photos: trained, interrupted, evaluated and compared, wherever the photos are kept."""

from __future__ import annotations

import csv
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from prenda.cli import main
from prenda.system.signals import Stopped
from prenda.training import checkpoints
from prenda.training.train import train
from tests import forked
from tests.conftest import configured
from tests.data.photos import COLOURS, write_photo, write_shop

STREAMED = ("data.memory_gb=0", "data.workers=1")
UNCACHED = ("data.memory_gb=0", "data.workers=0", "data.cache_gb=0")


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """Photos of a shop with a place in their metadata, one of them cut off."""
    folder = write_shop(tmp_path_factory.mktemp("shops") / "Photos of María", {"coat": 24, "dress": 12, "hat": 6})
    cut = folder / "coat" / "cut.jpg"
    cut.write_bytes((folder / "coat/000.jpg").read_bytes()[:300])
    exif = Image.Exif()
    exif[0x010F] = "Secret camera"
    for path in (folder / "hat").iterdir():
        with Image.open(path) as picture:
            picture.load()
            picture.save(path, exif=exif, quality=95)
    return folder


def settings(shop: Path, *more: str) -> list[str]:
    return [
        "data=folder", f"data.dir='{shop}'", "data.image_size=16", "data.batch_size=8", "trainer=cpu", "backbone=dense",
        "backbone.units=[16]", "trainer.epochs=2", "tracking=offline", "report=none", "trainer.channels_last=false",
        *more,
    ]  # fmt: skip


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = checkpoints.read(folder / "checkpoints/last.ckpt")["state_dict"]
    return state


def same_weights(one: Path, two: Path) -> None:
    first, second = weights(one), weights(two)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_run_on_photos_has_every_part_of_a_report_and_no_metadata_or_place_of_a_photo(shop, tmp_path, capsys):
    result = train(configured(*settings(shop, "report=full", "trainer.epochs=20", "optimizer.lr=1e-2")), tmp_path)
    assert result.scores["test"].metrics["accuracy"] > 0.9
    for name in ("report.html", "mistakes/worst.png", "bundle/model.onnx", "confusion/test.png"):
        assert (tmp_path / name).is_file()
    printed = capsys.readouterr().out
    assert "Skipped files that cannot be read: 1, listed in " in printed
    assert "'coat' has 16 training photos, 'hat' 4. data.balance=loss or data.balance=sampler gives every" in printed
    images = rows(tmp_path / "photos/images.csv")
    assert [row["split"] for row in images].count("test") == len(result.scores["test"].labels) == 7
    tested = [row for row in images if row["split"] == "test"]
    assert [row["class"] for row in tested] == [["coat", "dress", "hat"][n] for n in result.scores["test"].labels]
    assert [row["photo"] for row in rows(tmp_path / "photos/unreadable.csv")] == ["coat/cut.jpg"]
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"Secret camera" not in content
            assert str(shop / "coat").encode() not in content


@pytest.mark.slow
@pytest.mark.parametrize("storage", [STREAMED, UNCACHED])
def test_weights_do_not_depend_on_where_the_photos_are(shop, tmp_path, storage):
    train(configured(*settings(shop)), tmp_path / "memory")
    train(configured(*settings(shop, *storage)), tmp_path / "streamed")
    same_weights(tmp_path / "memory", tmp_path / "streamed")


class Interrupted(Callback):
    """Stops a run as a signal would, in the middle of its second epoch."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.current_epoch == 1:
            raise Stopped(signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize("balance", ["none", "sampler"])
def test_an_interrupted_run_ends_as_if_nothing_had_happened(shop, tmp_path, balance):
    config = configured(*settings(shop, "trainer.epochs=3", f"data.balance={balance}", *STREAMED))
    train(config, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(config, tmp_path / "interrupted", [Interrupted()])
    assert checkpoints.read(tmp_path / "interrupted/checkpoints/last.ckpt")["epoch"] == 0
    train(config, tmp_path / "interrupted")
    same_weights(tmp_path / "whole", tmp_path / "interrupted")


@pytest.mark.slow
def test_class_weights_change_the_training(shop, tmp_path):
    for balance in ("none", "loss"):
        train(configured(*settings(shop, f"data.balance={balance}")), tmp_path / balance)
    assert any(
        not torch.equal(one, two)
        for one, two in zip(weights(tmp_path / "none").values(), weights(tmp_path / "loss").values(), strict=True)
    )
    assert not any("class_weights" in name for name in weights(tmp_path / "loss"))


@pytest.mark.slow
def test_two_processes_score_the_same_as_one(shop, tmp_path, monkeypatch):
    forked.ready()
    before = Path(os.environ["PRENDA_HOME"])  # of the fork server
    monkeypatch.setenv("PRENDA_HOME", str(tmp_path / "set later"))
    plain = settings(shop, "augment=none", "data.balance=loss", *STREAMED)
    results = [train(configured(*plain, f"trainer={trainer}"), tmp_path / trainer) for trainer in ("cpu", "ddp_cpu")]
    one, two = (result.scores["test"].probabilities for result in results)
    assert np.allclose(one, two, atol=1e-3)
    assert not (before / "data").exists()  # the processes had the environment of their launcher


@pytest.mark.slow
def test_a_run_is_evaluated_on_its_photos_and_refuses_others(shop, tmp_path, capsys):
    folder = write_shop(tmp_path / "shop", {"coat": 8, "hat": 8})
    result = train(configured(*settings(folder)), tmp_path / "run")
    capsys.readouterr()
    assert main(["evaluate", str(result.checkpoint)]) == 0
    assert f"{result.scores['test'].metrics['accuracy']:.2%}" in capsys.readouterr().out
    write_photo(folder / "hat/000.jpg", seed=99)
    assert main(["evaluate", str(result.checkpoint)]) == 2
    assert f"--data-dir is {folder}, where folder has the content" in capsys.readouterr().err
    assert main(["evaluate", str(result.checkpoint), "--any-data"]) == 0


@pytest.mark.slow
def test_two_runs_on_photos_are_compared_with_pictures(shop, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for seed, rate in enumerate((1e-5, 1e-2)):
        more = (f"seed={seed}", "trainer.epochs=6", f"optimizer.lr={rate}", *STREAMED)
        train(configured(*settings(shop, *more)), tmp_path / f"run{seed}")
    assert main(["compare", str(tmp_path / "run0"), str(tmp_path / "run1")]) == 0
    printed = capsys.readouterr().out
    assert "--data-dir" not in printed
    home = Path(os.environ["PRENDA_HOME"])
    assert list(home.glob("outputs/compare/*/*/**/*_right_*_wrong.png"))


def test_classes_have_their_colours(shop):
    assert set(COLOURS) > {path.name for path in shop.iterdir()}
