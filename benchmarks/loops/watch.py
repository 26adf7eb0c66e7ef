"""Lightning's epochs, timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from loops.task import Measured, trainable


class Watch(Callback):
    """Notes the moments between which epochs and their steps lie. Its own cost, some microseconds a step, counts.

    Attributes:
        starts: Of each epoch, then the end of training.
        ends: Of each epoch's last step.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.starts: list[float] = []
        self.ends: list[float] = []
        self.parameters = 0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.starts.append(self.clock())

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx + 1 == trainer.num_training_batches:
            self.ends.append(self.clock())

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.starts.append(self.clock())
        self.parameters = trainable(pl_module)

    def measured(self) -> Measured:
        return Measured.between(self.parameters, self.starts, self.ends)
