"""Download, summary and sample pictures of data sets, for `prenda data`."""

from __future__ import annotations

from pathlib import Path

import torch

from prenda.config.paths import home
from prenda.data.datasets import find
from prenda.errors import UserError
from prenda.report.figures import samples_figure, save


def fetch(name: str, data_dir: str | None) -> str:
    """Download a data set if it is missing, and return one line about it."""
    folder = Path(data_dir) if data_dir else home() / "data"
    data_set = find(name)
    data_set.fetch(folder)
    data = data_set.load(folder)
    return (
        f"{name}: {len(data.train_labels):,} training and {len(data.test_labels):,} test images of "
        f"{len(data.class_names)} classes, verified, in {folder}"
    )


def show(name: str, data_dir: str | None, samples: int, seed: int, output: str | None) -> Path:
    """Write a PNG with a row of random training images for each class, and return its path.

    Raises:
        DataError: If the data set cannot be loaded.
        UserError: If `samples` is less than 1 or more than a class has.
    """
    folder = Path(data_dir) if data_dir else home() / "data"
    data_set = find(name)
    data_set.fetch(folder)
    data = data_set.load(folder)
    fewest = int(torch.bincount(data.train_labels).min())
    if not 1 <= samples <= fewest:
        raise UserError(
            f"--samples is {samples}: give at least 1 and at most {fewest}, the images of the smallest class."
        )
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data.train_labels), generator=generator)
    rows = [order[data.train_labels[order] == label][:samples] for label in range(len(data.class_names))]
    images = data.train_images[torch.stack(rows)].numpy()  # (classes, samples, C, H, W)
    path = Path(output) if output else home() / "outputs" / f"{name}.png"
    save(samples_figure(images, data.class_names, f"{name}: random training images"), path)
    return path.resolve()
