"""Gives up trials that do worse than others did at the same epoch."""

from __future__ import annotations

import sys
from pathlib import Path

import optuna
import pytorch_lightning as pl
from optuna.exceptions import StorageInternalError
from pytorch_lightning.callbacks import Callback

from prenda.config.instantiate import build
from prenda.search.job import TrialAddress
from prenda.search.study import open_storage
from prenda.system.atomic_write import write_atomically
from prenda.tracking.runs import PRUNED


class Pruning(Callback):
    """Reports the score of each epoch to the study, and stops a training that its pruner gives up.

    The first process asks; all of them stop. A database that does not answer prunes nothing.
    """

    def __init__(self, address: TrialAddress, metric: str, folder: Path) -> None:
        self.address, self.metric, self.folder = address, metric, folder
        self._trial: optuna.trial.Trial | None = None
        self._reported: set[int] = set()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = open_storage(self.address.storage)
        pruner = build(self.address.pruner, "search.pruner")
        study = optuna.load_study(study_name=self.address.study, storage=storage, pruner=pruner)
        self._trial = optuna.trial.Trial(study, self.address.trial_id)
        self._reported = set(storage.get_trial(self.address.trial_id).intermediate_values)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the epoch's score once its metrics have been logged."""
        epoch = trainer.current_epoch + 1
        score = float(trainer.callback_metrics[self.metric])
        if trainer.strategy.broadcast(self._given_up(score, epoch, trainer.max_epochs or 0)):
            if trainer.is_global_zero:
                pruner = self.address.pruner["_target_"].rpartition(".")[2]
                told = f"epoch {epoch}: {self.metric} {score:.4f} is not enough for the {pruner}"
                write_atomically(self.folder / PRUNED, told)
            trainer.should_stop = True

    def _given_up(self, score: float, epoch: int, epochs: int) -> bool:
        if self._trial is None:
            return False
        try:
            if epoch not in self._reported:  # an epoch that is repeated after an interruption
                self._trial.report(score, epoch)
            return epoch < epochs and self._trial.should_prune()  # one that has come to its end is worth its score
        except StorageInternalError as error:
            print(f"epoch {epoch}: the study cannot be asked whether to go on ({error}).", file=sys.stderr)
            return False
