"""Outputs of an epoch's steps, and their collection over processes for the metrics at its end."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class EpochOutputs:
    """Logits and labels of an epoch's batches, and the losses of training, copied into a few tensors on their device.

    A list of each step's own small tensors would save 13 µs a step. But it fragments the memory between the large
    tensors of activations, and the process grows by hundreds of MiB.
    """

    def __init__(self) -> None:
        self._logits, self._labels, self._losses = _Rows(), _Rows(), _Rows()
        self._sizes: list[int] = []

    def add(self, logits: Tensor, labels: Tensor, loss: Tensor | None = None) -> None:
        """Add one batch.

        Shapes:
            logits (B, num_classes), labels (B,), and the loss as a mean over the batch, ().
        """
        self._logits.add(logits)
        self._labels.add(labels)
        self._sizes.append(len(labels))
        if loss is not None:
            self._losses.add(loss[None])

    def __bool__(self) -> bool:
        """Return whether any batch was added."""
        return bool(self._sizes)

    def all(self) -> tuple[Tensor, Tensor]:
        """Return logits (N, num_classes) and labels (N,) of all N images; N is at least 1."""
        return self._logits.all(), self._labels.all()

    def losses(self) -> tuple[Tensor, Tensor]:
        """Return losses and sizes of all B batches, (B,), float32 and int64; B is at least 1."""
        losses = self._losses.all().float()
        return losses, torch.tensor(self._sizes, device=losses.device)


class _Rows:
    """Rows that are appended to one growing tensor."""

    def __init__(self) -> None:
        self._storage: Tensor | None = None
        self._filled = 0

    def add(self, rows: Tensor) -> None:
        start, self._filled = self._filled, self._filled + len(rows)
        if self._storage is None:
            self._storage = rows.new_empty(64 * len(rows), *rows.shape[1:])
        while self._filled > len(self._storage):
            self._storage = torch.cat([self._storage, torch.empty_like(self._storage)])
        self._storage[start : self._filled] = rows

    def all(self) -> Tensor:
        assert self._storage is not None
        return self._storage[: self._filled]


class Gathered(Metric):
    """Logits and labels of all processes; each process may have any number.

    A process without images passes empty tensors, because torchmetrics waits for all processes.
    """

    full_state_update = False
    logits: list[Tensor]
    labels: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("logits", default=[], dist_reduce_fx="cat")
        self.add_state("labels", default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add logits and labels.

        Shapes:
            logits (B, num_classes), labels (B,).
        """
        self.logits.append(logits)
        self.labels.append(labels)

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return logits (N, num_classes) and labels (N,), one process after the other."""
        return dim_zero_cat(self.logits), dim_zero_cat(self.labels)


def over_processes(metric: Metric, *inputs: Tensor) -> Any:
    """Return the value of a metric over the inputs of all processes, and reset the metric."""
    metric.update(*inputs)
    value = metric.compute()
    metric.reset()
    return value
