"""Scores a trained classifier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
from torch import Tensor

from prenda import checkpoints
from prenda.classifier import Classifier
from prenda.data.datamodule import ImageDataModule


@dataclass(frozen=True)
class Scores:
    """What a checkpoint is worth on one part of the data.

    Attributes:
        metrics: loss, accuracy, f1, precision, recall.
        confusion: (num_classes, num_classes), int64; rows are the true classes.
        logits: (N, num_classes), float32, in the data set's own order.
        labels: (N,), int64, the true classes.
    """

    metrics: dict[str, float]
    confusion: Tensor
    logits: Tensor
    labels: Tensor


def evaluate(classifier: Classifier, data: ImageDataModule, checkpoint: Path, trainer: pl.Trainer) -> dict[str, Scores]:
    """Loads a checkpoint's weights and scores validation and test, each image once.

    Whatever trained it, this is one process on one device, so that the scores do not depend on how many there were.
    """
    classifier.load_state_dict(checkpoints.read(checkpoint)["state_dict"])
    trainer.validate(classifier, datamodule=data, verbose=False)
    scores = {"val": _scores("val", classifier, trainer)}
    trainer.test(classifier, datamodule=data, verbose=False)
    return scores | {"test": _scores("test", classifier, trainer)}


def _scores(split: str, classifier: Classifier, trainer: pl.Trainer) -> Scores:
    metrics = {
        name.removeprefix(f"{split}/"): float(value)
        for name, value in trainer.callback_metrics.items()
        if name.startswith(f"{split}/")
    }
    names = ("accuracy", "f1", "precision", "recall", "loss")
    return Scores({name: metrics[name] for name in names}, classifier.confusion[split], *classifier.outputs[split])
