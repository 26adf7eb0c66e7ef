"""End of a run: scores of its best epoch, report, MLflow record and bundle."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from prenda.backbones.first_layer import first_layer_weights
from prenda.config.identity import parameters, run_name
from prenda.config.schema import ReportLevel, TrainConfig
from prenda.data.datamodule import ImageDataModule, Split
from prenda.errors import BundleError
from prenda.report.run.report import RunResults, describe, write_confusions, write_full, write_tables
from prenda.report.tables import write_json
from prenda.scoring.calibration import fit_temperature
from prenda.scoring.metrics import SUMMARY
from prenda.scoring.scores import Scores
from prenda.system.memory import release_memory
from prenda.tracking.runs import Run
from prenda.training import checkpoints
from prenda.training.classifier import Classifier
from prenda.training.evaluation import evaluate, latency
from prenda.training.starting_point import LAST

# Final scores that MLflow gets as metrics. It draws a chart of one point for each, so the others, such as those of each
# class, stay in scores.json.
RECORDED = (
    *(f"test/{metric.name}" for metric in SUMMARY),
    "best/val/accuracy",
    "parameters",
    "train/seconds",
    "latency/seconds",
)


@dataclass(frozen=True)
class TrainResult:
    """Result of a run.

    Attributes:
        score: Validation accuracy of the chosen checkpoint, which sweeps maximise.
        scores: Scores of the chosen checkpoint on `val`, `test` and, in a full report, `train`.
        best_epoch: Epoch of the chosen checkpoint, counted from 1.
        train_seconds: Seconds of all epochs, validation included.
        folder: The run's folder.
        checkpoint: Path of the chosen checkpoint.
        run_id: Id of the MLflow run; None offline.
    """

    score: float
    scores: dict[str, Scores]
    best_epoch: int
    train_seconds: float
    folder: Path
    checkpoint: Path
    run_id: str | None


def finish(config: TrainConfig, classifier: Classifier, data: ImageDataModule, run: Run) -> TrainResult:
    """Score the best epoch's weights, write the report and the bundle, and record the scores."""
    started = time.perf_counter()
    level = config.report.level
    checkpoint = run.folder / checkpoints.BEST
    best_epoch = checkpoints.load(checkpoint).epochs
    seconds = checkpoints.load(run.folder / LAST).seconds
    splits: tuple[Split, ...] = ("train", "val", "test") if level is ReportLevel.full else ("val", "test")
    scores = evaluate(config.trainer, classifier, data, checkpoint, splits)
    finished = _results(config, classifier, data, scores, best_epoch)
    measured = run.figures(best_epoch).get("latency/seconds")  # before an interruption
    metrics = finished.metrics() | {
        "best/epoch": best_epoch,
        "parameters": sum(weight.numel() for weight in classifier.backbone.parameters()),
        "train/seconds": seconds,
        "latency/seconds": latency(classifier, data.image_shape) if measured is None else measured,
    }
    write_json(metrics, run.folder / "scores.json")
    run.log_metrics({name: metrics[name] for name in RECORDED}, step=best_epoch)
    run.log_tags({"best.epoch": str(best_epoch)})
    write_tables(run.folder, finished)
    if level is ReportLevel.light:
        write_confusions(run.folder, finished, percent=False)
    if level is ReportLevel.full:
        write_full(run.folder, finished)
    run.log_description(describe(finished, config.tracking.command))
    run.log_tags({"report.seconds": f"{time.perf_counter() - started:.1f}"})
    if level is not ReportLevel.none:
        _bundle(run, classifier, data, metrics, finished)
    return TrainResult(scores["val"].metrics["accuracy"], scores, best_epoch, seconds, run.folder, checkpoint, run.id)


def _results(
    config: TrainConfig, classifier: Classifier, data: ImageDataModule, scores: dict[str, Scores], best_epoch: int
) -> RunResults:
    weights = first_layer_weights(classifier.backbone, data.image_shape)
    return RunResults(
        name=run_name(config),
        settings=parameters(config),
        class_names=data.class_names,
        scores=scores,
        temperature=fit_temperature(scores["val"]),
        best_epoch=best_epoch,
        test_images=data.split("test").pictures(),
        first_layer=None if weights is None else weights.numpy(),
    )


def _bundle(
    run: Run, classifier: Classifier, data: ImageDataModule, metrics: dict[str, float], finished: RunResults
) -> None:
    """Write and record the bundle; a run whose network cannot be exported is scored and recorded without one."""
    release_memory()  # of training and scoring: the export needs memory of its own
    from prenda.training import bundling  # imports ONNX Runtime, which only a run with a bundle needs

    folder = run.folder / "bundle"
    try:
        difference = bundling.write_run(
            folder,
            classifier,
            data,
            metrics,
            validation=finished.scores["val"],
            test_logits=finished.scores["test"].logits,
            rows=finished.scores["test"].classes,
            run_name=finished.name,
            run_id=run.id,
        )
    except BundleError as error:
        print(f"prenda train: no bundle: {error}", file=sys.stderr)
        run.log_tags({"bundle": f"none: {error}"})
        return
    run.log_tags({"onnx.largest_difference": f"{difference:.2g}"})
    run.log_bundle(folder)
