from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from prenda.backbones.dense import DenseNetwork
from prenda.data.datamodule import ImageDataModule, Selection
from prenda.schedules import constant
from prenda.scoring.metrics import METRICS, Needs, needing
from prenda.scoring.scores import score
from prenda.training.classifier import Classifier
from tests import forked


def data() -> ImageDataModule:
    return ImageDataModule("generated", Path(), selection=Selection(val_size=200, limit_train=300), eval_batch_size=64)


def classifier(**settings) -> Classifier:
    torch.manual_seed(0)
    network = DenseNetwork((1, 28, 28), 10, [16])
    return Classifier(network, 10, optimizer=lambda p: torch.optim.SGD(p, lr=0.05), scheduler=constant, **settings)


def trainer(**settings) -> pl.Trainer:
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return pl.Trainer(accelerator="cpu", num_sanity_val_steps=0, **quiet, **settings)


def test_scores_are_those_of_the_predictions_counted_by_hand():
    model, images = classifier(), data()
    run = trainer()
    run.test(model, datamodule=images, verbose=False)
    part = images.split("test")
    with torch.no_grad():
        logits = model.eval()(images.normalized(part.images))
    predicted = logits.argmax(1)
    confusion = torch.zeros(10, 10, dtype=torch.int64)
    for true, guess in zip(part.labels.tolist(), predicted.tolist(), strict=True):
        confusion[true, guess] += 1
    assert torch.equal(model.confusion["test"], confusion)
    right = confusion.diag().double()
    precision, recall = (right / confusion.sum(axis).clamp(min=1) for axis in (0, 1))
    f1 = (2 * precision * recall / (precision + recall)).nan_to_num()
    by_hand = {
        "accuracy": right.sum() / 500,
        "precision": precision.mean(),
        "recall": recall.mean(),
        "f1": f1.mean(),
        "loss": cross_entropy(logits, part.labels),  # over all: the last batch is smaller than the others
    }
    for name, value in by_hand.items():
        assert run.callback_metrics[f"test/{name}"].item() == pytest.approx(value.item(), rel=1e-5), name


def test_every_documented_metric_is_logged_each_epoch():
    run = trainer(max_epochs=1)
    run.fit(classifier(), datamodule=data())
    validated = {f"val/{metric.name}" for metric in METRICS}
    trained = {f"train/{metric.name}" for metric in needing(Needs.counts)} | {"train/loss", "train/lr"}
    assert set(run.callback_metrics) == validated | trained | {"step"}
    assert {"train/accuracy", "train/f1", "train/precision", "train/recall", "val/brier"} <= validated | trained


class Echo(nn.Module):
    """Gives the logits that its images are, (B, classes, 1, 1), whatever it learns."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) + 0 * self.weight


def echo() -> Classifier:
    return Classifier(Echo(), 4, optimizer=lambda p: torch.optim.SGD(p, lr=0.05), scheduler=constant)


def batches(logits: np.ndarray, labels: np.ndarray, size: int = 7) -> list[tuple[torch.Tensor, torch.Tensor]]:
    images, truth = torch.tensor(logits)[..., None, None], torch.tensor(labels)
    return list(zip(images.split(size), truth.split(size), strict=True))


def unequal_classes() -> tuple[np.ndarray, np.ndarray]:
    """Many images of class 0, few of 1, none of 2; class 3 is never predicted."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(60, 4)).astype(np.float32)
    logits[:, 3] -= 100
    return logits, random.choice([0, 1, 3], size=60, p=[0.8, 0.1, 0.1])


CASES = {
    "unequal classes": unequal_classes(),
    "one image": (np.array([[1.0, 2, 0, 0]], np.float32), np.array([1])),
    "all wrong": (np.eye(4, dtype=np.float32)[[1, 2, 3, 0]], np.arange(4)),
}


