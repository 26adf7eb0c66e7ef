"""Whole batches from images that lie in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

Batch = tuple[Tensor, Tensor]
T = TypeVar("T")


class InMemory(Dataset[Batch]):
    """Images and labels that are indexed a batch at a time, on the device they lie on.

    Shapes:
        images (N, C, H, W), uint8; labels (N,), int64.
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """What torch's DataLoader asks for when a data set can give a whole batch at once."""
        index = torch.tensor(indices).to(self.labels.device)
        return self.images[index], self.labels[index]


def _as_it_is(batch: T) -> T:
    return batch


def training_batches(dataset: InMemory, batch_size: int, seed: int, replicas: int, rank: int) -> DataLoader[Batch]:
    """Batches in an order that `seed` and the epoch alone decide; Lightning tells the sampler the epoch.

    One process or several see the same images in the same step: each takes its part of the same global batch of
    `batch_size` images.
    """
    sampler: DistributedSampler[Batch] = DistributedSampler(
        dataset, num_replicas=replicas, rank=rank, shuffle=True, seed=seed
    )
    return _loader(dataset, batch_size // replicas, sampler)


def scoring_batches(dataset: InMemory, batch_size: int, replicas: int = 1, rank: int = 0) -> DataLoader[Batch]:
    """Batches in the data set's own order, each image exactly once over all processes.

    torch's DistributedSampler repeats images to make the parts equal, which would count them twice in a score.
    """
    part = range(rank, len(dataset), replicas)
    return _loader(dataset, batch_size, part)


def _loader(dataset: InMemory, batch_size: int, sampler: Sampler[Any] | Sequence[int]) -> DataLoader[Batch]:
    """A loader with a generator of its own: each pass draws a seed, which would otherwise come out of the network's."""
    return DataLoader(
        dataset, batch_size=batch_size, sampler=sampler, collate_fn=_as_it_is, generator=torch.Generator()
    )
