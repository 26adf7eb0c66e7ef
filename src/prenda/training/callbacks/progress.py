"""Progress of a training in the terminal."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from prenda.report.log import RunLog
from prenda.training.classifier import Classifier


class TrainingProgress(ProgressBar):
    """One live line for the whole run: epoch, batch, mean loss of the epoch, last validation scores, time left.

    Without a terminal, it prints one line an epoch instead. The log of the run has these lines in both cases.
    """

    INTERVAL = 0.5  # seconds between two updates, which take milliseconds and on a GPU wait for the loss

    def __init__(self, log: RunLog | None = None, console: Console | None = None) -> None:
        super().__init__()
        self._log, self._console = log, console or Console()
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._enabled = True
        self._updated_at = self._epoch_started = 0.0

    def disable(self) -> None:
        """Show nothing; Lightning calls this in every process but the first."""
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the live line."""
        if not (self._enabled and self._console.is_terminal):
            return
        self._bar = Progress(
            TextColumn("Epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TextColumn("batch {task.fields[batch]}/{task.fields[batches]}"),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("{task.fields[validation]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self._console,
            auto_refresh=False,  # refreshing in a thread took a fifth of a dense network's speed
        )
        epochs, batches = trainer.max_epochs or 1, int(trainer.num_training_batches)
        self._task = self._bar.add_task(
            "",
            total=epochs * batches,
            completed=trainer.current_epoch * batches,
            loss="–",
            validation="",
            epoch=trainer.current_epoch + 1,
            epochs=epochs,
            batch=0,
            batches=batches,
        )
        self._bar.start()

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._epoch_started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the line, at most every INTERVAL seconds."""
        now = time.monotonic()
        if self._bar is None or (
            now - self._updated_at < self.INTERVAL and batch_idx + 1 < trainer.num_training_batches
        ):
            return
        self._updated_at = now
        assert isinstance(pl_module, Classifier)
        batches = int(trainer.num_training_batches)
        self._bar.update(
            self._task,
            completed=trainer.current_epoch * batches + batch_idx + 1,
            epoch=trainer.current_epoch + 1,
            batch=batch_idx + 1,
            loss=f"{pl_module.mean_training_loss():.3f}",
            refresh=True,
        )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the scores of the epoch, on the live line or as a line of its own."""
        if not self._enabled:
            return
        metrics = trainer.callback_metrics
        validation = f"val/loss {metrics['val/loss']:.3f}  val/accuracy {metrics['val/accuracy']:.4f}"
        line = (
            f"Epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  loss {metrics['train/loss']:.3f}  {validation}  "
            f"{time.perf_counter() - self._epoch_started:.1f} s"
        )
        if self._log is not None:
            self._log.write(line)
        if self._bar is None:
            self._console.print(line, highlight=False)
        else:
            self._bar.update(self._task, validation=validation, refresh=True)

    def on_train_end(self, *_: Any) -> None:
        self._close()

    def on_exception(self, *_: Any) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
