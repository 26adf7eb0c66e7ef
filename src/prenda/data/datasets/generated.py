"""Generated patterns from a fixed seed, for trying the program without a download."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prenda.data.contract import CardText, DataSet, LabelledImages
from prenda.data.datasets.fashion_mnist import GARMENTS, SPANISH

if TYPE_CHECKING:
    from torch import Tensor


class Generated(DataSet):
    """Generated data set of 2,000 training and 500 test images, balanced over the classes."""

    def load(self, data_dir: Path) -> LabelledImages:
        """Generate the images; `data_dir` is not used."""
        return LabelledImages(self.class_names, *generate(2000, seed=1), *generate(500, seed=2))


def generate(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Generate patterns of ten classes: horizontal or vertical stripes of five widths, with noise on top.

    Mirroring or shifting a pattern does not change its class.

    Returns:
        Images (count, 1, 28, 28), uint8, and labels (count,), int64, balanced over the classes.
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
    photos="thumbnail",
    translations={"es": SPANISH},
)
