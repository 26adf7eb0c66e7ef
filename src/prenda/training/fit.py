"""Training loop of a run: Lightning's Trainer with prenda's callbacks, from the first epoch or the last checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytorch_lightning.callbacks import Callback, EMAWeightAveraging, Timer

from prenda.config.schema import TrainConfig
from prenda.data.datamodule import ImageDataModule
from prenda.report.log import RunLog
from prenda.tracking.loggers import lightning_loggers
from prenda.training import checkpoints
from prenda.training.build import build_callbacks, build_trainer
from prenda.training.callbacks.confusion import ConfusionOverEpochs
from prenda.training.callbacks.progress import TrainingProgress
from prenda.training.classifier import Classifier
from prenda.training.profile import Trace


def fit(
    config: TrainConfig,
    classifier: Classifier,
    data: ImageDataModule,
    folder: Path,
    more: Sequence[Callback],
    processes: int = 1,
    nodes: int = 1,
) -> None:
    """Train to the last epoch or until a callback stops the training; resume from the checkpoint that the folder has.

    Args:
        config: Configuration of the run.
        classifier: The classifier to train.
        data: The datamodule, already set up.
        folder: Folder of the run.
        more: Further callbacks.
        processes: Number of processes on each machine.
        nodes: Number of machines.
    """
    resumed = checkpoints.to_resume(folder)
    if resumed is not None and resumed.training_stopped:
        return
    path = None if resumed is None else resumed.path
    del resumed  # weights and optimizer states, which Lightning reads again
    kept = checkpoints.best_and_last(folder / checkpoints.BEST.parent)
    callbacks = [TrainingProgress(RunLog(folder)), Timer(), *more, *build_callbacks(config), *kept]
    if config.report.every_n_epochs:
        pictures = folder / "confusion" / "epochs"
        callbacks.append(ConfusionOverEpochs(config.report.every_n_epochs, data.class_names, pictures))
    if config.ema is not None:
        callbacks.append(EMAWeightAveraging(decay=config.ema))
    trace = Trace(config.trainer.profile, folder, layers=not config.trainer.compile) if config.trainer.profile else None
    if trace is not None:
        callbacks.append(trace)
    trainer = build_trainer(
        config.trainer,
        devices=processes,
        num_nodes=nodes,
        strategy="auto" if processes * nodes == 1 else "ddp",
        max_epochs=config.trainer.epochs,
        gradient_clip_val=config.trainer.gradient_clip,
        sync_batchnorm=config.trainer.sync_batchnorm,
        logger=lightning_loggers(folder),
        callbacks=callbacks,
        profiler=None if trace is None else trace.spans,
        plugins=[checkpoints.AtomicCheckpointIO()],
    )
    trained_on = data if classifier.features is None else classifier.features
    trainer.fit(classifier, datamodule=trained_on, ckpt_path=path, weights_only=True)
