"""A data set that is drawn, for trying things where none can be had."""

from __future__ import annotations

import torch
from torch import Tensor


def generate(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Drawn patterns of ten classes: stripes, lying or standing, of five widths, with noise on top.

    A mirrored or moved pattern is still of its class.

    Returns:
        Images (count, 1, 28, 28), uint8, and labels (count,), int64, as many of each class.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 10
    frequency = 0.3 + 0.25 * (labels % 5)[:, None, None]  # radians a pixel
    phase = torch.rand(count, 1, 1, generator=generator) * 2 * torch.pi
    place = torch.arange(28.0)
    along = torch.where((labels < 5)[:, None, None], place[:, None], place[None, :])
    noise = torch.rand(count, 28, 28, generator=generator)
    pixels = (torch.sin(along * frequency + phase) * 0.25 + 0.25 + noise * 0.5) * 255
    return pixels.to(torch.uint8)[:, None], labels
