"""What the steps of an epoch gave, for the metrics at its end."""

from __future__ import annotations

import torch
from torch import Tensor


class Seen:
    """Logits, labels and losses of an epoch's batches, copied one after the other into a few tensors on their device.

    A list of each step's own small tensors would spare 13 µs a step. But they come to lie between the large ones of
    activations, which then find no room that fits, and the process grows by hundreds of MiB.
    """

    def __init__(self) -> None:
        self._logits, self._labels, self._losses = _Rows(), _Rows(), _Rows()
        self._sizes: list[int] = []

    def add(self, logits: Tensor, labels: Tensor, loss: Tensor) -> None:
        """Shapes: logits (B, num_classes), labels (B,), and the loss as a mean over the batch, ()."""
        self._logits.add(logits)
        self._labels.add(labels)
        self._losses.add(loss[None])
        self._sizes.append(len(labels))

    def __bool__(self) -> bool:
        """Whether there was any batch."""
        return bool(self._sizes)

    def all(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits (N, num_classes) and labels (N,) of N images, losses and sizes of B batches, (B,); at least one."""
        losses = self._losses.all()
        return self._logits.all(), self._labels.all(), losses, torch.tensor(self._sizes, device=losses.device)


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
