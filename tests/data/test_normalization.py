from __future__ import annotations

from pathlib import Path

import pytest
import torch

from prenda.data.datamodule import ImageDataModule, Selection
from prenda.data.splits import IMAGENET_DEVIATION, IMAGENET_MEAN


@pytest.mark.parametrize("channels", [1, 3])
def test_imagenet_normalises_with_its_mean_and_deviation(channels):
    selection = Selection(val_size=20, limit_train=30)
    data = ImageDataModule("generated", Path(), selection=selection, channels=channels, normalize="imagenet")
    data.setup()
    mean, deviation = sum(IMAGENET_MEAN) / 3, sum(IMAGENET_DEVIATION) / 3  # grey pixels: the colours' means
    assert data.statistics() == {"mean": [pytest.approx(255 * mean)], "std": [pytest.approx(255 * deviation)]}
    white = data.normalized(torch.full((2, 1, 4, 4), 255, dtype=torch.uint8))
    assert white.shape == (2, channels, 4, 4)
    torch.testing.assert_close(white, torch.full_like(white, (1 - mean) / deviation))
