from __future__ import annotations

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from prenda.backbones.dense import DenseNetwork
from prenda.data.datamodule import ImageDataModule, Selection
from prenda.schedules import constant
from prenda.training.classifier import Classifier


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
    names = ("loss", "accuracy", "f1", "precision", "recall")
    expected = {f"{split}/{name}" for split in ("train", "val") for name in names} | {"train/lr", "step"}
    assert set(run.callback_metrics) == expected


def test_label_smoothing_changes_the_training_loss_alone():
    logits = torch.tensor([[2.0, -1.0] + [0.0] * 8])

    class Fixed(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return logits.expand(len(images), -1)

    model = Classifier(Fixed(), 10, optimizer=torch.optim.SGD, scheduler=constant, label_smoothing=0.2)
    batch = (torch.zeros(1, 1, 2, 2), torch.tensor([0]))
    smoothed, plain = model.training_step(batch, 0), cross_entropy(logits, batch[1])
    model.validation_step(batch, 0)
    assert smoothed.item() == pytest.approx(cross_entropy(logits, batch[1], label_smoothing=0.2).item())
    assert model._seen["val"].all()[2].item() == pytest.approx(plain.item())


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
