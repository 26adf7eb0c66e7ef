"""Profiling of training steps: a trace for https://ui.perfetto.dev, and a table of the operations' times."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.profilers import Profiler
from pytorch_lightning.profilers.pytorch import RegisterRecordFunction
from torch.profiler import ProfilerActivity, profile, record_function, supported_activities

TRACE, OPERATIONS = Path("profile/trace.json.gz"), Path("profile/operations.txt")
WARM_UP = 3  # steps between preparing torch's profiler and recording; on a GPU, preparing takes a while


class Spans(Profiler):
    """Named spans of Lightning's work in the trace: hooks of callbacks, data fetching, backward, optimiser steps.

    A span takes 6.5 µs of a recorded step, and a step has 54 spans. Steps that are not recorded have none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.recording = False
        self._open: list[record_function | None] = []

    def start(self, action_name: str) -> None:
        span = record_function(_short(action_name)) if self.recording else None
        if span is not None:
            span.__enter__()  # type: ignore[no-untyped-call]  # torch has not annotated it
        self._open.append(span)

    def stop(self, action_name: str) -> None:
        span = self._open.pop()
        if span is not None:
            span.__exit__(None, None, None)


class Trace(Callback):
    """Recording of the last steps of the first trained epoch, with its validation and checkpoints.

    The result is one trace and one table. Lightning's PyTorchProfiler separates training from validation, names files
    by the time, and tabulates only the last part.

    Attributes:
        spans: The profiler to pass to the Trainer that has this callback.
    """

    def __init__(self, steps: int, folder: Path, layers: bool) -> None:
        """Prepare a recording; files are written after the epoch has ended.

        Args:
            steps: Number of steps to record; a shorter epoch is recorded in full.
            folder: Folder of the run.
            layers: Whether the trace names each layer's forward. This would recompile compiled networks.
        """
        # Kineto, below torch's profiler, reports on stderr its start and stop, and that there is no GPU.
        os.environ.setdefault("KINETO_LOG_LEVEL", "6")
        self.steps, self.folder, self.layers = steps, folder, layers
        self.spans = Spans()
        self._profile: profile | None = None
        self._layers: RegisterRecordFunction | None = None
        self._written = False

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start recording at the right step, in the first process."""
        if self._written or not trainer.is_global_zero:
            return
        first = max(0, int(trainer.num_training_batches) - self.steps)
        if batch_idx == max(0, first - WARM_UP):
            self._profile = profile(activities=_activities(pl_module.device.type))
            self._profile.prepare_trace()
        if batch_idx == first:
            assert self._profile is not None
            if self.layers:
                self._layers = RegisterRecordFunction(pl_module)
                self._layers.__enter__()
            self._profile.start_trace()
            self.spans.recording = True

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the files if a further epoch starts: at the end of the recorded epoch, its checkpoints come later."""
        self._write()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write()

    def on_exception(self, *_: Any) -> None:
        self._stop()

    def _stop(self) -> profile | None:
        stopped, self._profile = self._profile, None
        self.spans.recording = False
        if stopped is not None:
            stopped.stop_trace()
        if self._layers is not None:
            self._layers.__exit__(None, None, None)
            self._layers = None
        return stopped

    def _write(self) -> None:
        stopped = self._stop()
        if stopped is None:
            return
        self._written = True
        (self.folder / TRACE).parent.mkdir(exist_ok=True)
        stopped.export_chrome_trace(str(self.folder / TRACE))
        by = "device" if len(stopped.activities) > 1 else "cpu"
        table = stopped.key_averages().table(sort_by=f"self_{by}_time_total", max_name_column_width=80)
        (self.folder / OPERATIONS).write_text(table, encoding="utf-8")


@cache
def _short(action: str) -> str:
    """Return the name without a callback's settings: `[Callback]ModelCheckpoint{'monitor': …}.setup` is too long."""
    return re.sub(r"\{.*\}", "", action)


def _activities(device: str) -> list[ProfilerActivity]:
    """Return the activities that torch can record: the CPU, and the device of training."""
    # torch has not annotated its only public function for this, and strict mypy refuses such calls.
    supported = supported_activities()  # type: ignore[no-untyped-call]  # torch has not annotated it
    return [activity for activity in supported if activity.name.lower() in ("cpu", device)]
