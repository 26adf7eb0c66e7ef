"""Evaluation of trained classifiers, at the end of a run or of a recorded run."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from rich.console import Console
from torch import Tensor

from prenda.config.convert import as_plain
from prenda.config.identity import run_name
from prenda.config.recorded import restore
from prenda.config.schema import TrainConfig, TrainerConfig
from prenda.data.datamodule import ImageDataModule, Split
from prenda.errors import UserError
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

    Evaluation uses one process on one device and computes in float32, as the bundle does. So scores depend neither on
    the number of training processes nor on the precision of training.
    """
    in_float32 = replace(trainer, precision="32")
    predictor = build_trainer(
        in_float32, devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    checkpoints.load(checkpoint).load_into(classifier)
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
    terminal.show_result(
        Console(), title, {split: score.metrics for split, score in scores.items()}, terminal.test_accuracy(scores)
    )
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
        accelerator: The device; None takes the recorded one.
        any_data: Accept images that differ from those of the run, instead of raising an error.
        uri: Address of the MLflow store or server; None takes MLFLOW_TRACKING_URI, else this project's own store.

    Raises:
        UserError: If there is no such run or checkpoint, or the data set's content differs from the recorded one.
    """
    with tempfile.TemporaryDirectory() as scratch:
        store = store_address(uri)
        found = resolve(store, source)
        path = found.checkpoint or file_of(store, found, "checkpoints/best.ckpt", Path(scratch))
        notes = checkpoints.load(path)
        recorded = restore(notes.config, str(path))
        trainer = _for_scoring(recorded.trainer, accelerator)
        config = replace(recorded, data=replace(recorded.data, dir=data_dir or recorded.data.dir), trainer=trainer)
        prepare_process(config, processes=1)
        data = build_data(config)
        data.prepare_data()
        data.setup()
        if data.content_hash != notes.content_hash and not any_data:
            raise UserError(
                f"data.dir is {config.data.dir}, where {config.data.name} has the content {data.content_hash[:12]}…, "
                f"but {source} was trained on {notes.content_hash[:12]}…: give --data-dir the recorded images, "
                "or --any-data to score on these."
            )
        if notes.pixels is not None:  # the images that it was trained on may be selected otherwise by this version
            data.use_statistics(notes.pixels)
        classifier = build_classifier(config, data)
        classifier.notes["config"] = as_plain(recorded)  # a bundle describes the training
        yield LoadedRun(config, classifier, data, path)


def _for_scoring(trainer: TrainerConfig, accelerator: str | None) -> TrainerConfig:
    """Return the settings for one process in float32."""
    accelerator = accelerator or trainer.accelerator
    return replace(trainer, devices=1, sync_batchnorm=False, compile=False, precision="32", accelerator=accelerator)
