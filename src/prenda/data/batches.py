"""Data loaders that index whole batches of images in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

Batch = tuple[Tensor, Tensor]
T = TypeVar("T")


class InMemory(Dataset[Batch]):
    """Images and labels that are indexed a batch at a time, on their device.

    Shapes:
        images (N, C, H, W), uint8; labels (N,), int64.
    """

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


class ShuffledBatches(Sampler[Tensor]):
    """Indices of one process's batches, (B,) each, in an order that depends on seed and epoch alone.

    Process r of n takes every n-th image of the same order. If n does not divide the number of images, the first ones
    are repeated, so that all processes take the same number of steps.
    """

    def __init__(self, count: int, batch_size: int, seed: int, replicas: int, rank: int, device: torch.device) -> None:
        self.count, self.batch_size, self.seed, self.epoch = count, batch_size, seed, 0
        self.replicas, self.rank, self.device = replicas, rank, device

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Tensor]:
        order = torch.randperm(self.count, generator=torch.Generator().manual_seed(self.seed + self.epoch))
        order = torch.cat([order, order[: -self.count % self.replicas]])[self.rank :: self.replicas]
        yield from torch.split(order.to(self.device), self.batch_size)

    def __len__(self) -> int:
        return ceil(ceil(self.count / self.replicas) / self.batch_size)


def training_batches(dataset: InMemory, batch_size: int, seed: int, replicas: int, rank: int) -> DataLoader[Batch]:
    """Return shuffled batches, in an order that depends on `seed` and the epoch alone.

    A step sees the same images with any number of processes: each process takes its part of the same global batch of
    `batch_size` images.
    """
    device = dataset.labels.device
    return _loader(dataset, ShuffledBatches(len(dataset), batch_size // replicas, seed, replicas, rank, device))


def scoring_batches(dataset: InMemory, batch_size: int, replicas: int = 1, rank: int = 0) -> DataLoader[Batch]:
    """Return batches in the data set's order, with each image exactly once over all processes.

    torch's DistributedSampler repeats images to make the parts equal, and a score would count them twice.
    """
    part = torch.arange(rank, len(dataset), replicas, device=dataset.labels.device)
    return _loader(dataset, torch.split(part, batch_size) if len(part) else ())


def _loader(dataset: InMemory, batches: Sampler[Tensor] | Sequence[Tensor]) -> DataLoader[Batch]:
    """Return a loader with its own generator: each pass draws a seed, which must not come from the global one."""
    return DataLoader(dataset, batch_size=None, sampler=batches, collate_fn=_unchanged, generator=torch.Generator())


def _unchanged(batch: T) -> T:
    return batch
