"""The LightningModule: loss, metrics and optimiser around any backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

from prenda.errors import UserError
from prenda.training.epoch_outputs import Seen

SPLITS = ("train", "val", "test")
MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]
MakeScheduler = Callable[[Optimizer, int], LRScheduler]


class Classifier(pl.LightningModule):
    """Trains and scores a backbone by cross-entropy.

    Logs once an epoch, as `train/…`, `val/…` and `test/…`: loss, accuracy, and f1, precision and recall as means over
    the classes. `train/…` is what training saw: augmented images, dropout on, the loss smoothed if it is.

    Attributes:
        confusion: The last epoch's confusion matrix of each split, (num_classes, num_classes), int64; rows are true.
        notes: Plain types that every checkpoint carries under `prenda`.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        *,
        optimizer: MakeOptimizer,
        scheduler: MakeScheduler,
        label_smoothing: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.label_smoothing, self.seed = label_smoothing, seed
        self.confusion: dict[str, Tensor] = {}
        self.notes: dict[str, Any] = {}
        self._optimizer, self._scheduler = optimizer, scheduler
        # Filled, computed and emptied at the end of each epoch of each split, so one set serves all of them.
        # A NaN stays one, to be seen; torchmetrics would drop it, and with nan_strategy="disable" drops the weights.
        self._loss, self._metrics = MeanMetric(nan_strategy=float("nan")), _metrics(num_classes)
        self._seen = {split: Seen() for split in SPLITS}

    def __setattr__(self, name: str, value: Any) -> None:
        """Takes Lightning's notes of the hook it is in, 42 a step, without asking each time if it is a parameter."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def forward(self, images: Tensor) -> Tensor:
        """Shapes: images (B, C, H, W) -> logits (B, num_classes)."""
        logits: Tensor = self.backbone(images)
        return logits

    def on_train_epoch_start(self) -> None:
        """Makes the draws of an epoch (dropout, augmentation) depend on seed, epoch and process alone.

        An epoch is then the same whether or not the run was interrupted before it.
        """
        draws = torch.Generator().manual_seed(self.seed)
        epochs = torch.randint(2**62, (self.current_epoch + 1,), generator=draws)
        torch.manual_seed(int(epochs[-1]) + self.global_rank)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return self._step("train", batch, self.label_smoothing)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._step("val", batch)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._step("test", batch)

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Logits (B, num_classes), float32."""
        logits: Tensor = self(batch[0])
        return logits.float()

    def on_validation_epoch_end(self) -> None:
        """Logs the epoch, training included: Lightning would log that only after the checkpoint.

        A run killed between the two would then go on without the figures of an epoch.
        """
        if self.trainer.state.fn == TrainerFn.FITTING:
            self._log_epoch("train")
        self._log_epoch("val")

    def on_test_epoch_end(self) -> None:
        self._log_epoch("test")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = self.make_optimizer()
        scheduler = self.make_scheduler(optimizer, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        if gradient_clip_val is not None:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def make_optimizer(self) -> Optimizer:
        """A new optimiser of the backbone."""
        return self._optimizer(self.backbone.parameters())

    def make_scheduler(self, optimizer: Optimizer, total_steps: int) -> LRScheduler:
        """A new schedule of the optimiser's rate over so many of its steps."""
        return self._scheduler(optimizer, total_steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # A callback may have stopped training after this epoch: a resumed run must not train on.
        checkpoint["prenda"] = self.notes | {"training_stopped": self.trainer.should_stop}

    def _step(self, split: str, batch: tuple[Tensor, Tensor], label_smoothing: float = 0.0) -> Tensor:
        images, labels = batch
        logits = self(images)
        loss = cross_entropy(logits, labels, label_smoothing=label_smoothing)
        # Kept, and given to the metrics once an epoch: an update each step costs a tenth of a dense network's step.
        self._seen[split].add(logits.detach(), labels, loss.detach())
        return loss

    def _log_epoch(self, split: str) -> None:
        seen, self._seen[split] = self._seen[split], Seen()
        if seen:  # a process may have got none of a small part
            logits, labels, losses, sizes = seen.all()
            self._loss.update(losses.float(), sizes)
            self._metrics.update(logits.argmax(1), labels)
        scores = self._metrics.compute() | {"loss": self._loss.compute()}
        self._check_finite(split, scores["loss"])
        self.confusion[split] = scores.pop("confusion").cpu()
        self._loss.reset()
        self._metrics.reset()
        logged = {f"{split}/{name}": value for name, value in scores.items()}
        if split == "train":
            logged["train/lr"] = torch.tensor(self.trainer.optimizers[0].param_groups[0]["lr"])
        # Loggers take `step` as the place on the horizontal axis: epochs, counted from 1.
        logged["step"] = torch.tensor(self.current_epoch + 1.0)
        # Every process has computed the same figures over all of them: there is nothing left to reduce.
        self.log_dict(logged, sync_dist=False)

    def _check_finite(self, split: str, loss: Tensor) -> None:
        """Ends a training that will not come back, instead of scoring a network that answers nothing."""
        if self.trainer.optimizers and not loss.isfinite():
            rate = self.trainer.optimizers[0].param_groups[0]["lr"]
            raise UserError(
                f"{split}/loss is {loss.item()} in epoch {self.current_epoch + 1}: training diverged at a rate of "
                f"{rate:.3g}. Give a smaller optimizer.lr, or set trainer.gradient_clip=1."
            )


def _metrics(num_classes: int) -> MetricCollection:
    return MetricCollection(
        {
            "accuracy": MulticlassAccuracy(num_classes, average="micro"),
            "f1": MulticlassF1Score(num_classes, average="macro"),
            "precision": MulticlassPrecision(num_classes, average="macro"),
            "recall": MulticlassRecall(num_classes, average="macro"),
            "confusion": MulticlassConfusionMatrix(num_classes),
        }
    )
