"""Records training steps as a trace for https://ui.perfetto.dev, and tabulates what they spent their time on."""

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
WARM_UP = 3  # steps between making torch's profiler ready, which a GPU's takes a while to be, and recording


class Spans(Profiler):
    """Names in the trace what Lightning does: every hook of each callback, fetching, backward, the optimiser's step.

    A span takes 6.5 µs of a step that is recorded, and a step has 54 of them. Other steps have none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.recording = False
        self._open: list[record_function | None] = []

    def start(self, action_name: str) -> None:
        span = record_function(_short(action_name)) if self.recording else None
        if span is not None:
            span.__enter__()  # type: ignore[no-untyped-call]
        self._open.append(span)

    def stop(self, action_name: str) -> None:
        span = self._open.pop()
        if span is not None:
            span.__exit__(None, None, None)


class Trace(Callback):
    """Records the last steps of the first epoch that is trained, then its validation and checkpoints.

    They are one trace and one table, which PyTorchProfiler of Lightning does not give: it cuts training and validation
    apart, names the files by the time, and tabulates the last of them alone.

    Attributes:
        spans: The `profiler` of the Trainer that this is a callback of.
    """

    def __init__(self, steps: int, folder: Path, layers: bool) -> None:
        """Writes nothing before the epoch has ended.

        Args:
            steps: How many; an epoch that has fewer is recorded whole.
            folder: The run's.
            layers: Whether the trace names each layer's forward. Compiled ones would be compiled again for it.
        """
        # The library below torch's profiler reports its start and stop, and that there is no GPU, on stderr.
        os.environ.setdefault("KINETO_LOG_LEVEL", "6")
        self.steps, self.folder, self.layers = steps, folder, layers
        self.spans = Spans()
        self._profile: profile | None = None
        self._layers: RegisterRecordFunction | None = None
        self._written = False

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Starts, in the first process."""
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
        """Writes, where more epochs follow: at the end of the recorded one its checkpoints were still to come."""
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
    """Without a callback's settings: `[Callback]ModelCheckpoint{'monitor': …}.setup` is too long for a row."""
    return re.sub(r"\{.*\}", "", action)


def _activities(device: str) -> list[ProfilerActivity]:
    """What torch can record of this device: the CPU always, CUDA or XPU where training is."""
    # The only public way to ask, and torch has not annotated it: strict mypy refuses every call of such a function.
    known = supported_activities()  # type: ignore[no-untyped-call]
    return [each for each in known if each.name.lower() in ("cpu", device)]
