"""Splits of a data set whose images are in memory: selection of classes, stratified split, resizing, statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from prenda.data.batches import Batch, InMemory, Streamed
from prenda.data.contract import LabelledImages
from prenda.data.photo_layout import Split
from prenda.data.stratified import stratified
from prenda.errors import DataError
from prenda.system.memory import available_memory

STEP = 256  # images at a time, which bounds the memory
# Of ImageNet's photos, red, green and blue, for pixels from 0 to 1 (torchvision's reference trainings).
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Selection:
    """Selection of a run's images, and their split into train and validation.

    Attributes:
        classes: Names to keep, in the order of the new labels; None keeps all.
        val_size: Number of official training images that are used for validation; photos have shares instead.
        split_seed: Seed of the split.
        limit_train: Number of training images to keep after the split, stratified; None keeps all. A smaller selection
            is part of every larger one.
    """

    classes: Sequence[str] | None = None
    val_size: int | None = 5000
    split_seed: int = 0
    limit_train: int | None = None


def split_images(
    loaded: LabelledImages, class_names: tuple[str, ...], selection: Selection, size: int | None
) -> dict[Split, InMemory]:
    """Return the splits of a data set in memory, resized to `size` pixels a side.

    Raises:
        DataError: If there are too few images for the split, or resized they do not fit into memory.
    """
    labels = [loaded.class_names.index(name) for name in class_names]
    images, targets = _keep(loaded.train_images, loaded.train_labels, labels)
    train, val = _split_indices(targets, selection)
    parts: dict[Split, Batch] = {
        "train": (images[train], targets[train]),
        "val": (images[val], targets[val]),
        "test": _keep(loaded.test_images, loaded.test_labels, labels),
    }
    _check_memory([images for images, _ in parts.values()], size)
    return {split: InMemory(resized(part[0], size), part[1]) for split, part in parts.items()}


def chosen_classes(known: tuple[str, ...], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Return the classes that `data.classes` names, or all.

    Raises:
        DataError: If a class is unknown or given twice, or there are fewer than two.
    """
    if wanted is None:
        return known
    unknown = [name for name in wanted if name not in known]
    if unknown or len(set(wanted)) < 2 or len(set(wanted)) != len(wanted):
        raise DataError(f"data.classes is {list(wanted)}: name two or more, each once, of {', '.join(known)}.")
    return tuple(wanted)


def _check_memory(parts: Sequence[Tensor], size: int | None) -> None:
    """Raise DataError if resized images do not fit into memory; the system would end the process without a word."""
    available = available_memory()
    if size is None or available is None:
        return
    count, channels = sum(map(len, parts)), parts[0].shape[1]
    needed = count * channels * size**2
    if needed > available:
        raise DataError(
            f"data.image_size is {size}, with which {count:,} images take {needed / 1e9:,.1f} GB of memory, but this "
            f"machine has {available / 1e9:,.1f} GB left: give a smaller size, or fewer images by data.limit_train."
        )


def resized(images: Tensor, size: int | None) -> Tensor:
    """Return uint8 images resized to `size` pixels a side; None keeps their size."""
    if size is None or images.shape[-1] == size == images.shape[-2]:
        return images
    parts = [interpolate(part, (size, size), mode="bilinear", antialias=True) for part in torch.split(images, 4096)]
    return torch.cat(parts)


def pixel_statistics(split: InMemory | Streamed, normalize: Literal["standard", "unit", "imagenet"]) -> Batch:
    """Return mean and standard deviation of normalisation, (C, 1, 1), in units of raw pixels.

    They are computed from a histogram in double precision, so they are bit-identical on every machine.
    """
    channels = split.image_shape[0]
    if normalize == "unit":
        return torch.zeros(channels, 1, 1), torch.full((channels, 1, 1), 255.0)
    if normalize == "imagenet":
        colors = (torch.tensor(values)[:, None, None] * 255 for values in (IMAGENET_MEAN, IMAGENET_DEVIATION))
        mean, deviation = (color if channels == 3 else color.mean(0, keepdim=True) for color in colors)
        return mean, deviation
    value = torch.arange(256, dtype=torch.float64)
    counts = torch.zeros(channels, 256, dtype=torch.int64)
    for index in torch.split(torch.arange(len(split)), STEP):
        images = split[index][0]
        counts += torch.stack([torch.bincount(images[:, c].flatten(), minlength=256) for c in range(channels)])
    weight = counts.double() / counts.sum(1, keepdim=True)
    mean = (weight * value).sum(1)
    deviation = ((weight * value**2).sum(1) - mean**2).sqrt().clamp(min=1.0)  # images of one value stay finite
    return mean.float()[:, None, None], deviation.float()[:, None, None]


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
    if val_size is None:
        raise DataError("data.val_size is null, but this data set has no validation images: give data.val_size=…")
    if val_size >= total:
        raise DataError(
            f"data.val_size is {val_size}, but there are {total} training images in all: use fewer for validation."
        )
    generator = torch.Generator().manual_seed(selection.split_seed)
    order = torch.randperm(total, generator=generator)
    val = _first_of_each_class(order, labels, val_size)
    remaining = order[~torch.isin(order, val)]
    if limit is not None and limit > len(remaining):
        raise DataError(
            f"data.limit_train is {limit}, but {len(remaining)} training images remain after the split: "
            "give at most that many, or null for all."
        )
    if limit is not None:
        remaining = torch.from_numpy(stratified(remaining.numpy(), labels.numpy()))[:limit]
    return remaining.sort().values, val.sort().values


def _first_of_each_class(order: Tensor, labels: Tensor, size: int) -> Tensor:
    """Return the first images of each class in `order`, `size` in all, in the proportions of the classes."""
    counts = torch.bincount(labels)
    exact = counts * size / len(labels)
    share = exact.floor().long()
    share[(exact - share).argsort(descending=True, stable=True)[: size - int(share.sum())]] += 1
    return torch.cat([order[labels[order] == label][:count] for label, count in enumerate(share.tolist())])
