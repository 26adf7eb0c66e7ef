"""Stratified order of labelled images: its first n images have the proportions of the classes, for every n."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def stratified(order: Indices, labels: Indices) -> Indices:
    """Rearrange a random order so that its first n images hold the same fraction of each class, for every n.

    Counts are rounded as in Webster's method of apportionment. Images of one class keep their random order.

    Shapes:
        order (N,), indices into labels -> (N,); labels (M,), from 0.
    """
    ordered = labels[order]
    counts = np.bincount(ordered)
    by_class = np.argsort(ordered, kind="stable")
    rank = np.empty(len(order))  # of each image within its class, from 0
    rank[by_class] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    # Image k of n stands in the middle of the k-th of n equal parts of the order.
    rearranged: Indices = order[np.argsort((rank + 0.5) / counts[ordered], kind="stable")]
    return rearranged
