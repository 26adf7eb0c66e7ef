"""Patterns drawn in memory from a fixed seed, for trying the program where no data set can be had."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prenda.data.contract import CardText, DataSet, LabelledImages
from prenda.data.datasets.fashion_mnist import GARMENTS

if TYPE_CHECKING:
    from torch import Tensor


class Generated(DataSet):
    """2,000 training and 500 test images, as many of each class."""

    def load(self, data_dir: Path) -> LabelledImages:
        """Draw the images; `data_dir` is not looked at."""
        return LabelledImages(self.class_names, *generate(2000, seed=1), *generate(500, seed=2))


def generate(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw patterns of ten classes: stripes, horizontal or vertical, of five widths, with noise on top.

    A mirrored or moved pattern is still of its class.

    Returns:
        Images (count, 1, 28, 28), uint8, and labels (count,), int64, as many of each class.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 10
    frequency = 0.3 + 0.25 * (labels % 5)[:, None, None]  # radians a pixel
    phase = torch.rand(count, 1, 1, generator=generator) * 2 * torch.pi
    place = torch.arange(28.0)
    along = torch.where((labels < 5)[:, None, None], place[:, None], place[None, :])
    noise = torch.rand(count, 28, 28, generator=generator)
    pixels = (torch.sin(along * frequency + phase) * 0.25 + 0.25 + noise * 0.5) * 255
    return pixels.to(torch.uint8)[:, None], labels


DATA_SET = Generated(
    class_names=GARMENTS,
    card=CardText(
        description="Drawn stripes with noise, under the names of garments: made for trying the program.",
        intended_use="None: it knows no real picture.",
        limits=("Its test images are drawn by the same rule as its training images, so its scores say little.",),
    ),
    content_is_fixed=True,
)
