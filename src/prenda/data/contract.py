"""Contract of a data set: its labelled images, its class names and its text for the model card."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from prenda.errors import DataError
from prenda.photos.preparation import Kind

if TYPE_CHECKING:  # the model card needs the texts only, without torch
    from torch import Tensor


@dataclass(frozen=True)
class CardText:
    """Text of a data set in the model card, in full sentences.

    Attributes:
        description: What the images show, where they come from, and their size.
        intended_use: Uses for which a model trained on them is suited, and uses for which it is not.
        limits: Limits of such a model, a sentence each. `{mirrored}` in a sentence becomes a clause that says whether
            training mirrored some of the images.
    """

    description: str
    intended_use: str
    limits: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelledImages:
    """A data set in memory; its official training and test images stay apart.

    Attributes:
        train_images, test_images: (N, C, H, W), uint8; 0 is background, and C is 1 (grey) or 3 (colour).
        train_labels, test_labels: (N,), int64, indices into `class_names`.

    Raises:
        DataError: If a tensor has another type or shape, a label has no class name, or a class no training image.
    """

    class_names: tuple[str, ...]
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    def __post_init__(self) -> None:
        for part, images, labels in (
            ("train", self.train_images, self.train_labels),
            ("test", self.test_images, self.test_labels),
        ):
            _check_images(f"{part}_images", images)
            _check_labels(f"{part}_labels", labels, len(images), self.class_names)
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            train, test = (tuple(images.shape[1:]) for images in (self.train_images, self.test_images))
            raise DataError(f"train_images are {train}, test_images {test} (C, H, W): give all images one shape.")
        absent = set(range(len(self.class_names))) - set(self.train_labels.tolist())
        if absent:
            raise DataError(
                f"train_labels has no image of class {self.class_names[min(absent)]!r}: give each class some training "
                "images, or take its name out of class_names."
            )

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of pixels and labels, hexadecimal."""
        digest = hashlib.sha256()
        for tensor in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()


@dataclass(frozen=True)
class DataSet(ABC):
    """Base class of data sets: DATA_SET of a module in `prenda.data.datasets`, whose name is the data set's name.

    The YAML file of the same name in conf/data has its settings. `flip`, whether images may be mirrored, is a setting
    too: it is checked before a run starts, and recorded with the run.

    Attributes:
        class_names: Names of the classes, in the order of the labels.
        card: Text for the model card.
        content_is_fixed: Whether the name alone determines the images, by checksums or a fixed seed. If it does not,
            the content hash becomes part of a run's fingerprint.
        photos: How a photo becomes such an image, so that a trained model can be given photos; None if there is no way.
        translations: Names of the classes for people, in the order of `class_names`, by language code. `en` replaces
            the class names themselves.

    Raises:
        DataError: If a language has more or fewer names than there are classes.
    """

    class_names: tuple[str, ...]
    card: CardText
    content_is_fixed: bool = field(default=False, kw_only=True)
    photos: Kind | None = field(default=None, kw_only=True)
    translations: Mapping[str, tuple[str, ...]] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        for language, names in self.translations.items():
            if len(names) != len(self.class_names):
                raise DataError(
                    f"translations[{language!r}] has {len(names)} names, but class_names has {len(self.class_names)}: "
                    "give one name for each class, in the same order."
                )

    def fetch(self, data_dir: Path) -> None:  # noqa: B027 - optional: a user's own files need no fetching
        """Fetch the missing files into `data_dir`.

        Raises:
            DataError: If a file is not available; the text names the file and its folder.
        """

    @abstractmethod
    def load(self, data_dir: Path) -> LabelledImages:
        """Read the images that `fetch` has fetched.

        Raises:
            DataError: If a file is missing or invalid.
        """


def _check_images(name: str, images: Tensor) -> None:
    import torch

    if images.dtype is not torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
        raise DataError(
            f"{name} is {images.dtype} of shape {tuple(images.shape)}: give at least one image as torch.uint8 of shape "
            "(N, C, H, W), where C is 1 (grey) or 3 (colour)."
        )


def _check_labels(name: str, labels: Tensor, count: int, class_names: tuple[str, ...]) -> None:
    import torch

    if labels.dtype is not torch.int64 or labels.shape != (count,):
        raise DataError(
            f"{name} is {labels.dtype} of shape {tuple(labels.shape)}: give torch.int64 of shape ({count},), a label "
            "for each image."
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(class_names):
        raise DataError(
            f"{name} has labels from {low} to {high}, but there are {len(class_names)} class names: labels count from "
            f"0 to {len(class_names) - 1}."
        )
