"""Checkpoints: atomic writes, plain types, and the callbacks that keep the best and the last epoch."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.plugins.io import TorchCheckpointIO

from prenda.system.atomic_write import write_atomically
from prenda.training.lightning_overrides import ModelCheckpoint

MONITOR = "val/accuracy"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Atomic writes of checkpoints.

    Lightning's own writer uses the system's temporary folder; a move from there to another disk is not atomic.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write a checkpoint.

        Raises:
            OSError: If the disk is full or the folder cannot be written; the old file is then untouched.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        torch.save(checkpoint, content)  # into memory: torch does not say what is wrong with a disk
        try:
            write_atomically(target, content.getbuffer())
        except OSError as error:
            raise OSError(
                error.errno, f"{error.strerror}: the checkpoint cannot be kept, make room for", str(target)
            ) from error


def best_and_last(folder: Path) -> list[Callback]:
    """Return the callbacks that write `best.ckpt` and `last.ckpt`.

    `best.ckpt` is the epoch with the highest validation accuracy, the earlier one of equals. `last.ckpt` is written
    after it, in every epoch. One callback with save_last=True would write the last file only when it writes the best.
    """
    best, last = (
        ModelCheckpoint(
            folder,
            filename=name,
            monitor=monitor,
            mode="max",
            enable_version_counter=False,
            auto_insert_metric_name=False,
        )
        for name, monitor in (("best", MONITOR), ("last", None))
    )
    return [best, last]


def seconds(path: Path) -> float:
    """Return the seconds of training up to the checkpoint, validation included, summed over all resumes."""
    elapsed: dict[str, float] = read(path)["callbacks"]["Timer"]["time_elapsed"]
    return elapsed["train"]


def training_had_stopped(path: Path) -> bool:
    """Return whether a callback, such as early stopping, had ended the training after the checkpoint's epoch."""
    notes: dict[str, Any] = read(path).get("prenda", {})
    return bool(notes.get("training_stopped", False))


def read(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint: `state_dict`, `epoch`, and prenda's notes under `prenda`.

    Loading it executes no code from the file.
    """
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint
