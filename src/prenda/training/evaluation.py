"""Evaluation of trained classifiers, at the end of a run or of a recorded run."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from torch import Tensor

from prenda.config.identity import run_name
from prenda.config.recorded import other_version, restore
from prenda.config.schema import TrainConfig, TrainerConfig
from prenda.data.datamodule import ImageDataModule, Split
from prenda.errors import CheckpointError, UserError
from prenda.report import terminal
from prenda.scoring.scores import Scores, score
from prenda.tracking.lookup import file_of, resolve
from prenda.tracking.store import store_address
from prenda.training import checkpoints
from prenda.training.build import build_classifier, build_data, build_trainer, prepare_process
from prenda.training.classifier import Classifier


def evaluate(
    trainer: TrainerConfig,
    classifier: Classifier,
    data: ImageDataModule,
    checkpoint: Path,
    splits: Sequence[Split] = ("val", "test"),
) -> dict[str, Scores]:
    """Load a checkpoint's weights and score splits of the data, each image once, without augmentation.

    Evaluation always uses one process on one device, so scores do not depend on the number of training processes.
    """
    predictor = build_trainer(trainer, devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    classifier.load_state_dict(checkpoints.read(checkpoint)["state_dict"])
    scored_on = data if classifier.features is None else classifier.features
    scores = {}
    for split in splits:
        scored_on.predicted = split
        logits = torch.cat(cast(list[Tensor], predictor.predict(classifier, datamodule=scored_on)))
        labels = data.split(split).labels
        scores[str(split)] = score(logits.cpu().numpy(), labels.cpu().numpy(), data.class_names)
    return scores


def latency(classifier: Classifier, image_shape: tuple[int, int, int], times: int = 30) -> float:
    """Return the median seconds of one forward pass of a single picture, after a warm-up, on the network's device."""
    picture = torch.zeros(1, *image_shape, device=classifier.device)
    durations = []
    with torch.inference_mode():
        classifier.eval()
        for _ in range(times + 5):
            started = time.perf_counter()
            classifier(picture).argmax().item()  # waits for a GPU
            durations.append(time.perf_counter() - started)
    return statistics.median(durations[5:])


@dataclass(frozen=True)
class LoadedRun:
    """Configuration, network and images of a finished run, restored from its checkpoint."""

    config: TrainConfig
    classifier: Classifier
    data: ImageDataModule
    checkpoint: Path


def evaluate_again(
    source: str,
    data_dir: str | None = None,
    accelerator: str | None = None,
    any_data: bool = False,
    uri: str | None = None,
) -> dict[str, Scores]:
    """Score a finished run again from its checkpoint, and print the scores; see `load_run` for arguments and errors."""
    with load_run(source, data_dir, accelerator, any_data, uri) as run:
        scores = evaluate(run.config.trainer, run.classifier, run.data, run.checkpoint)
        title = f"{run_name(run.config)}, scored again from {source}"
    terminal.show_result(Console(), title, {split: score.metrics for split, score in scores.items()}, {})
    return scores


@contextmanager
def load_run(
    source: str,
    data_dir: str | None = None,
    accelerator: str | None = None,
    any_data: bool = False,
    uri: str | None = None,
) -> Iterator[LoadedRun]:
    """Load a finished run.

    Args:
        source: Id, name, folder or checkpoint of a run.
        data_dir: Where the data set is now; None takes the recorded folder.
        accelerator: The device. One that differs from the recorded device computes in float32; None takes the
            recorded one.
        any_data: Accept images that differ from those of the run, instead of raising an error.
        uri: Address of the MLflow store or server; None takes MLFLOW_TRACKING_URI, else this project's own store.

    Raises:
        UserError: If there is no such run or checkpoint, or the data set's content differs from the recorded one.
    """
    with tempfile.TemporaryDirectory() as scratch:
        store = store_address(uri)
        found = resolve(store, source)
        path = found.checkpoint or file_of(store, found, "checkpoints/best.ckpt", Path(scratch))
        notes = _notes(path)
        recorded = restore(notes["config"], str(path))
        trainer = _for_scoring(recorded.trainer, accelerator)
        config = replace(recorded, data=replace(recorded.data, dir=data_dir or recorded.data.dir), trainer=trainer)
        prepare_process(config, processes=1)
        data = build_data(config)
        data.prepare_data()
        data.setup()
        if data.content_hash != notes["content_hash"] and not any_data:
            raise UserError(
                f"data.dir is {config.data.dir}, where {config.data.name} has the content {data.content_hash[:12]}…, "
                f"but {source} was trained on {notes['content_hash'][:12]}…: give --data-dir the recorded images, "
                "or --any-data to score on these."
            )
        yield LoadedRun(config, build_classifier(config, data), data, path)


def _for_scoring(trainer: TrainerConfig, accelerator: str | None) -> TrainerConfig:
    """Return the settings for one process, in float32 on a device that is not the run's."""
    single = replace(trainer, devices=1, sync_batchnorm=False, compile=False)
    if accelerator is None or accelerator == trainer.accelerator:
        return single
    return replace(single, accelerator=accelerator, precision="32")


def _notes(path: Path) -> dict[str, Any]:
    """Return prenda's notes in a checkpoint: the configuration and the images of its run.

    Raises:
        CheckpointError: If the file is no checkpoint of prenda, or of a version that this one cannot read.
    """
    try:
        checkpoint = checkpoints.read(path)
    except OSError:  # no permission, a broken disk: not the file's content
        raise
    except Exception as error:  # torch raises errors of many kinds on a foreign file
        raise CheckpointError(_NO_CHECKPOINT.format(path)) from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("prenda"), dict):
        raise CheckpointError(_NO_CHECKPOINT.format(path))
    notes: dict[str, Any] = checkpoint["prenda"]
    missing = [name for name in ("config", "content_hash") if name not in notes]
    missing += ["state_dict"] * ("state_dict" not in checkpoint)
    if missing:
        raise CheckpointError(other_version(str(path), f"it lacks {' and '.join(missing)}"))
    return notes


_NO_CHECKPOINT = "{} is no checkpoint of prenda: give best.ckpt or last.ckpt of a run's checkpoints folder."
