"""One run: training, scoring and recording, from its configuration."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from pytorch_lightning.callbacks import Callback
from rich.console import Console

from prenda.config.convert import as_yaml
from prenda.config.identity import check_folder, check_version, describe_run, run_name
from prenda.config.schema import TrainConfig
from prenda.config.validation import check, check_batch_size
from prenda.data.datamodule import ImageDataModule, Split
from prenda.errors import UserError
from prenda.report import terminal
from prenda.report.log import LoggedConsole, RunLog
from prenda.system.atomic_write import write_atomically
from prenda.system.signals import stop_on_signal
from prenda.tracking.run_folder import CONFIG, writing
from prenda.tracking.runs import PRUNED, DataUsed, Pruned, Run, recorded
from prenda.tracking.store import local_store
from prenda.training import checkpoints, conditions
from prenda.training.build import (
    build_callbacks,
    build_classifier,
    build_data,
    prepare_process,
    resolve_device,
    with_precision,
)
from prenda.training.checkpoint_digest import damage
from prenda.training.classifier import Classifier
from prenda.training.distributed import Torchrun, fit_in_processes
from prenda.training.features import kept_features
from prenda.training.finish import TrainResult, finish
from prenda.training.fit import fit
from prenda.training.initial_weights import load_initial
from prenda.training.photos import record_photos
from prenda.training.profile import TRACE
from prenda.training.restored_best import restore_best
from prenda.training.starting_point import LAST, identified


def train(
    config: TrainConfig, folder: Path, callbacks: Sequence[Callback] = (), tags: Mapping[str, str] | None = None
) -> TrainResult:
    """Train the network that the configuration describes, score its best epoch, and record both.

    All settings are checked before anything is recorded. If the folder holds an interrupted run of the same settings,
    that run resumes after its last complete epoch; the result is bit-identical to an uninterrupted run.

    Args:
        config: Configuration of the run.
        folder: Folder of the run.
        callbacks: Further Lightning callbacks. With several processes, each process gets a pickled copy.
        tags: Further labels of the run in MLflow.

    Raises:
        UserError: If a setting cannot work, by its dotted name, if the folder's run has other settings, or if another
            process is training it.
        Pruned: If a callback pruned the run, by writing the reason to `pruned.txt` in the folder.
    """
    check_version(folder)
    check(config)
    config = with_precision(config)
    # A new folder is made, and locked, only when the settings have been checked.
    with writing(folder) if folder.is_dir() else nullcontext():
        return _train(identified(config, folder), folder, callbacks, tags or {})


def _train(config: TrainConfig, folder: Path, callbacks: Sequence[Callback], tags: Mapping[str, str]) -> TrainResult:
    check_folder(config, folder)
    torchrun = Torchrun.found()
    device, processes = resolve_device(config.trainer)
    all_processes = processes if torchrun is None else torchrun.processes * torchrun.nodes
    check_batch_size(config.data.batch_size, all_processes)
    prepare_process(config, processes if torchrun is None else torchrun.processes)
    data = build_data(config)
    data.prepare_data()
    data.setup()
    classifier = build_classifier(config, data)
    initial = load_initial(config, classifier, data, folder)
    build_callbacks(config)  # raises its errors here, before anything is recorded
    log = RunLog(folder)
    console = LoggedConsole(log)
    terminal.show_config(console, config, f"prenda train: {run_name(config)}")
    terminal.show_network(console, classifier, data.image_shape)
    _check_checkpoint(folder, classifier, data)
    with writing(folder):
        write_atomically(folder / CONFIG, as_yaml(config))
        conditions.add(folder, conditions.current(config, device, all_processes, torch.get_num_threads()))
        record_photos(console, data, folder)
        with stop_on_signal(), recorded(config.tracking, describe_run(config), folder) as run, log.noting_problems():
            run.log_tags({"device": device, **tags} | ({"initial_weights": initial} if initial else {}))
            run.log_data(_data_used(data))
            restore_best(run)
            _fit(config, classifier, data, run, callbacks, processes)
            result = finish(config, classifier, data, run)
    _show(console, config, result, run)
    return result


def _fit(
    config: TrainConfig,
    classifier: Classifier,
    data: ImageDataModule,
    run: Run,
    callbacks: Sequence[Callback],
    processes: int,
) -> None:
    """Train the remaining epochs, in as many processes as the settings or torchrun say.

    Raises:
        Pruned: If a callback pruned the run, now or in an earlier part of it.
    """
    pruned, torchrun = run.folder / PRUNED, Torchrun.found()
    if not pruned.is_file():
        if torchrun is not None:
            fit(config, classifier, data, run.folder, callbacks, torchrun.processes, torchrun.nodes)
            torchrun.leave()
        elif processes == 1:
            classifier.features = kept_features(config, classifier, data, run.folder)
            fit(config, classifier, data, run.folder, callbacks)
        else:
            fit_in_processes(config, run.folder, callbacks, processes)
    if pruned.is_file():
        raise Pruned(pruned.read_text(encoding="utf-8"))


def join(config: TrainConfig, folder: Path) -> None:
    """Train in a process of torchrun that is not the first; the first one runs `train`.

    Args:
        config: Configuration of the run.
        folder: Folder of the run, as the first process has it; all machines must see it.
    """
    check(config)
    config = with_precision(config)
    torchrun = Torchrun.found()
    assert torchrun is not None
    check_batch_size(config.data.batch_size, torchrun.processes * torchrun.nodes)
    prepare_process(config, torchrun.processes)
    data = build_data(config)
    data.prepare_data()
    data.setup()
    classifier = build_classifier(config, data)
    load_initial(config, classifier, data, folder)
    with stop_on_signal():
        fit(config, classifier, data, folder, (), torchrun.processes, torchrun.nodes)


def _check_checkpoint(folder: Path, classifier: Classifier, data: ImageDataModule) -> None:
    """Load the weights of the folder's interrupted run; say so if they are not those of its last epoch.

    Raises:
        CheckpointError: If the run cannot be resumed from its checkpoints.
        UserError: If it was started with other images: their files may have changed since.
    """
    resumed = checkpoints.to_resume(folder)
    if resumed is None:
        return
    if resumed.content_hash != data.content_hash:
        raise UserError(
            f"{folder} holds a run that was started with images of content {resumed.content_hash[:12]}…, "
            f"but {data.data_name} in {data.data_dir} now has {data.content_hash[:12]}…: restore the images, "
            "or give another folder."
        )
    resumed.load_into(classifier)
    if resumed.path != folder / LAST:
        print(
            f"prenda: {folder / LAST} is damaged ({damage(folder / LAST)}): the run resumes from {resumed.path.name}, "
            f"after epoch {resumed.epochs}.",
            file=sys.stderr,
        )


def _data_used(data: ImageDataModule) -> DataUsed:
    parts: tuple[Split, ...] = ("train", "val", "test")
    split = {
        "classes": ", ".join(data.class_names),
        "val_size": len(data.split("val")),
        "split_seed": data.selection.split_seed,
    }
    sizes = {str(part): len(data.split(part)) for part in parts}
    return DataUsed(data.data_name, data.content_hash, str(data.data_dir), split, sizes)


def _show(console: Console, config: TrainConfig, result: TrainResult, run: Run) -> None:
    title = f"{run_name(config)}: epoch {result.best_epoch} of {config.trainer.epochs}, chosen by val/accuracy"
    places = terminal.test_accuracy(result.scores) | {
        "Trained in": f"{result.train_seconds:.1f} s",
        "Run folder": terminal.relative(result.folder),
        "Checkpoint": terminal.relative(result.checkpoint),
    }
    files = {
        "Report": "report.html",
        "Confusion matrix": "confusion/test.png",
        "Bundle": "bundle",
        "Trace": TRACE.as_posix(),
    }
    for name, file in files.items():
        if (result.folder / file).exists():
            places[name] = terminal.relative(result.folder / file)
    places["On disk"] = run.disk_text()
    if run.id is not None:
        places["MLflow run"] = f"{run.id} in {config.tracking.uri}"
        if config.tracking.uri == local_store():
            places["See it"] = "make ui, or prenda ui"
    terminal.show_result(console, title, {split: score.metrics for split, score in result.scores.items()}, places)
