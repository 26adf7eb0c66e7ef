"""Data loaders of whole batches: from images in memory, or from photos that are read by worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from prenda.data.draws import draw_seed
from prenda.data.photo_cache import CacheFile, PreparedPhotos

Batch = tuple[Tensor, Tensor]
T = TypeVar("T")


class InMemory(Dataset[Batch]):
    """Images and labels that are indexed a batch at a time, on their device.

    Shapes:
        images (N, C, H, W), uint8; labels (N,), int64.
    """

    workers = 0  # processes that read batches: they would only copy what is in memory

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> Batch:
        """Return the images and labels of a batch.

        Shapes:
            index (B,), int64 -> images (B, C, H, W), labels (B,).
        """
        # On the CPU, images[index] takes eighteen times as long.
        return self.images.index_select(0, index), self.labels.index_select(0, index)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of a stored image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def first(self, count: int) -> Tensor:
        """Return the first images, at most `count`."""
        return self.images[:count]

    def pictures(self) -> NDArray[np.uint8]:
        """Return the images as an array, for figures."""
        return self.images.cpu().numpy()

    def to(self, device: torch.device) -> None:
        """Move images and labels to a device."""
        self.images, self.labels = self.images.to(device), self.labels.to(device)


class Streamed(Dataset[Batch]):
    """Photos that are read from the disk a batch at a time: from the cache, or from their files.

    Attributes:
        photos: The photos and their preparation.
        labels: (N,), int64.
        workers: Processes that read batches ahead.
    """

    def __init__(self, photos: PreparedPhotos, cache: CacheFile | None, labels: Tensor, workers: int) -> None:
        self.photos, self.labels, self.workers = photos, labels, workers
        self._cache = cache

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> Batch:
        """Return the images and labels of a batch.

        Shapes:
            index (B,), int64 -> images (B, C, H, W), uint8, labels (B,).
        """
        images = np.empty((len(index), *self.image_shape), dtype=np.uint8)
        for place, photo in enumerate(index.tolist()):
            self._read(photo, images[place])
        return torch.from_numpy(images), self.labels.index_select(0, index)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of a prepared photo."""
        return self.photos.image_shape

    def first(self, count: int) -> Tensor:
        """Return the first images, at most `count`."""
        return self[torch.arange(min(count, len(self)))][0]

    def pictures(self) -> StreamedPictures:
        """Return the images for figures; each is read when it is asked for."""
        return StreamedPictures(self)

    def to(self, device: torch.device) -> None:
        """Do nothing: a batch moves when it has been read."""

    def _read(self, photo: int, into: NDArray[np.uint8]) -> None:
        cached = None if self._cache is None else self._cache.read(photo)
        # A damaged photo of the cache is prepared once more.
        into[:] = self.photos.prepare(photo) if cached is None else np.frombuffer(cached, np.uint8).reshape(into.shape)


class StreamedPictures:
    """Pictures of a figure, indexed like an array of shape (N, C, H, W)."""

    def __init__(self, split: Streamed) -> None:
        self._split = split
        self.shape: tuple[int, ...] = (len(split), *split.image_shape)

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the images of an index (B,): (B, C, H, W)."""
        images: NDArray[np.uint8] = self._split[torch.as_tensor(index, dtype=torch.int64)][0].numpy()
        return images


class ShuffledBatches(Sampler[Tensor]):
    """Indices of one process's batches, (B,) each, in an order that depends on seed and epoch alone.

    Process r of n takes every n-th image of the same order. If n does not divide the number of images, the first ones
    are repeated, so that all processes take the same number of steps. A last batch of a single image, of which batch
    normalisation has no statistics, joins the batch before it.
    """

    def __init__(self, count: int, batch_size: int, seed: int, replicas: int, rank: int, device: torch.device) -> None:
        self.count, self.batch_size, self.seed, self.epoch = count, batch_size, seed, 0
        self.replicas, self.rank, self.device = replicas, rank, device

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Tensor]:
        order = self._order(torch.Generator().manual_seed(draw_seed(self.seed, "order", self.epoch)))
        order = torch.cat([order, order[: -self.count % self.replicas]])[self.rank :: self.replicas]
        yield from torch.split(order.to(self.device), self.sizes())

    def __len__(self) -> int:
        return len(self.sizes())

    def sizes(self) -> list[int]:
        """Return the number of images in each batch of a process."""
        full, rest = divmod(ceil(self.count / self.replicas), self.batch_size)
        sizes = [self.batch_size] * full
        if rest == 1 and full:
            sizes[-1] += 1
        elif rest:
            sizes.append(rest)
        return sizes

    def _order(self, generator: torch.Generator) -> Tensor:
        return torch.randperm(self.count, generator=generator)


class BalancedBatches(ShuffledBatches):
    """Batches in which each class is expected equally often: images are drawn with replacement, by class weights."""

    def __init__(self, labels: Tensor, weights: Tensor, batch_size: int, seed: int, replicas: int, rank: int) -> None:
        super().__init__(len(labels), batch_size, seed, replicas, rank, labels.device)
        self.weights = weights.cpu()[labels.cpu()]  # (N,)

    def _order(self, generator: torch.Generator) -> Tensor:
        return torch.multinomial(self.weights, self.count, replacement=True, generator=generator)


class LazyLoader(DataLoader[Batch]):
    """Loader whose workers start with the first batch.

    Lightning asks a resumed run's loader for its batches before it has set the sampler's epoch. Workers that started
    then would read the first batches of another epoch.
    """

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # torch promises a private class of its own
        """Yield the batches."""
        yield from super().__iter__()


def class_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Return a weight for each class, in inverse proportion to its images; their mean over the images is 1.

    Shapes:
        labels (N,), int64 -> (num_classes,), float32.
    """
    counts = torch.bincount(labels.cpu(), minlength=num_classes)
    return len(labels) / (num_classes * counts.clamp(min=1)).float()


def training_batches(
    dataset: InMemory | Streamed,
    batch_size: int,
    seed: int,
    replicas: int,
    rank: int,
    weights: Tensor | None = None,
) -> DataLoader[Batch]:
    """Return shuffled batches, in an order that depends on `seed` and the epoch alone.

    A step sees the same images with any number of processes: each process takes its part of the same global batch of
    `batch_size` images, which `replicas` must divide. With class weights, (num_classes,), each class is expected
    equally often.
    """
    assert batch_size % replicas == 0, "config.validation refuses other batches"
    size, labels = batch_size // replicas, dataset.labels
    if weights is not None:
        return _loader(dataset, BalancedBatches(labels, weights, size, seed, replicas, rank))
    return _loader(dataset, ShuffledBatches(len(dataset), size, seed, replicas, rank, labels.device))


def scoring_batches(
    dataset: InMemory | Streamed, batch_size: int, replicas: int = 1, rank: int = 0
) -> DataLoader[Batch]:
    """Return batches in the data set's order, with each image exactly once over all processes.

    torch's DistributedSampler repeats images to make the parts equal, and a score would count them twice.
    """
    part = torch.arange(rank, len(dataset), replicas, device=dataset.labels.device)
    return _loader(dataset, torch.split(part, batch_size) if len(part) else ())


def _loader(dataset: InMemory | Streamed, batches: Sampler[Tensor] | Sequence[Tensor]) -> DataLoader[Batch]:
    """Return a loader with its own generator: each pass draws a seed, which must not come from the global one."""
    return LazyLoader(
        dataset,
        batch_size=None,
        sampler=batches,
        collate_fn=_unchanged,
        generator=torch.Generator(),
        num_workers=dataset.workers,
    )


def _unchanged(batch: T) -> T:
    return batch
