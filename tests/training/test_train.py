"""Whole runs, from the configuration to what they leave behind."""

from __future__ import annotations

import json
import platform
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
import torch

from prenda.config.recorded import load
from prenda.data.datasets import find
from prenda.errors import ConfigError
from prenda.training import checkpoints
from prenda.training.build import with_precision
from prenda.training.train import join, train
from tests.conftest import REAL_DATA, TINY, configured, metrics_of, needs_real_data, unwritten
from tests.forked import ForkedCommand

DENSE = ("backbone=dense", "backbone.units=[16]")


def weights(result) -> dict[str, torch.Tensor]:
    return checkpoints.read(result.checkpoint)["state_dict"]


def same(one, two) -> bool:
    return all(torch.equal(value, weights(two)[name]) for name, value in weights(one).items())


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["dense", "cnn", "resnet", "torchvision"])
@pytest.mark.parametrize(
    "shape",
    [
        ("data.image_size=32", "data.channels=3", "data.normalize=unit"),
        ("data.classes=[Shirt,Coat]", "data.val_size=40", "data.limit_train=100"),
    ],
    ids=["32x32x3", "two classes"],
)
def test_every_backbone_trains_on_images_of_any_shape(backbone, shape, tmp_path):
    # Without AVX-512, torch 2.14.1 crashes in the gradient of a 1x1 convolution of 4 channels with stride 2.
    smaller = {"resnet": ["backbone.widths=[8,16]", "backbone.blocks=[1,1]"]}.get(backbone, [])
    result = train(configured(*TINY, f"backbone={backbone}", *shape, *smaller), tmp_path)
    assert set(result.scores) == {"val", "test"}
    assert result.scores["test"].confusion.sum() == (100 if "classes" in shape[0] else 500)


@pytest.mark.slow
def test_the_network_learns(tmp_path):
    result = train(configured(*TINY, *DENSE, "data.limit_train=1800", "trainer.epochs=4"), tmp_path)
    assert result.scores["test"].metrics["accuracy"] > 0.5  # chance is 0.1


@pytest.mark.slow
@pytest.mark.parametrize("settings", [(), ("augment=erase", "ema=0.9", "backbone=cnn", "backbone.filters=[4,4]")])
def test_the_same_seed_gives_the_same_weights_to_the_bit(settings, tmp_path):
    overrides = [*TINY, *DENSE, "trainer.epochs=2"] if not settings else [*TINY, "trainer.epochs=2", *settings]
    one, two = (train(configured(*overrides), tmp_path / str(run)) for run in (1, 2))
    assert same(one, two)
    assert metrics_of(one) == metrics_of(two)


@pytest.mark.slow
def test_seed_0_is_a_seed(tmp_path):
    zero, again, other = (
        train(configured(*TINY, *DENSE, f"seed={seed}"), tmp_path / str(run)) for run, seed in enumerate((0, 0, 1))
    )
    assert same(zero, again)
    assert not same(zero, other)


def test_of_equal_epochs_the_last_is_kept(tmp_path):
    settings = ("scheduler=constant", "optimizer.lr=1e-30", "trainer.epochs=3")
    assert train(configured(*TINY, *DENSE, *settings), tmp_path).best_epoch == 3