@pytest.mark.parametrize("case", CASES)
def test_figures_of_an_epoch_are_those_of_scikit_learn_and_of_the_final_scores(case):
    from sklearn.metrics import precision_recall_fscore_support

    logits, labels = CASES[case]
    given = DataLoader(batches(logits, labels), batch_size=None)
    run = trainer(max_epochs=1)
    run.fit(echo(), given, given)
    logged = {name: value.item() for name, value in run.callback_metrics.items()}
    values = precision_recall_fscore_support(
        labels, logits.argmax(1), labels=range(4), average="macro", zero_division=0
    )
    for name, value in zip(("precision", "recall", "f1"), values, strict=False):
        assert logged[f"train/{name}"] == logged[f"val/{name}"] == pytest.approx(value, rel=1e-6), name
    if case == "unequal classes":  # a mean over images instead of classes would differ here
        assert abs(logged["val/f1"] - logged["val/weighted_f1"]) > 0.1
    final = score(logits, labels, "abcd").metrics
    assert {name: logged[f"val/{name}"] for name in final} == pytest.approx(final, rel=1e-6)


def test_processes_with_unequal_parts_find_the_figures_of_one(tmp_path):
    """The second process has few images, of other classes, or none."""
    logits, labels = unequal_classes()
    cases = [(logits, labels, cut) for cut in (41, 60)]
    processes = [forked.ready().Process(target=score_part, args=(rank, cases, tmp_path)) for rank in range(2)]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
            assert process.exitcode == 0
    finally:
        for process in processes:
            process.kill()
    one = score_epoch(logits, labels)
    counted = [f"{split}/{metric.name}" for split in ("train", "val") for metric in needing(Needs.counts)]
    for rank in range(2):
        for found in torch.load(tmp_path / f"{rank}.pt", weights_only=True):
            assert {name: found[name] for name in counted} == {name: one[name] for name in counted}
            assert found == pytest.approx(one, rel=1e-6)


def score_part(rank: int, cases: list[tuple[np.ndarray, np.ndarray, int]], folder: Path) -> None:
    torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    found = []
    for logits, labels, cut in cases:
        part = slice(None, cut) if rank == 0 else slice(cut, None)
        found.append(score_epoch(logits[part], labels[part], train=slice(None, 40) if rank == 0 else slice(40, None)))
    torch.save(found, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def score_epoch(logits: np.ndarray, labels: np.ndarray, train: slice = slice(None)) -> dict[str, Any]:
    """Figures that a process logs of validation and training; `train` is its part of the training images."""
    model = echo()
    model.trainer = trainer()
    logged: dict[str, Any] = {}
    model.log_dict = lambda figures, **_: logged.update(figures)
    model.trainer.strategy._optimizers = [torch.optim.SGD(model.parameters(), lr=0.1)]
    with torch.no_grad():  # as Lightning validates
        for batch in batches(logits, labels):
            model.validation_step(batch, 0)
    whole = unequal_classes()
    for batch in batches(whole[0][train], whole[1][train]):
        model.training_step(batch, 0)
    model._log_epoch("val")
    model._log_epoch("train")
    return logged


def test_label_smoothing_changes_the_training_loss_alone():
    logits = torch.tensor([[2.0, -1.0] + [0.0] * 8])

    class Fixed(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return logits.expand(len(images), -1)

    model = Classifier(Fixed(), 10, optimizer=torch.optim.SGD, scheduler=constant, label_smoothing=0.2)
    batch = (torch.zeros(1, 1, 2, 2), torch.tensor([0]))
    smoothed, plain = model.training_step(batch, 0), cross_entropy(logits, batch[1])
    run = trainer()
    run.validate(model, DataLoader([batch], batch_size=None), verbose=False)
    assert smoothed.item() == pytest.approx(cross_entropy(logits, batch[1], label_smoothing=0.2).item())
    assert run.callback_metrics["val/loss"].item() == pytest.approx(plain.item())


def test_draws_depend_on_seed_and_epoch_not_on_what_came_before():
    def draw(seed: int, epoch: int) -> float:
        model = classifier(seed=seed)
        model.trainer = trainer(max_epochs=9)
        model.trainer.fit_loop.epoch_progress.current.completed = epoch
        torch.rand(7)
        model.on_train_epoch_start()
        return torch.rand(1).item()

    assert draw(0, 3) == draw(0, 3)
    assert len({draw(0, 3), draw(0, 4), draw(1, 3)}) == 3
