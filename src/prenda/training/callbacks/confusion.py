"""Confusion matrices of validation, drawn during training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from prenda.report.figures import confusion_figure, save
from prenda.scoring.metrics import METRIC_BY_NAME, accuracy
from prenda.tracking.loggers import RunLogger
from prenda.training.classifier import Classifier


class ConfusionOverEpochs(Callback):
    """Callback that draws the confusion matrix of validation every few epochs, for the run's folder and MLflow."""

    def __init__(self, every_n_epochs: int, class_names: Sequence[str], folder: Path) -> None:
        self.every_n_epochs, self.class_names, self.folder = every_n_epochs, class_names, folder

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the matrix of all processes, in the first process; the last epoch is always drawn."""
        assert isinstance(pl_module, Classifier)
        epoch = trainer.current_epoch + 1
        if not trainer.is_global_zero or (epoch % self.every_n_epochs and epoch != trainer.max_epochs):
            return
        matrix = pl_module.confusion["val"].numpy()
        title = f"Validation, epoch {epoch}: accuracy {METRIC_BY_NAME['accuracy'].text(accuracy(matrix))}"
        figure = confusion_figure(matrix, self.class_names, title)
        picture = self.folder / f"epoch_{epoch:03d}.png"
        save(figure, picture)
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.log_picture("confusion/val", picture, epoch)
