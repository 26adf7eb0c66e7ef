"""Checkpoints: atomic writes, verified reading, and the callbacks that keep the best and the last epoch."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from prenda.config.recorded import other_version
from prenda.errors import CheckpointError
from prenda.system.atomic_write import write_atomically
from prenda.training import lightning_overrides
from prenda.training.checkpoint_digest import add_digest, damage
from prenda.training.starting_point import LAST

MONITOR = "val/accuracy"
BEST = LAST.with_name("best.ckpt")
FOR_RESUMING = {"optimizer_states": list, "lr_schedulers": list, "loops": dict, "callbacks": dict}


class ModelCheckpoint(lightning_overrides.ModelCheckpoint):
    """Keeps the later one of equal epochs, where Lightning keeps the first. Checkpoints hold this class's name.

    With few validation photos, several epochs are equal, and the later ones are better (docs/experiment-log.md).
    """

    def check_monitor_top_k(self, trainer: pl.Trainer, current: Tensor | None = None) -> bool:
        best = self.best_model_score
        is_equal = current is not None and best is not None and bool(current == best)
        return is_equal or super().check_monitor_top_k(trainer, current)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Atomic writes of checkpoints, and verified reading.

    Lightning's own writer uses the system's temporary folder; a move from there to another disk is not atomic.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write a checkpoint with the SHA-256 of its content.

        Raises:
            OSError: If the disk is full or the folder cannot be written; the old file is then untouched.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        torch.save(checkpoint, content)  # into memory: torch does not say what is wrong with a disk
        add_digest(content)
        try:
            write_atomically(target, content.getbuffer())
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}: the checkpoint cannot be written", str(target)) from error

    def load_checkpoint(self, path: str | Path, *_: Any, **__: Any) -> dict[str, Any]:
        """Return the content for Lightning, from which training resumes; see `read`."""
        return _in_folder(read(Path(path)), Path(path).resolve().parent)


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint, without the parts that only Lightning reads.

    Attributes:
        path: The file.
        epochs: Number of trained epochs.
        weights: `state_dict` of the classifier.
        config: Recorded configuration of the run, in plain types.
        content_hash: SHA-256 of the run's data set.
        pixels: Statistics of the training images, for normalisation; None in checkpoints of early versions.
        training_stopped: Whether a callback, such as early stopping, had ended the training after this epoch.
        accuracy: Validation accuracy of this epoch; None in checkpoints of early versions.
        content: Everything that the file holds.
    """

    path: Path
    epochs: int
    weights: Mapping[str, Tensor]
    config: Mapping[str, Any]
    content_hash: str
    pixels: Mapping[str, Sequence[float]] | None
    training_stopped: bool
    accuracy: float | None
    content: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        """Seconds of training, validation included, summed over all resumes."""
        return float(_part(self.path, self.content, "callbacks.Timer.time_elapsed.train", Real))

    def load_into(self, classifier: nn.Module) -> None:
        """Load the weights into a classifier.

        Raises:
            CheckpointError: If they are of another network.
        """
        try:
            classifier.load_state_dict(self.weights)
        except RuntimeError as error:
            reason = " ".join(str(error).split()[:40])
            raise CheckpointError(other_version(str(self.path), f"its weights do not fit ({reason})")) from error


def best_and_last(folder: Path) -> list[Callback]:
    """Return the callbacks that write `best.ckpt` and `last.ckpt`.

    `best.ckpt` is the epoch with the highest validation accuracy, the later one of equals. `last.ckpt` is written
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


def to_resume(folder: Path) -> Checkpoint | None:
    """Return the checkpoint from which a run resumes; None for a new run.

    That is `last.ckpt`. If it is damaged, it is `best.ckpt`: the epochs after it are trained again, to the same bits.
    If `best.ckpt` is damaged or missing, `prenda.training.restored_best` writes it again.

    Args:
        folder: Folder of the run.

    Raises:
        CheckpointError: If neither can be used, or `best.ckpt` is damaged and may hold the run's result.
    """
    last, best = folder / LAST, folder / BEST
    if not last.is_file():
        return None
    damaged = {path: reason for path in (last, best) if (reason := damage(path))}
    reasons = " and ".join(f"{path} is damaged ({reason})" for path, reason in damaged.items())
    if len(damaged) == 2:
        raise CheckpointError(f"{reasons}: {_RESTORE.format(last.parent)}")
    checkpoint = load(best if last in damaged else last)
    for name, kind in FOR_RESUMING.items():
        _part(checkpoint.path, checkpoint.content, name, kind)
    if best in damaged and not is_best(checkpoint):
        _check_lost(best, checkpoint, reasons)
    return checkpoint


_RESTORE = (
    "restore it from a copy, or delete {} and give the same command again, which trains from the first epoch to the "
    "same result."
)


def _check_lost(best: Path, last: Checkpoint, reasons: str) -> None:
    """Raise CheckpointError if the best epoch is lost and the user has not accepted it by deleting its file."""
    if last.accuracy is None:
        raise CheckpointError(f"{reasons}: {_RESTORE.format(best.parent)}")
    if best.is_file():
        raise CheckpointError(
            f"{reasons}, and it holds the best epoch so far: {_RESTORE.format(best.parent)} To keep the "
            f"{last.epochs} trained epochs, delete {best} alone: the run then resumes from {LAST.name}, and the best "
            f"epoch is chosen from epoch {last.epochs} on, so the result may differ."
        )


def best_so_far(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the state of the callback that writes `best.ckpt`, as the checkpoint holds it."""
    for state in checkpoint.content["callbacks"].values():
        if isinstance(state, dict) and state.get("monitor") == MONITOR and "best_model_score" in state:
            return state
    raise CheckpointError(other_version(str(checkpoint.path), f"it lacks the best {MONITOR} so far"))