def test_the_best_epoch_by_validation_is_scored_and_the_last_is_kept_too(tmp_path):
    # A rate that ruins the network after the first steps makes the first epoch the best.
    settings = ("scheduler=constant", "optimizer=sgd", "optimizer.lr=3", "trainer.epochs=4", "data.limit_train=600")
    result = train(configured(*TINY, *DENSE, *settings), tmp_path)
    best, last = (checkpoints.read(tmp_path / "checkpoints" / f"{name}.ckpt") for name in ("best", "last"))
    lines = (tmp_path / "metrics/metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("val/accuracy")
    history = [float(value) for line in lines[1:] if (value := line.split(",")[column])]
    assert result.score == pytest.approx(max(history), abs=1e-6)
    assert result.best_epoch == best["epoch"] + 1 == history.index(max(history)) + 1
    assert best["epoch"] + 1 < 4 == last["epoch"] + 1
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


@pytest.mark.slow
def test_a_run_leaves_its_settings_scores_and_matrices_in_its_folder(tmp_path):
    result = train(configured(*TINY, *DENSE, "report=light"), tmp_path)
    assert "lr: 0.005" in (tmp_path / "config.yaml").read_text()
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["test/accuracy"] == result.scores["test"].metrics["accuracy"]
    assert scores["best/val/accuracy"] == result.score
    for split, count in (("val", 200), ("test", 500)):
        matrix = json.loads((tmp_path / f"confusion/{split}.json").read_text())
        assert sum(map(sum, matrix["matrix"])) == count
        assert matrix["class_names"][6] == "Shirt"
        assert (tmp_path / f"confusion/{split}.png").read_bytes().startswith(b"\x89PNG")
    assert "torch==" in (tmp_path / "environment.txt").read_text()
    assert scores["test/f1/Shirt"] >= 0


FULL = (
    "bundle/model.onnx",
    "bundle/model.json",
    "bundle/weights.safetensors",
    "training/curves.png",
    "calibration/reliability.png",
    "calibration/calibration.json",
    "mistakes/worst.png",
    "mistakes/worst.csv",
    "mistakes/pairs.png",
    "mistakes/pairs.csv",
    "network/first_layer.png",
    "classes/train.csv",
    "confusion/train.png",
    "confusion/test_percent.png",
    "confusion/epochs/epoch_002.png",
    "confusion/epochs/epoch_003.png",
    "report.html",
)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", [DENSE, ("backbone=cnn", "backbone.filters=[4]")], ids=["dense", "cnn"])
def test_a_full_report_has_every_part(backbone, tmp_path):
    settings = ("report=full", "report.every_n_epochs=2", "trainer.epochs=3")
    result = train(configured(*TINY, *backbone, *settings), tmp_path)
    assert [file for file in FULL if not (tmp_path / file).exists()] == []
    assert not (tmp_path / "confusion/epochs/epoch_001.png").exists()
    page = (tmp_path / "report.html").read_text()
    assert f"{result.scores['train'].metrics['accuracy']:.2%}" in page
    assert page.count("data:image/png;base64,") == 9
    scores = json.loads((tmp_path / "scores.json").read_text())
    for name in ("test/top2_accuracy", "test/calibrated/ece", "best/train/loss", "best/val/f1/Shirt", "temperature"):
        assert name in scores


@pytest.mark.slow
def test_training_images_are_scored_as_they_are(tmp_path):
    """In evaluation mode and without augmentation, so that the figure differs from what training saw."""
    settings = ("report=full", "augment=erase", "data.limit_train=400", "trainer.epochs=4")
    with unwritten():
        result = train(configured(*TINY, *DENSE, *settings, "backbone.dropout=0.5"), tmp_path)
    lines = (tmp_path / "metrics/metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("train/accuracy")
    as_it_went = [float(value) for line in lines[1:] if (value := line.split(",")[column])]
    assert len(result.scores["train"].labels) == 400
    assert result.scores["train"].metrics["accuracy"] > max(as_it_went)


@pytest.mark.slow
def test_without_a_report_figures_and_tables_are_kept_and_no_picture(tmp_path):
    train(configured(*TINY, *DENSE), tmp_path)
    assert list(tmp_path.rglob("*.png")) == []
    assert not (tmp_path / "report.html").exists()
    kept = ("scores.json", "classes/test.csv", "confusion/test.json", "predictions/test.npz")
    assert all((tmp_path / file).exists() for file in kept)


def test_kept_predictions_are_those_that_were_scored(tmp_path):
    result = train(configured(*TINY, *DENSE), tmp_path)
    with np.load(tmp_path / "predictions/test.npz", allow_pickle=False) as kept:
        assert kept["labels"].tolist() == find("generated").load(tmp_path).test_labels.tolist()
        assert kept["logits"].dtype == np.float32
        right = (kept["logits"].argmax(1) == kept["labels"]).mean()
    assert right == pytest.approx(result.scores["test"].metrics["accuracy"])


@pytest.mark.slow
def test_a_run_shows_its_settings_network_progress_and_scores(tmp_path, capsys):
    train(configured(*TINY, "backbone=cnn", "data.val_size=100", "report=light"), tmp_path)
    printed = capsys.readouterr().out
    for expected in (
        "val_size: 100",
        "121,930",
        "32, 13, 13",
        "Epoch 1/1",
        "val/accuracy",
        "Confusion matrix",
        "test.png",
    ):
        assert expected in printed


def test_a_checkpoint_says_what_it_was_trained_on(tmp_path):
    notes = checkpoints.read(train(configured(*TINY, *DENSE), tmp_path).checkpoint)["prenda"]
    assert notes["config"]["backbone"]["units"] == [16]
    assert notes["class_names"][0] == "T-shirt/top"
    assert notes["image_shape"] == [1, 28, 28]
    assert len(notes["content_hash"]) == 64


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop", "muon"])
@pytest.mark.parametrize("scheduler", ["constant", "one_cycle", "cosine", "step"])
def test_every_optimizer_runs_under_every_scheduler(optimizer, scheduler, tmp_path):
    result = train(configured(*TINY, *DENSE, f"optimizer={optimizer}", f"scheduler={scheduler}"), tmp_path)
    assert result.score >= 0


@pytest.mark.slow
def test_averaged_weights_are_what_is_scored_and_kept(tmp_path):
    plain, averaged = (train(configured(*TINY, *DENSE, f"ema={ema}"), tmp_path / str(ema)) for ema in ("null", 0.99))
    assert not same(plain, averaged)
    assert "current_model_state" in checkpoints.read(averaged.checkpoint)


@pytest.mark.slow
def test_two_processes_score_the_same_as_one(prenda, tmp_path):
    settings = (*TINY, *DENSE, "augment=none", "trainer.epochs=2", "data.limit_train=512", "trainer.threads=1")
    one = train(configured(*settings), tmp_path / "one")
    more = ("trainer=ddp_cpu", "trainer.profile=2", f"hydra.run.dir={tmp_path / 'two'}")
    done = prenda("train", *settings, *more)
    assert done.returncode == 0, done.stderr
    two = checkpoints.read(tmp_path / "two/checkpoints/best.ckpt")["state_dict"]
    for name, value in weights(one).items():
        torch.testing.assert_close(value, two[name], rtol=1e-3, atol=1e-5)
    scores = json.loads((tmp_path / "two/scores.json").read_text())
    found = {name: scores[name.replace("val/", "best/val/")] for name in metrics_of(one)}
    assert metrics_of(one) == pytest.approx(found, abs=2e-3)
    assert (tmp_path / "two/profile/trace.json.gz").is_file()
    assert "Epoch 2/2" in done.stdout  # by the first process
    for library_text in ("sync_dist", "run_id", "GLOBAL_RANK"):
        assert library_text not in done.stdout + done.stderr
    assert (tmp_path / "two/log.txt").read_text().count("Epoch 2/2") == 1  # that of the first process


def test_a_last_batch_of_one_image_trains_with_batch_norm(tmp_path):
    settings = ("backbone.batch_norm=true", "data.limit_train=129")
    assert train(configured(*TINY, *DENSE, *settings), tmp_path).score >= 0


@pytest.mark.slow
def test_an_image_may_be_a_batch_where_the_network_can_be_trained_on_it(tmp_path):
    settings = ("backbone=cnn_batch_norm", "data.limit_train=4", "data.batch_size=1")
    assert train(configured(*TINY, *settings), tmp_path).score >= 0


def test_moves_by_all_but_one_pixel_are_accepted(tmp_path):
    settings = ("augment.shift=27", "shifted_scoring=27")
    assert train(configured(*TINY, *DENSE, *settings), tmp_path).score >= 0


def test_a_batch_that_the_processes_of_torchrun_cannot_share_is_refused(tmp_path, monkeypatch):
    started = {"TORCHELASTIC_RUN_ID": "1", "RANK": "0", "WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "2"}
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    told = "data.batch_size is 128, which 6 processes cannot share equally: give a multiple of 6, such as 126 or 132"
    for start in (train, join):
        with pytest.raises(ConfigError, match=told):
            start(configured(*TINY, *DENSE), tmp_path / "run")


def test_lower_precision_trains_on_the_cpu(tmp_path):
    assert train(configured(*TINY, *DENSE, "trainer.precision=bf16-mixed"), tmp_path).score >= 0


@pytest.mark.slow
@pytest.mark.parametrize(("capability", "recorded"), [("avx512_bf16", "bf16-mixed"), ("avx2", "32")])
def test_precision_is_bf16_only_where_the_processor_computes_it(tmp_path, monkeypatch, capsys, capability, recorded):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True, "amx_bf16": False})
    config = configured(*TINY, *DENSE, "trainer=cpu", "trainer.precision=auto")
    assert load(train(config, tmp_path).folder / "config.yaml").trainer.precision == recorded
    train(config, tmp_path)  # the same folder: what `auto` was is no other setting
    assert "emulates" not in capsys.readouterr().err


def test_emulated_precision_is_told(monkeypatch, capsys):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False})
    with_precision(configured(*TINY, *DENSE, "trainer=cpu", "trainer.precision=bf16-mixed"))
    told = "trainer.precision is bf16-mixed, which this processor only emulates, several times slower than float32: "
    assert told + "trainer.precision=auto" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "backend",
    [
        "eager",  # all of torch.compile but the compiler
        pytest.param(
            "inductor",
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(shutil.which("g++") is None, reason="it needs a C++ compiler on the CPU"),
            ],
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0")
def test_a_compiled_network_is_kept_as_any_other(backend, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    plain, compiled = (
        train(configured(*TINY, *DENSE, f"trainer.compile={on}"), tmp_path / str(on)) for on in (False, True)
    )
    assert set(weights(plain)) == set(weights(compiled))
    for name, value in weights(plain).items():
        torch.testing.assert_close(value, weights(compiled)[name], rtol=1e-3, atol=1e-4)


def test_a_training_that_diverges_ends_with_what_to_do(tmp_path):
    settings = ("optimizer=sgd", "optimizer.lr=1e12", "trainer.epochs=3", "report=full")
    told = r"(train|val)/loss is (nan|inf) in epoch 1: training diverged at a learning rate of .*smaller optimizer.lr"
    with pytest.raises(ValueError, match=told):
        train(configured(*TINY, *DENSE, *settings), tmp_path)


@pytest.mark.slow
def test_a_training_that_diverges_in_one_of_several_processes_is_told_in_a_line(prenda):
    settings = ("optimizer=sgd", "optimizer.lr=1e12", "trainer=ddp_cpu", "trainer.epochs=5")
    done = prenda("train", *TINY, *DENSE, *settings)
    assert done.returncode == 2
    assert "training diverged at a learning rate of" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_gradients_are_clipped(tmp_path):
    plain, clipped = (
        train(configured(*TINY, *DENSE, "optimizer=sgd", f"trainer.gradient_clip={clip}"), tmp_path / str(clip))
        for clip in ("null", 1e-6)
    )
    assert not same(plain, clipped)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("trainer=gpu", "trainer.accelerator is gpu, but PyTorch finds no CUDA GPU on this machine: use trainer=cpu"),
        ("trainer=ddp", "trainer.accelerator is gpu, but PyTorch finds no CUDA GPU on this machine: use trainer=cpu"),
        ("trainer.precision=16-mixed", "trainer.precision is 16-mixed, which needs a GPU: use bf16-mixed or 32"),
        ("trainer.devices=128", r"trainer.devices is 128, but this machine has \d+ of cpu: give at most"),
        ("trainer.devices=-1", r"trainer.devices is -1, but this machine has \d+ of cpu"),
        ("trainer.sync_batchnorm=true", "trainer.sync_batchnorm is true, which PyTorch supports on GPUs only"),
        ("optimizer.betas=[2,2]", "optimizer: torch.optim.AdamW cannot be made from .*Invalid beta"),
        ("+optimizer.speed=2", "optimizer.speed is 2, but torch.optim.AdamW takes no such setting: leave it out"),
        ("scheduler.warmup=2", "scheduler.warmup is 2: it must be a number, more than 0 and less than 1"),
        ("scheduler=step scheduler.factor=abc", "scheduler.factor is 'abc': it must be a number, more than 0 and at"),
        ("augment.shift=28", "augment.shift is 28, but the images have 28x28 pixels: it must be less than 28"),
        ("shifted_scoring=99", "shifted_scoring is 99, but the images have 28x28 pixels: it must be less than 28"),
        ("data.image_size=20 shifted_scoring=20", "but the images have 20x20 pixels: it must be less than 20"),
        (
            "backbone=dense backbone.batch_norm=true data.batch_size=1",
            "data.batch_size is 1, with 200 training images and trainer.devices=1: each step has a single image",
        ),
        (
            "backbone=dense backbone.batch_norm=true data.limit_train=1",
            "data.batch_size is 128, with 1 training images and trainer.devices=1: each step has a single image",
        ),
        ("data.batch_size=3 trainer=ddp_cpu", "data.batch_size is 3, which 2 processes cannot share equally"),
        ("data.val_size=5000", "data.val_size is 5000, but there are 2000 training images in all"),
        ("backbone.units=[0]", r"backbone.units is \[0\]"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_recorded(override, told, tmp_path):
    overrides = [*DENSE[:1], *override.split()]
    with pytest.raises(ValueError, match=told):
        train(configured(*TINY, "tracking=mlflow", *overrides), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "home").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="Metal is looked for")
def test_an_apple_gpu_elsewhere_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"trainer.accelerator is mps, but this is no Apple computer with Metal"):
        train(configured(*TINY, "trainer=mps"), tmp_path)


@pytest.mark.slow
def test_a_backbone_takes_one_file_and_one_yaml(prenda, tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/linear.py").write_text(
        "from torch import nn\n\n"
        "class Linear(nn.Sequential):\n"
        "    def __init__(self, image_shape, num_classes, bias=True):\n"
        "        channels, height, width = image_shape\n"
        "        super().__init__(nn.Flatten(), nn.Linear(channels * height * width, num_classes, bias))\n"
    )
    (tmp_path / "conf/backbone").mkdir(parents=True)
    (tmp_path / "conf/backbone/linear.yaml").write_text("_target_: shop.linear.Linear\nbias: false\n")
    overrides = ["--config-dir", str(tmp_path / "conf"), *TINY, "backbone=linear"]
    done = prenda("train", *overrides, PYTHONPATH=str(tmp_path), PRENDA_TRUSTED_TARGETS="shop.*")
    assert done.returncode == 0, done.stderr
    assert "7,840" in done.stdout
    refused = prenda("train", *overrides, PYTHONPATH=str(tmp_path))
    assert refused.returncode == 2
    assert "shop.linear.Linear" in refused.stderr
    assert "$PRENDA_TRUSTED_TARGETS" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_ends_with_the_signals_code_and_keeps_its_checkpoints(signum, code, tmp_path):
    command = ["train", *TINY, *DENSE, "trainer.epochs=100000"]
    with ForkedCommand(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: list((tmp_path / "home").rglob("last.ckpt")), process)
            process.send_signal(signum)
            _, printed = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == code
    assert "the run is recorded as KILLED" in printed
    assert "Traceback" not in printed
    (last,) = (tmp_path / "home").rglob("last.ckpt")
    assert checkpoints.read(last)["epoch"] >= 0


def wait_for(condition, process, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.1)


@needs_real_data
def test_real_garments_are_learned(tmp_path):
    """A short run on 6,000 real images: an order of magnitude above chance, and the whole official test scored."""
    settings = (f"data.dir={REAL_DATA}", "data.limit_train=6000", "trainer.epochs=2", "trainer=cpu", "tracking=offline")
    result = train(configured("backbone=dense", *settings), tmp_path)
    assert result.scores["test"].confusion.sum(1).tolist() == [1000] * 10
    assert result.scores["test"].metrics["accuracy"] > 0.75


def test_an_unwritable_folder_is_an_error_without_traceback(prenda, tmp_path):
    (tmp_path / "file").write_text("")
    done = prenda("train", *TINY, *DENSE, f"paths.outputs={tmp_path / 'file'}")
    assert done.returncode == 1
    assert "Not a directory" in done.stderr
    assert "Traceback" not in done.stderr
