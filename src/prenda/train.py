"""Trains, scores and records one model."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging, Timer
from rich.console import Console

from prenda import checkpoints, console
from prenda.assemble import Torchrun, build_classifier, build_trainer, resolve_device, settle
from prenda.backbones.first_layer import first_layer_weights
from prenda.bundle import BundleError
from prenda.callbacks import ConfusionOverEpochs
from prenda.checks import check
from prenda.classifier import Classifier
from prenda.config import ReportLevel, TrainConfig, as_plain, check_folder
from prenda.data.datamodule import ImageDataModule, Split
from prenda.data.datamodule import from_config as data_from_config
from prenda.evaluate import evaluate, latency
from prenda.files import write_whole
from prenda.memory import give_back
from prenda.profile import TRACE, Trace
from prenda.report.calibration import fit_temperature
from prenda.report.run import Finished, describe, write_confusions, write_full, write_tables
from prenda.report.scores import Scores
from prenda.report.tables import write_json
from prenda.signals import Stopped, stopping
from prenda.tracking.loggers import lightning_loggers
from prenda.tracking.runs import PRUNED, DataUsed, Pruned, Run, parameters, recorded, run_name


@dataclass(frozen=True)
class TrainResult:
    """What a run gives.

    Attributes:
        score: Validation accuracy of the chosen checkpoint, which sweeps maximise.
        scores: Figures of the chosen checkpoint on `val`, `test` and, in a full report, `train`.
        best_epoch: The epoch that it was taken from, counted from 1.
        train_seconds: Of the epochs, validation included.
        run_id: MLflow's; None offline.
    """

    score: float
    scores: dict[str, Scores]
    best_epoch: int
    train_seconds: float
    folder: Path
    checkpoint: Path
    run_id: str | None


def train(config: DictConfig, folder: Path, callbacks: Sequence[Callback] = ()) -> TrainResult:
    """Trains the network that the configuration describes, scores its best epoch, and records both.

    Nothing is recorded before the settings have been found to work. Where the folder holds an interrupted run of the
    same settings, it goes on from its last epoch, and ends as if nothing had happened, to the same bits.

    Args:
        config: The run's.
        folder: Its own.
        callbacks: More of Lightning's. Where there are several processes, each gets a pickled copy.

    Raises:
        ValueError: If a setting cannot work, by its dotted name, or if the folder's run has other settings.
        Pruned: If a callback gave the run up, by writing the reason to `pruned.txt` in the folder.
    """
    check(config)
    check_folder(config, folder)
    torchrun = Torchrun.found()
    device, processes = resolve_device(config)
    settle(config, processes if torchrun is None else torchrun.processes)
    data = data_from_config(config)
    data.prepare_data()
    data.setup()
    classifier = build_classifier(config, data)
    out = Console()
    console.show_config(out, as_plain(config), f"prenda train: {run_name(config)}")
    console.show_network(out, classifier, data.image_shape)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "config.yaml", OmegaConf.to_yaml(config, resolve=True))
    with stopping(), recorded(config, folder) as run:
        run.log_tags({"device": device})
        run.log_data(_data_used(data))
        reason = folder / PRUNED
        if not reason.is_file():
            if torchrun is not None:
                _fit(config, classifier, data, folder, run.id, callbacks, torchrun.processes, torchrun.nodes)
                torchrun.leave()
            elif processes == 1:
                _fit(config, classifier, data, folder, run.id, callbacks)
            else:
                _fit_in_processes(config, folder, run.id, callbacks, processes)
        if reason.is_file():
            raise Pruned(reason.read_text(encoding="utf-8"))
        result = _score(config, classifier, data, run)
    _show(out, config, result, run)
    return result


def join(config: DictConfig, folder: Path) -> None:
    """What every process that torchrun started does, but the first: trains along, and leaves the rest to `train`.

    Args:
        config: The run's.
        folder: The one of the first process; both machines must see it.
    """
    check(config)
    torchrun = Torchrun.found()
    assert torchrun is not None
    settle(config, torchrun.processes)
    data = data_from_config(config)
    data.prepare_data()
    data.setup()
    classifier = build_classifier(config, data)
    with stopping():
        _fit(config, classifier, data, folder, None, (), torchrun.processes, torchrun.nodes)


def _fit(
    config: DictConfig,
    classifier: Classifier,
    data: ImageDataModule,
    folder: Path,
    run_id: str | None,
    more: Sequence[Callback],
    processes: int = 1,
    nodes: int = 1,
) -> None:
    last = folder / "checkpoints" / "last.ckpt"
    callbacks = [console.TrainingProgress(), Timer(), *more, *checkpoints.best_and_last(last.parent)]
    if config.report.every_n_epochs:
        pictures = folder / "confusion" / "epochs"
        callbacks.append(ConfusionOverEpochs(config.report.every_n_epochs, data.class_names, pictures))
    if config.ema is not None:
        callbacks.append(EMAWeightAveraging(decay=config.ema))
    trace = Trace(config.trainer.profile, folder, layers=not config.trainer.compile) if config.trainer.profile else None
    if trace is not None:
        callbacks.append(trace)
    trainer = build_trainer(
        config,
        devices=processes,
        num_nodes=nodes,
        strategy="auto" if processes * nodes == 1 else "ddp",
        max_epochs=config.trainer.epochs,
        gradient_clip_val=config.trainer.gradient_clip,
        sync_batchnorm=config.trainer.sync_batchnorm,
        logger=lightning_loggers(config, folder, run_id),
        callbacks=callbacks,
        profiler=None if trace is None else trace.spans,
        plugins=[checkpoints.AtomicCheckpointIO()],
    )
    trainer.fit(classifier, datamodule=data, ckpt_path=last if last.is_file() else None, weights_only=True)


def _fit_in_processes(
    config: DictConfig, folder: Path, run_id: str | None, callbacks: Sequence[Callback], processes: int
) -> None:
    """Trains in several processes of this machine, under torch's elastic launcher (what torchrun uses).

    One that fails ends the others, and its error becomes this one's.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    launch = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        shutdown_timeout=5,
    )
    settings = OmegaConf.to_container(config, resolve=True)
    try:
        elastic_launch(launch, _fit_worker)(settings, folder, run_id, callbacks, processes)
    except SignalException as error:
        raise Stopped(error.sigval) from error