def is_best(checkpoint: Checkpoint) -> bool:
    """Return whether the checkpoint's epoch is the best so far, so that `best.ckpt` holds the same weights."""
    return checkpoint.accuracy is not None and checkpoint.accuracy == float(best_so_far(checkpoint)["best_model_score"])


def load(path: Path) -> Checkpoint:
    """Read a checkpoint of prenda.

    Raises:
        CheckpointError: If the file is damaged, no checkpoint of prenda, or of a version that this one cannot read.
        OSError: If the file cannot be read.
    """
    content = read(path)
    if not isinstance(content.get("prenda"), dict):
        raise _no_checkpoint(path)
    pixels, accuracy = (content["prenda"].get(name) for name in ("pixels", "accuracy"))
    if pixels is not None:
        _check_statistics(path, pixels)
    if accuracy is not None:
        _part(path, content, "prenda.accuracy", Real)
    return Checkpoint(
        path=path,
        epochs=_part(path, content, "epoch", int) + 1,
        weights=_part(path, content, "state_dict", dict),
        config=_part(path, content, "prenda.config", dict),
        content_hash=_part(path, content, "prenda.content_hash", str),
        pixels=pixels,
        training_stopped=bool(content["prenda"].get("training_stopped", False)),
        accuracy=accuracy,
        content=content,
    )


def read(path: Path) -> dict[str, Any]:
    """Return all that a checkpoint holds: `state_dict`, `epoch`, and prenda's notes under `prenda`.

    Loading it executes no code from the file.

    Raises:
        CheckpointError: If the file is damaged, or no checkpoint.
        OSError: If the file cannot be read.
    """
    reason = damage(path)
    if reason:
        raise CheckpointError(
            f"{path} is damaged ({reason}): restore it from a copy (MLflow has one of a run that ended), or train the "
            "run again."
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:  # no permission, a broken disk: not the file's content
        raise
    except Exception as error:  # torch raises errors of many kinds on a foreign file
        raise _no_checkpoint(path) from error
    if not isinstance(content, dict):
        raise _no_checkpoint(path)
    return content


def _part(path: Path, content: Mapping[str, Any], name: str, kind: type) -> Any:
    """Return a part of a checkpoint by its dotted name.

    Raises:
        CheckpointError: If it is not there, or of another kind.
    """
    value: Any = content
    for key in name.split("."):
        if not isinstance(value, Mapping) or key not in value:
            raise CheckpointError(other_version(str(path), f"it lacks {key}"))
        value = value[key]
    if not isinstance(value, kind):
        raise CheckpointError(
            other_version(str(path), f"its {name} is of the type {type(value).__name__}, not {kind.__name__}")
        )
    return value


def _check_statistics(path: Path, pixels: Any) -> None:
    """Raise CheckpointError unless the notes on pixels are finite means and positive deviations of some channels."""
    try:
        mean, deviation = ([float(value) for value in pixels[name]] for name in ("mean", "std"))
        valid = len(mean) == len(deviation) in (1, 3) and all(map(isfinite, mean + deviation)) and min(deviation) > 0
    except (TypeError, KeyError, ValueError):
        valid = False
    if not valid:
        raise CheckpointError(
            other_version(str(path), f"its prenda.pixels is {pixels!r}, not mean and std of channels")
        )


def _in_folder(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the content with the paths of its checkpoints in a folder, to which the run may have been moved.

    Lightning would otherwise forget the best score so far.
    """
    for key, state in content["callbacks"].items():
        if key.startswith("ModelCheckpoint"):
            state["dirpath"] = str(folder)
            paths = ("best_model_path", "kth_best_model_path", "last_model_path")
            state |= {name: str(folder / Path(state[name]).name) for name in paths if state.get(name)}
            best = state.get("best_k_models", {})
            state["best_k_models"] = {str(folder / Path(path).name): score for path, score in best.items()}
    return content


def _no_checkpoint(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} is no checkpoint of prenda: give best.ckpt or last.ckpt of a run's checkpoints folder."
    )
