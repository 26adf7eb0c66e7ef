"""LightningDataModule for features of a frozen body, in place of its images."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from prenda.data.batches import Batch, InMemory, class_weights, scoring_batches, training_batches
from prenda.data.datamodule import ImageDataModule, Split


class FeatureData(pl.LightningDataModule):
    """Features of each split's images in place of the images; each image has one view, or two with its mirror image.

    Shapes:
        A batch is features (B, views, F), float32, and labels (B,), int64. In training, one view is drawn.

    Args:
        splits: Features (N, views, F) and labels (N,) of each split.
        data: The images' datamodule, whose batch sizes, seed and balance of classes are kept.
        flip: Probability with which training takes the mirror image.
        mirrored: Whether scoring takes both views; else the first.
    """

    def __init__(self, splits: dict[Split, InMemory], data: ImageDataModule, flip: float, mirrored: bool) -> None:
        super().__init__()
        # Not the datamodule itself: a moving average of the weights copies what the classifier holds.
        self._splits, self.flip, self.mirrored = splits, flip, mirrored
        self.batch_size, self.eval_batch_size, self.seed = data.batch_size, data.eval_batch_size, data.seed
        labels, classes = splits["train"].labels, len(data.class_names)
        self._weights = class_weights(labels, classes) if data.balance == "sampler" else None
        self.predicted: Split = "test"

    def setup(self, stage: str | None = None) -> None:
        """Move the features to the trainer's device once."""
        if self.trainer is not None:
            device = self.trainer.strategy.root_device
            self._splits = {
                split: InMemory(part.images.to(device), part.labels.to(device)) for split, part in self._splits.items()
            }

    def train_dataloader(self) -> DataLoader[Batch]:
        return training_batches(self._splits["train"], self.batch_size, self.seed, 1, 0, self._weights)

    def val_dataloader(self) -> DataLoader[Batch]:
        return scoring_batches(self._splits["val"], self.eval_batch_size)

    def predict_dataloader(self) -> DataLoader[Batch]:
        return scoring_batches(self._splits[self.predicted], self.eval_batch_size)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Draw a view of each image in training; take those that are scored otherwise."""
        features, labels = batch
        if self.trainer is not None and self.trainer.training:
            if self.flip:
                chosen = torch.rand(len(features), 1, 1, device=features.device) < self.flip
                features = torch.where(chosen, features[:, 1:], features[:, :1])
            return features[:, :1], labels
        return features if self.mirrored else features[:, :1], labels
