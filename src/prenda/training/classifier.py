"""The LightningModule: loss, metrics and optimiser around any backbone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from prenda.data.draws import draw_seed
from prenda.errors import UserError
from prenda.scoring.metrics import METRIC_BY_NAME, Needs, measure, needing
from prenda.scoring.predictions import Predictions
from prenda.training.epoch_outputs import EpochOutputs, Gathered, over_processes
from prenda.training.feature_data import FeatureData
from prenda.training.full_precision import full_precision
from prenda.training.lightning_overrides import LightningModule
from prenda.training.test_time_views import network_of

SPLITS = ("train", "val", "test")
MakeOptimizer = Callable[[Iterable[nn.Parameter] | Iterable[dict[str, Any]]], Optimizer]
MakeScheduler = Callable[[Optimizer, int], LRScheduler]


class Classifier(LightningModule):
    """A backbone that is trained and scored by cross-entropy.

    It logs every metric of `prenda.scoring.metrics` once an epoch, as `val/…` and `test/…`, over the images of all
    processes. `train/…` is measured on the training batches: with augmentation, dropout and label smoothing. It has
    the loss and the metrics that need only counts.

    Attributes:
        confusion: Confusion matrix of each split in the last epoch, (num_classes, num_classes), int64; rows are true.
        notes: Plain types that every checkpoint carries under `prenda`.
        features: Features of a frozen body in place of the images, for training and scoring; None for the images.
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
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.label_smoothing, self.seed = label_smoothing, seed
        self.confusion: dict[str, Tensor] = {}
        self.notes: dict[str, Any] = {}
        self.features: FeatureData | None = None
        self._optimizer, self._scheduler = optimizer, scheduler
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_weights, persistent=False)  # known from the data, not a weight
        # Updated, computed and reset at the end of each epoch of each split, so one metric serves all splits.
        # A NaN must stay visible: torchmetrics drops it by default, and nan_strategy="disable" drops the weights.
        self._loss, self._num_classes = MeanMetric(nan_strategy=float("nan")), num_classes
        self._confusion = MulticlassConfusionMatrix(num_classes, validate_args=False)
        self._gathered = Gathered()
        self._outputs = {split: EpochOutputs() for split in SPLITS}

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images, or of the features of their views: then the mean over the views.

        Shapes:
            images (B, C, H, W), or features (B, views, F) of a frozen body -> logits (B, num_classes).
        """
        if images.ndim == 3:
            head = cast(nn.Module, network_of(self.backbone).head)
            mean: Tensor = sum(head(view) for view in images.unbind(1)) / images.shape[1]
            return mean
        logits: Tensor = self.backbone(images)
        return logits

    def on_train_epoch_start(self) -> None:
        """Seed the random draws of an epoch (dropout, augmentation) from seed, epoch and process alone.

        A resumed run then draws the same numbers as an uninterrupted one.
        """
        torch.manual_seed(draw_seed(self.seed, "augmentation, dropout", self.current_epoch, self.global_rank))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        logits = self(images)
        loss = self._training_loss(logits, labels)
        # Metrics are updated once an epoch: an update in each step takes a tenth of a dense network's step.
        self._outputs["train"].add(logits.detach(), labels, loss.detach())
        return loss

    def _training_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.class_weights is None:
            return cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        # The weights' mean over all images is 1. torch's mean would divide by their sum in the batch, and the result
        # would depend on how processes share a batch.
        weights, smoothing = self.class_weights, self.label_smoothing
        return cross_entropy(logits, labels, weight=weights, label_smoothing=smoothing, reduction="none").mean()

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._outputs["val"].add(self.score_step(batch[0]), batch[1])

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._outputs["test"].add(self.score_step(batch[0]), batch[1])

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return logits (B, num_classes), float32."""
        return self.score_step(batch[0])

    def score_step(self, images: Tensor) -> Tensor:
        """Return the logits of images, computed in float32 whatever the precision of training.

        The bundle computes in float32 too, so every score is that of the model that ships.

        Shapes:
            images, or features of a frozen body, as in `forward` -> logits (B, num_classes), float32.
        """
        with full_precision(self.device):
            logits: Tensor = self(images)
        return logits

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the epoch, those of training included.

        Lightning would log those of training only after the checkpoint. A run killed between the two would resume
        without the metrics of that epoch.
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
        # Lightning's own refuses fused optimisers in bf16 too, where it has scaled nothing that they would unscale.
        if gradient_clip_val is not None:
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, gradient_clip_val)

    def mean_training_loss(self) -> float:
        """Return the mean loss of this epoch so far, over the images of this process; one batch must be trained."""
        losses, sizes = self._outputs["train"].losses()
        return float((losses * sizes).sum() / sizes.sum())

    def make_optimizer(self) -> Optimizer:
        """Return a new optimiser of the backbone's parameters.

        A backbone may have `parameter_groups`: parts with a factor each of the optimiser's learning rate.
        """
        groups = getattr(network_of(self.backbone), "parameter_groups", None)
        if not callable(groups):
            return self._optimizer(self.backbone.parameters())
        optimizer = self._optimizer(groups())
        for group in optimizer.param_groups:
            group["lr"] *= group["lr_factor"]
        return optimizer

    def make_scheduler(self, optimizer: Optimizer, total_steps: int) -> LRScheduler:
        """Return a new schedule of the optimiser's learning rate over `total_steps` steps."""
        return self._scheduler(optimizer, total_steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # A callback may have stopped training after this epoch: a resumed run must not train further.
        checkpoint["prenda"] = self.notes | {"training_stopped": self.trainer.should_stop}
        if (accuracy := self.trainer.callback_metrics.get("val/accuracy")) is not None:
            checkpoint["prenda"]["accuracy"] = float(accuracy)

    def _log_epoch(self, split: str) -> None:
        outputs, self._outputs[split] = self._outputs[split], EpochOutputs()
        scores = self._scored_in_training(outputs) if split == "train" else self._scored(split, outputs)
        logged = {f"{split}/{name}": value for name, value in scores.items()}
        if split == "train":
            logged["train/lr"] = self.trainer.optimizers[0].param_groups[0]["lr"]
        # Loggers take `step` as the place on the horizontal axis: epochs, counted from 1.
        logged["step"] = self.current_epoch + 1.0
        # Every process has computed the same values over all processes: no reduction is needed.
        self.log_dict(logged, sync_dist=False)

    def _scored_in_training(self, outputs: EpochOutputs) -> dict[str, float]:
        loss = float(over_processes(self._loss, *outputs.losses()))
        self._check_finite("train", loss)
        logits, labels = outputs.all()
        self.confusion["train"] = over_processes(self._confusion, logits.argmax(1), labels).cpu()
        counts = Predictions.counted(self.confusion["train"].numpy())
        return measure(counts, needing(Needs.counts)) | {"loss": loss}

    def _scored(self, split: str, outputs: EpochOutputs) -> dict[str, float]:
        if outputs:
            logits, labels = outputs.all()
        else:  # a process may have no images of a small split
            logits = torch.empty(0, self._num_classes, device=self.device)
            labels = torch.empty(0, dtype=torch.int64, device=self.device)
        logits, labels = over_processes(self._gathered, logits, labels)
        labels = labels.reshape(-1)  # torchmetrics turns the label of a single image into a scalar
        predictions = Predictions.of(logits.cpu().numpy(), labels.cpu().numpy())
        self.confusion[split] = torch.from_numpy(predictions.confusion)
        self._check_finite(split, METRIC_BY_NAME["loss"].function(predictions))
        return measure(predictions)

    def _check_finite(self, split: str, loss: float) -> None:
        """Raise UserError if the loss of a training is not finite: it has diverged and will not recover."""
        if self.trainer.optimizers and not math.isfinite(loss):
            rate = self.trainer.optimizers[0].param_groups[0]["lr"]
            raise UserError(
                f"{split}/loss is {loss} in epoch {self.current_epoch + 1}: training diverged at a learning rate of "
                f"{rate:.3g}. Give a smaller optimizer.lr, or set trainer.gradient_clip=1."
            )
