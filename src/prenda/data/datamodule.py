"""LightningDataModule for every data set: splits, normalisation and batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader

from prenda.config.schema import AugmentConfig, DataConfig
from prenda.data.augment import Augment
from prenda.data.batches import Batch, InMemory, scoring_batches, training_batches
from prenda.data.datasets import find
from prenda.errors import DataError
from prenda.photos.preparation import Preparation

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Selection:
    """Selection of a run's images, and their split into train and validation.

    Attributes:
        classes: Names to keep, in the order of the new labels; None keeps all.
        val_size: Number of official training images that are used for validation.
        split_seed: Seed of the split.
        limit_train: Number of training images to keep after the split; None keeps all. A smaller selection is part of
            every larger one.
    """

    classes: Sequence[str] | None = None
    val_size: int = 5000
    split_seed: int = 0
    limit_train: int | None = None


class ImageDataModule(pl.LightningDataModule):
    """Official splits of a data set as whole batches of normalised images.

    Shapes:
        A batch is images (B, C, H, W), float32, normalised, and labels (B,), int64.

    Attributes:
        predicted: The split that `Trainer.predict` gets, each image once, in order and without augmentation.

    Raises:
        DataError: If the data set, a class or a size is not available; the text names the setting.
    """

    def __init__(
        self,
        name: str,
        data_dir: Path,
        *,
        selection: Selection | None = None,
        image_size: int | None = None,
        channels: int = 1,
        normalize: Literal["standard", "unit"] = "standard",
        batch_size: int = 128,
        eval_batch_size: int = 250,
        augment: Callable[[Tensor], Tensor] | None = None,
        seed: int = 0,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.data_name, self.data_dir, self._data_set = name, data_dir, find(name)
        self.selection = selection or Selection()
        self.image_size, self.channels, self.normalize = image_size, channels, normalize
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.augment, self.seed, self.channels_last = augment or Augment(), seed, channels_last
        self.class_names = _chosen_classes(self._data_set.class_names, self.selection.classes)
        self.content_hash = ""
        self.predicted: Split = "test"
        self._splits: dict[Split, InMemory] = {}
        self._mean = self._deviation = self._scale = torch.empty(0)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of the network's images; known after `setup`."""
        _, height, width = self._splits["train"].images.shape[1:]
        return self.channels, height, width

    @property
    def preparation(self) -> Preparation | None:
        """How a photo becomes an image of this data set; None if there is no way. Known after `setup`."""
        if self._data_set.photos is None:
            return None
        images = self._splits["train"].images
        return Preparation(self._data_set.photos, size=images.shape[-1], channels=images.shape[1])

    @property
    def translations(self) -> dict[str, tuple[str, ...]]:
        """Names of the classes for people, in the order of the labels, by language; see the data set's contract."""
        known = self._data_set.class_names
        return {
            language: tuple(names[known.index(name)] for name in self.class_names)
            for language, names in self._data_set.translations.items()
        }

    def prepare_data(self) -> None:
        """Fetch and verify missing files, unless the images are in memory already."""
        if not self._splits:  # Lightning calls this before each of its loops
            self._data_set.fetch(self.data_dir)

    def setup(self, stage: str | None = None) -> None:
        """Split the official training images into train and validation; keep the test images complete.

        The split depends on data.split_seed alone, so runs that differ in seed, backbone or device are scored on the
        same images. With a trainer, the images move to its device once.
        """
        if not self._splits:
            self._load()
        if self.trainer is not None:
            self._move_to(self.trainer.strategy.root_device)

    def split(self, split: Split) -> InMemory:
        """Return the images and labels of one split, in their fixed order."""
        return self._splits[split]

    def train_dataloader(self) -> DataLoader[Batch]:
        replicas, rank = self._place()
        return training_batches(self._splits["train"], self.batch_size, self.seed, replicas, rank)

    def val_dataloader(self) -> DataLoader[Batch]:
        return scoring_batches(self._splits["val"], self.eval_batch_size, *self._place())

    def test_dataloader(self) -> DataLoader[Batch]:
        return scoring_batches(self._splits["test"], self.eval_batch_size, *self._place())

    def predict_dataloader(self) -> DataLoader[Batch]:
        return scoring_batches(self._splits[self.predicted], self.eval_batch_size, *self._place())

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Return the batch unchanged: the images are on the device already."""
        return batch

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment (in training) and normalise a batch, on its device."""
        images, labels = batch
        if self.trainer is not None and self.trainer.training:
            images = self.augment(images)
        return self.normalized(images), labels

    def normalized(self, images: Tensor) -> Tensor:
        """Return normalised images for the network.

        Shapes:
            images (B, C or 1, H, W), uint8 -> (B, C, H, W), float32.
        """
        images = images.float().sub_(self._mean).mul_(self._scale)
        if images.shape[1] != self.channels:
            images = images.expand(-1, self.channels, -1, -1)
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images

    def statistics(self) -> dict[str, list[float]]:
        """Return mean and standard deviation of normalisation, for pixels from 0 to 255, a value a stored channel."""
        return {"mean": self._mean.flatten().tolist(), "std": self._deviation.flatten().tolist()}

    def _place(self) -> tuple[int, int]:
        if self.trainer is None:
            return 1, 0
        return self.trainer.world_size, self.trainer.global_rank

    def _load(self) -> None:
        loaded = self._data_set.load(self.data_dir)
        stored = loaded.train_images.shape[1]
        if stored not in (1, self.channels):
            raise DataError(
                f"data.channels is {self.channels}, but the images of {self.data_name} have {stored}: give "
                f"data.channels={stored}."
            )
        self.content_hash = loaded.content_hash
        labels = [loaded.class_names.index(name) for name in self.class_names]
        images, targets = _keep(loaded.train_images, loaded.train_labels, labels)
        train, val = _split_indices(targets, self.selection)
        parts: dict[Split, Batch] = {
            "train": (images[train], targets[train]),
            "val": (images[val], targets[val]),
            "test": _keep(loaded.test_images, loaded.test_labels, labels),
        }
        size = self.image_size
        self._splits = {split: InMemory(_resized(part[0], size), part[1]) for split, part in parts.items()}
        self._mean, self._deviation = _statistics(self._splits["train"].images, self.normalize)
        self._scale = 1 / self._deviation

    def _move_to(self, device: torch.device) -> None:
        for part in self._splits.values():
            part.images, part.labels = part.images.to(device), part.labels.to(device)
        self._mean, self._scale = self._mean.to(device), self._scale.to(device)


