"""LightningDataModule for every data set: splits, normalisation and batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from prenda.config.schema import AugmentConfig, DataConfig
from prenda.data.augment import Augment
from prenda.data.batches import Batch, InMemory, Streamed, class_weights, scoring_batches, training_batches
from prenda.data.datasets import find
from prenda.data.photo_files import PhotoDataSet, PhotoFiles, PhotoSettings, photo_cache, photo_settings
from prenda.data.photo_layout import Split
from prenda.data.photo_storage import Storage, store_photos, stored_size
from prenda.data.splits import Selection, chosen_classes, pixel_statistics, resized, split_images
from prenda.errors import DataError
from prenda.photos.preparation import Preparation

__all__ = ["ImageDataModule", "PhotoSettings", "Selection", "Split", "Storage", "from_config"]


class ImageDataModule(pl.LightningDataModule):
    """Official splits of a data set as whole batches of normalised images.

    Shapes:
        A batch is images (B, C, H, W), float32, normalised, and labels (B,), int64.

    Attributes:
        class_names: Names of the classes, in the order of the labels; those of photos are known after `setup`.
        files: The photos of a data set of photos, after `setup`; None for other data sets.
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
        normalize: Literal["standard", "unit", "imagenet"] = "standard",
        batch_size: int = 128,
        eval_batch_size: int = 250,
        augment: Callable[[Tensor], Tensor] | None = None,
        seed: int = 0,
        channels_last: bool = False,
        balance: Literal["none", "loss", "sampler"] = "none",
        photos: PhotoSettings | None = None,
        stored: int | None = None,
        storage: Storage | None = None,
    ) -> None:
        """Name the images and their use; nothing is read yet.

        Args:
            name: Name of the data set.
            data_dir: Folder of its files.
            selection: Classes, split and number of training images.
            image_size: Pixels a side; None keeps the data set's own, which photos do not have.
            channels: Channels of the network's images: 1 or 3.
            normalize: Normalisation of pixels.
            batch_size: Images of a training step, over all processes together.
            eval_batch_size: Images of a scoring step.
            augment: Augmentation of training batches, uint8 (B, C, H, W) to the same or to another size.
            seed: Seed of the order of training images.
            channels_last: Whether batches are laid out in memory with channels last.
            balance: How classes of unequal size are treated in training.
            photos: Settings of data sets of photos.
            stored: Pixels a side of stored training photos; None is `image_size`.
            storage: Limits of memory and disk for photos.
        """
        super().__init__()
        self.data_name, self.data_dir, self._data_set = name, data_dir, find(name)
        self.selection = selection or Selection()
        self.image_size, self.channels, self.normalize = image_size, channels, normalize
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.augment, self.seed, self.channels_last = augment or Augment(), seed, channels_last
        self.balance, self.photos, self.storage = balance, photos or PhotoSettings(), storage or Storage()
        self._stored = stored
        self.files: PhotoFiles | None = None
        self.class_names: tuple[str, ...] = ()
        if not isinstance(self._data_set, PhotoDataSet):
            self.class_names = chosen_classes(self._data_set.class_names, self.selection.classes)
        self.content_hash = ""
        self.predicted: Split = "test"
        self._splits: dict[Split, InMemory | Streamed] = {}
        self._mean = self._deviation = self._scale = torch.empty(0)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of the network's images; known after `setup`."""
        return self.channels, *self._splits["test"].image_shape[1:]

    @property
    def preparation(self) -> Preparation | None:
        """How a photo becomes an image of this data set; None if there is no way. Known after `setup`."""
        if self._data_set.photos is None:
            return None
        channels, _, width = self._splits["test"].image_shape
        return Preparation(self._data_set.photos, size=width, channels=channels)

    @property
    def background(self) -> int:
        """Pixel value around an article: white where photos are padded, else black."""
        return 255 if self._data_set.photos == "pad" else 0

    @property
    def class_weights(self) -> Tensor | None:
        """Weights of the classes in the loss, (num_classes,), float32; None unless `balance` is `loss`."""
        return class_weights(self._splits["train"].labels, len(self.class_names)) if self.balance == "loss" else None

    @property
    def translations(self) -> dict[str, tuple[str, ...]]:
        """Names of the classes for people, in the order of the labels, by language; see the data set's contract."""
        if self.files is not None:
            return dict(self.files.translations)
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

    def split(self, split: Split) -> InMemory | Streamed:
        """Return the images and labels of one split, in their fixed order."""
        return self._splits[split]

    def train_dataloader(self) -> DataLoader[Batch]:
        train = self._splits["train"]
        weights = class_weights(train.labels, len(self.class_names)) if self.balance == "sampler" else None
        return training_batches(train, self.batch_size, self.seed, *self._place(), weights)

    def val_dataloader(self) -> DataLoader[Batch]:
        return scoring_batches(self._splits["val"], self.eval_batch_size, *self._place())

    def test_dataloader(self) -> DataLoader[Batch]:
        return scoring_batches(self._splits["test"], self.eval_batch_size, *self._place())

    def predict_dataloader(self) -> DataLoader[Batch]:
        return scoring_batches(self._splits[self.predicted], self.eval_batch_size, *self._place())

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Return the batch on the device, where images in memory are already."""
        images, labels = batch
        return images.to(device), labels.to(device)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment (in training) and normalise a batch, on its device."""
        images, labels = batch
        training = self.trainer is not None and self.trainer.training
        # Training photos may be stored at another size than they are scored at, for random crops.
        images = self.augment(images) if training else resized(images, self.image_size)
        return self.normalized(images), labels

    def normalized(self, images: Tensor) -> Tensor:
        """Return normalised images for the network.

        Shapes:
            images (B, C or 1, H, W), uint8 -> (B, C, H, W), float32.
        """
        images = images.to(self._mean.device).float().sub_(self._mean).mul_(self._scale)
        if images.shape[1] != self.channels:
            images = images.expand(-1, self.channels, -1, -1)
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images

    def statistics(self) -> dict[str, list[float]]:
        """Return mean and standard deviation of normalisation, for pixels from 0 to 255, a value a stored channel."""
        return {"mean": self._mean.flatten().tolist(), "std": self._deviation.flatten().tolist()}

    def use_statistics(self, recorded: Mapping[str, Sequence[float]]) -> None:
        """Normalise with recorded `statistics`, those of the images that a network was trained on."""
        mean, deviation = (torch.tensor(recorded[name])[:, None, None] for name in ("mean", "std"))
        self._mean, self._deviation, self._scale = mean, deviation, 1 / deviation

    def _place(self) -> tuple[int, int]:
        if self.trainer is None:
            return 1, 0
        return self.trainer.world_size, self.trainer.global_rank

    def _load(self) -> None:
        if isinstance(self._data_set, PhotoDataSet):
            self._splits = self._load_photos(self._data_set)
        else:
            self._splits = self._load_images()
        self._mean, self._deviation = pixel_statistics(self._splits["train"], self.normalize)
        self._scale = 1 / self._deviation

    def _load_images(self) -> dict[Split, InMemory | Streamed]:
        if self.photos.mapping is not None:
            raise DataError(
                f"data.mapping is {self.photos.mapping}, but {self.data_name} is no data set of photos in folders: use "
                "data.classes to choose some of its classes."
            )
        loaded = self._data_set.load(self.data_dir)
        stored = loaded.train_images.shape[1]
        if stored not in (1, self.channels):
            raise DataError(
                f"data.channels is {self.channels}, but the images of {self.data_name} have {stored}: give "
                f"data.channels={stored}."
            )
        self.content_hash = loaded.content_hash
        return {**split_images(loaded, self.class_names, self.selection, self.image_size)}

    def _load_photos(self, data_set: PhotoDataSet) -> dict[Split, InMemory | Streamed]:
        size = self.image_size
        if size is None:
            raise DataError("data.image_size is null, but photos have no size of their own: give data.image_size=224.")
        files = data_set.files(self.data_dir, self.photos)
        self.class_names = chosen_classes(files.class_names, self.selection.classes)
        chosen = files.of_classes(self.class_names)
        self.content_hash = chosen.content_hash
        self.files = chosen.limited(self.selection.limit_train, self.selection.split_seed)
        assert data_set.photos is not None
        scored = Preparation(data_set.photos, size=size, channels=self.channels)
        stored = replace(scored, size=self._stored or size)
        preparations: dict[Split, Preparation] = {"train": stored, "val": scored, "test": scored}
        return store_photos(self.files, preparations, self.storage, photo_cache())

    def _move_to(self, device: torch.device) -> None:
        for part in self._splits.values():
            part.to(device)
        self._mean, self._scale = self._mean.to(device), self._scale.to(device)


def from_config(
    data: DataConfig, augment: AugmentConfig | None = None, *, seed: int = 0, channels_last: bool = False
) -> ImageDataModule:
    """Return the datamodule that `data` and `augment` of a configuration describe."""
    training_size = (augment.size if augment else None) or data.image_size
    cropped = augment is not None and augment.crop > 0
    return ImageDataModule(
        data.name,
        Path(data.dir).expanduser(),
        selection=Selection(data.classes, data.val_size, data.split_seed, data.limit_train),
        image_size=data.image_size,
        channels=data.channels,
        normalize=data.normalize.value,
        batch_size=data.batch_size,
        eval_batch_size=data.eval_batch_size,
        augment=None if augment is None else Augment(**{**asdict(augment), "size": training_size}),
        seed=seed,
        channels_last=channels_last,
        balance=data.balance.value,
        photos=photo_settings(data),
        stored=stored_size(training_size, cropped) if training_size else None,
        storage=Storage(data.memory_gb, data.cache_gb, data.workers),
    )
