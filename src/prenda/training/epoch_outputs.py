"""What the steps of an epoch gave, for the metrics at its end."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class Seen:
    """Logits and labels of an epoch's batches, and the losses of training, one after the other in a few tensors.

    They are copies on their device. A list of each step's own small tensors would spare 13 µs a step. But they come to
    lie between the large ones of activations, which then find no room that fits, and the process grows by hundreds of
    MiB.
    """

    def __init__(self) -> None:
        self._logits, self._labels, self._losses = _Rows(), _Rows(), _Rows()
        self._sizes: list[int] = []

    def add(self, logits: Tensor, labels: Tensor, loss: Tensor | None = None) -> None:
        """Shapes: logits (B, num_classes), labels (B,), and the loss as a mean over the batch, ()."""
        self._logits.add(logits)
        self._labels.add(labels)
        self._sizes.append(len(labels))
        if loss is not None:
            self._losses.add(loss[None])

    def __bool__(self) -> bool:
        """Whether there was any batch."""
        return bool(self._sizes)

    def all(self) -> tuple[Tensor, Tensor]:
        """Logits (N, num_classes) and labels (N,) of N images; at least one."""
        return self._logits.all(), self._labels.all()

    def losses(self) -> tuple[Tensor, Tensor]:
        """Losses and sizes of B batches, (B,), float32 and int64; at least one."""
        losses = self._losses.all().float()
        return losses, torch.tensor(self._sizes, device=losses.device)


class _Rows:
    """Rows of tensors that come in parts."""

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
    """Logits and labels of all processes, whose parts may be of any size.

    A process without images gives empty tensors: torchmetrics waits for all of them.
    """

    full_state_update = False
    logits: list[Tensor]
    labels: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("logits", default=[], dist_reduce_fx="cat")
        self.add_state("labels", default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Shapes: logits (B, num_classes), labels (B,)."""
        self.logits.append(logits.float())  # Gloo gathers no bfloat16
        self.labels.append(labels)

    def compute(self) -> tuple[Tensor, Tensor]:
        """Logits (N, num_classes) and labels (N,), one process after the other."""
        return dim_zero_cat(self.logits), dim_zero_cat(self.labels)


def over_processes(metric: Metric, *given: Tensor) -> Any:
    """The value of a metric over all processes, each of which gives its part; leaves the metric empty."""
    metric.update(*given)
    value = metric.compute()
    metric.reset()
    return value