def from_config(
    data: DataConfig, augment: AugmentConfig | None = None, *, seed: int = 0, channels_last: bool = False
) -> ImageDataModule:
    """Return the datamodule that `data` and `augment` of a configuration describe."""
    return ImageDataModule(
        data.name,
        Path(data.dir).expanduser(),
        selection=Selection(data.classes, data.val_size, data.split_seed, data.limit_train),
        image_size=data.image_size,
        channels=data.channels,
        normalize=data.normalize.value,
        batch_size=data.batch_size,
        eval_batch_size=data.eval_batch_size,
        augment=None if augment is None else Augment(**asdict(augment)),
        seed=seed,
        channels_last=channels_last,
    )


def _chosen_classes(known: tuple[str, ...], wanted: Sequence[str] | None) -> tuple[str, ...]:
    if wanted is None:
        return known
    unknown = [name for name in wanted if name not in known]
    if unknown or len(set(wanted)) < 2 or len(set(wanted)) != len(wanted):
        raise DataError(f"data.classes is {list(wanted)}: name two or more, each once, of {', '.join(known)}.")
    return tuple(wanted)


def _keep(images: Tensor, labels: Tensor, kept: list[int]) -> Batch:
    """Return the images of the kept classes, in their order, with labels that count from 0."""
    if kept == list(range(int(labels.max()) + 1)):
        return images, labels
    new = torch.full((int(labels.max()) + 1,), -1)
    new[torch.tensor(kept)] = torch.arange(len(kept))
    chosen = new[labels] >= 0
    return images[chosen], new[labels[chosen]]


def _split_indices(labels: Tensor, selection: Selection) -> Batch:
    """Return the indices of train and validation, sorted; both have the same proportions of classes."""
    total, val_size, limit = len(labels), selection.val_size, selection.limit_train
    if val_size >= total:
        raise DataError(
            f"data.val_size is {val_size}, but there are {total} training images in all: use fewer for validation."
        )
    generator = torch.Generator().manual_seed(selection.split_seed)
    order = torch.randperm(total, generator=generator)
    val = _stratified(order, labels, val_size)
    remaining = order[~torch.isin(order, val)]
    if limit is not None and limit > len(remaining):
        raise DataError(
            f"data.limit_train is {limit}, but {len(remaining)} training images remain after the split: "
            "give at most that many, or null for all."
        )
    return remaining[:limit].sort().values, val.sort().values


def _stratified(order: Tensor, labels: Tensor, size: int) -> Tensor:
    """Return the first images of each class in `order`, `size` in all, in the proportions of the classes."""
    counts = torch.bincount(labels)
    exact = counts * size / len(labels)
    share = exact.floor().long()
    share[(exact - share).argsort(descending=True, stable=True)[: size - int(share.sum())]] += 1
    return torch.cat([order[labels[order] == label][:count] for label, count in enumerate(share.tolist())])


def _resized(images: Tensor, size: int | None) -> Tensor:
    if size is None or images.shape[-1] == size == images.shape[-2]:
        return images
    parts = [interpolate(part, (size, size), mode="bilinear", antialias=True) for part in torch.split(images, 4096)]
    return torch.cat(parts)


def _statistics(images: Tensor, normalize: Literal["standard", "unit"]) -> Batch:
    """Return mean and standard deviation of normalisation, (C, 1, 1), in units of raw pixels.

    They are computed from a histogram in double precision, so they are bit-identical on every machine.
    """
    channels = images.shape[1]
    if normalize == "unit":
        return torch.zeros(channels, 1, 1), torch.full((channels, 1, 1), 255.0)
    value = torch.arange(256, dtype=torch.float64)
    counts = torch.stack([torch.bincount(images[:, c].flatten(), minlength=256) for c in range(channels)]).double()
    weight = counts / counts.sum(1, keepdim=True)
    mean = (weight * value).sum(1)
    deviation = ((weight * value**2).sum(1) - mean**2).sqrt().clamp(min=1.0)  # images of one value stay finite
    return mean.float()[:, None, None], deviation.float()[:, None, None]