def _fit_worker(
    settings: dict[str, Any], folder: Path, run_id: str | None, callbacks: Sequence[Callback], processes: int
) -> None:
    """One of the processes; the first of them logs and writes the checkpoints."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the launcher ends this process
    config = OmegaConf.merge(TrainConfig, settings)
    assert isinstance(config, DictConfig)
    settle(config, processes)
    data = data_from_config(config)
    data.setup()
    _fit(config, build_classifier(config, data), data, folder, run_id, callbacks, processes)


def _score(config: DictConfig, classifier: Classifier, data: ImageDataModule, run: Run) -> TrainResult:
    """Scores the best epoch's weights and writes the report and the closing record."""
    started = time.perf_counter()
    level = config.report.level
    checkpoint = run.folder / "checkpoints" / "best.ckpt"
    best_epoch = checkpoints.read(checkpoint)["epoch"] + 1
    seconds = checkpoints.seconds(checkpoint.with_name("last.ckpt"))
    splits: tuple[Split, ...] = ("train", "val", "test") if level is ReportLevel.full else ("val", "test")
    scores = evaluate(config, classifier, data, checkpoint, splits)
    finished = _finished(config, classifier, data, scores, best_epoch)
    metrics = finished.metrics() | {
        "best/epoch": best_epoch,
        "parameters": sum(weight.numel() for weight in classifier.backbone.parameters() if weight.requires_grad),
        "train/seconds": seconds,
        "latency/seconds": latency(classifier, data.image_shape),
    }
    write_json(metrics, run.folder / "scores.json")
    run.log_metrics(metrics, step=best_epoch)
    write_tables(run.folder, finished)
    if level is ReportLevel.light:
        write_confusions(run.folder, finished, percent=False)
    if level is ReportLevel.full:
        write_full(run.folder, finished)
    run.log_description(describe(finished, config.tracking.command))
    run.log_metrics({"report/seconds": time.perf_counter() - started}, step=best_epoch)
    if level is not ReportLevel.none:
        _bundle(run, classifier, data, metrics)
    return TrainResult(scores["val"].metrics["accuracy"], scores, best_epoch, seconds, run.folder, checkpoint, run.id)


def _finished(
    config: DictConfig, classifier: Classifier, data: ImageDataModule, scores: dict[str, Scores], best_epoch: int
) -> Finished:
    weights = first_layer_weights(classifier.backbone, data.image_shape)
    return Finished(
        name=run_name(config),
        settings=parameters(config),
        class_names=data.class_names,
        scores=scores,
        temperature=fit_temperature(scores["val"].logits, scores["val"].labels),
        best_epoch=best_epoch,
        test_images=data.split("test").images.cpu().numpy(),
        first_layer=None if weights is None else weights.numpy(),
    )


def _bundle(run: Run, classifier: Classifier, data: ImageDataModule, scores: dict[str, float]) -> None:
    """Keeps the network as a bundle; a run that cannot have one is scored and recorded all the same."""
    give_back()  # of training and scoring: exporting takes its own
    from prenda import export  # ONNX Runtime: for the end of a run, if it keeps a bundle

    folder = run.folder / "bundle"
    try:
        difference = export.write_run(folder, classifier, data, scores, run.id)
    except BundleError as error:
        print(f"prenda train: no bundle: {error}", file=sys.stderr)
        run.log_tags({"bundle": f"none: {error}"})
        return
    run.log_metrics({"onnx/largest_difference": difference}, step=int(scores["best/epoch"]))
    run.log_bundle(folder)


def _data_used(data: ImageDataModule) -> DataUsed:
    parts: tuple[Split, ...] = ("train", "val", "test")
    split = {
        "classes": ", ".join(data.class_names),
        "val_size": data.selection.val_size,
        "split_seed": data.selection.split_seed,
    }
    sizes = {str(part): len(data.split(part)) for part in parts}
    return DataUsed(data.data_name, data.content_hash, str(data.data_dir), split, sizes)


def _show(out: Console, config: DictConfig, result: TrainResult, run: Run) -> None:
    title = f"{run_name(config)}: epoch {result.best_epoch} of {config.trainer.epochs}, chosen by val/accuracy"
    places = {
        "Trained in": f"{result.train_seconds:.1f} s",
        "Run folder": console.relative(result.folder),
        "Checkpoint": console.relative(result.checkpoint),
    }
    made = {
        "Report": "report.html",
        "Confusion matrix": "confusion/test.png",
        "Bundle": "bundle",
        "Trace": TRACE.as_posix(),
    }
    for name, file in made.items():
        if (result.folder / file).exists():
            places[name] = console.relative(result.folder / file)
    if run.id is not None:
        places |= {"MLflow run": f"{run.id} in {config.tracking.uri}", "See it": "make ui, or prenda ui"}
    console.show_result(out, title, {split: score.metrics for split, score in result.scores.items()}, places)
