"""What a run shows in the terminal: its settings, its network, its progress and its scores."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.utilities.model_summary.model_summary import ModelSummary
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.tree import Tree

from prenda.classifier import Classifier

SHOWN = ("accuracy", "f1", "precision", "recall", "loss", "ece")  # of each part, what fits a narrow terminal


def show_config(console: Console, config: Mapping[str, Any], title: str) -> None:
    """The resolved configuration as a tree."""

    def grow(tree: Tree, node: Mapping[str, Any]) -> Tree:
        for key, value in node.items():
            if isinstance(value, Mapping) and value:
                grow(tree.add(f"[bold]{escape(key)}[/]"), value)
            else:
                tree.add(escape(f"{key}: {value}"), highlight=True)
        return tree

    console.print(grow(Tree(escape(title), guide_style="dim"), config))


def show_network(console: Console, classifier: Classifier, image_shape: tuple[int, int, int]) -> None:
    """Each layer's output shape, parameters and their size."""
    classifier.example_input_array = torch.zeros(2, *image_shape)
    summary = ModelSummary(classifier, max_depth=-1)
    table = Table("Layer", "Type", "Output (B, …)", title="Network", title_justify="left")
    table.add_column("Parameters", justify="right")
    table.add_column("KiB", justify="right")
    layers = zip(summary.layer_names, summary.layer_types, summary.out_sizes, summary.param_nums, strict=True)
    for name, kind, shape, parameters in layers:
        layer = classifier.get_submodule(name)
        if not name.startswith("backbone") or any(True for _ in layer.children()):
            continue  # containers repeat what their layers say
        size = sum(weight.nbytes for weight in layer.parameters()) / 1024
        output = ", ".join(map(str, shape[1:])) if isinstance(shape, list) else "not called"
        table.add_row(name.removeprefix("backbone."), kind, output, f"{parameters:,}", f"{size:,.1f}")
    weights = [weight for weight in classifier.backbone.parameters() if weight.requires_grad]
    total, size = sum(weight.numel() for weight in weights), sum(weight.nbytes for weight in weights) / 1024
    table.add_section()
    table.add_row("trainable", "", "", f"{total:,}", f"{size:,.1f}")
    console.print(table)


def show_result(
    console: Console, title: str, scores: Mapping[str, Mapping[str, float]], places: Mapping[str, str]
) -> None:
    """The closing table: scores of each split, then where everything is."""
    console.print(f"\n{title}", highlight=False, markup=False)
    table = Table("", *SHOWN)
    for split, values in scores.items():
        table.add_row(split, *(f"{values[name]:.4f}" for name in SHOWN))
    console.print(table)
    for name, place in places.items():
        console.print(f"{name:<17} {place}", soft_wrap=True, highlight=False, markup=False)


class TrainingProgress(ProgressBar):
    """One live line for the whole run: epoch, batch, loss, validation accuracy, time left.

    Where there is no terminal to draw on, a line an epoch instead.
    """

    INTERVAL = 0.5  # seconds between two drawings, which take milliseconds and on a GPU wait for the loss

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self._console = console or Console()
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._enabled = True
        self._shown = self._epoch_started = 0.0
        self._loss, self._validation = torch.tensor(torch.nan), "–"

    def disable(self) -> None:
        """Called by Lightning on every process but the first."""
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Opens the line."""
        if not (self._enabled and self._console.is_terminal):
            return
        self._bar = Progress(
            TextColumn("Epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TextColumn("batch {task.fields[batch]}/{task.fields[batches]}"),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("val/accuracy {task.fields[validation]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self._console,
            auto_refresh=False,  # a thread of its own took a fifth of a dense network's speed
        )
        epochs, batches = trainer.max_epochs or 1, int(trainer.num_training_batches)
        self._task = self._bar.add_task(
            "",
            total=epochs * batches,
            completed=trainer.current_epoch * batches,
            loss="–",
            validation=self._validation,
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
        """Moves the line on, at most every INTERVAL seconds."""
        now, self._loss = time.monotonic(), outputs["loss"]
        if self._bar is None or (now - self._shown < self.INTERVAL and batch_idx + 1 < trainer.num_training_batches):
            return
        self._shown = now
        batches = int(trainer.num_training_batches)
        self._bar.update(
            self._task,
            completed=trainer.current_epoch * batches + batch_idx + 1,
            epoch=trainer.current_epoch + 1,
            batch=batch_idx + 1,
            loss=f"{self._loss:.3f}",
            refresh=True,
        )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Shows the validation accuracy, on the line or as a line of its own."""
        self._validation = f"{trainer.callback_metrics['val/accuracy']:.4f}"
        if self._bar is not None:
            self._bar.update(self._task, validation=self._validation, refresh=True)
        elif self._enabled:
            seconds = time.perf_counter() - self._epoch_started
            self._console.print(
                f"Epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  loss {self._loss:.3f}  "
                f"val/accuracy {self._validation}  {seconds:.1f} s",
                highlight=False,
            )

    def on_train_end(self, *_: Any) -> None:
        self._close()

    def on_exception(self, *_: Any) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def relative(path: Path) -> str:
    """The path as one would type it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
