"""Download, summary and sample pictures of data sets, for `prenda data`."""

from __future__ import annotations

from pathlib import Path

import torch

from prenda.config.paths import home
from prenda.data.batches import Streamed
from prenda.data.datasets import find
from prenda.data.photo_files import PhotoDataSet, PhotoSettings
from prenda.data.photo_layout import SPLITS
from prenda.data.photo_storage import prepared_photos
from prenda.errors import UserError
from prenda.photos.preparation import Preparation
from prenda.report.figures import IndexedImages, samples_figure, save

PHOTO_SIZE = 128  # pixels a side of a photo in a picture of samples


def fetch(name: str, data_dir: str | None) -> str:
    """Download a data set if it is missing, and return one line about it."""
    folder, data_set = _folder(name, data_dir), find(name)
    data_set.fetch(folder)
    if isinstance(data_set, PhotoDataSet):
        files = data_set.files(folder, PhotoSettings())
        train, val, test = (f"{len(files.splits[split]):,}" for split in SPLITS)
        parts = f"{train} training, {val} validation and {test} test"
        state = "verified" if data_set.content_is_fixed else f"{len(files.skipped)} unreadable"
        return f"{name}: {parts} photos of {len(files.class_names)} classes, {state}, in {data_set.folder(folder)}"
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
    folder, data_set = _folder(name, data_dir), find(name)
    data_set.fetch(folder)
    images: IndexedImages
    if isinstance(data_set, PhotoDataSet):
        files = data_set.files(folder, PhotoSettings())
        class_names, labels = files.class_names, torch.from_numpy(files.labels[files.splits["train"]])
        preparation = Preparation("pad", size=PHOTO_SIZE, channels=3)
        images = Streamed(prepared_photos(files, "train", preparation), None, labels, workers=0).pictures()
    else:
        data = data_set.load(folder)
        class_names, labels, images = data.class_names, data.train_labels, data.train_images.numpy()
    rows = _chosen(labels, len(class_names), samples, seed)
    pictures = images[rows.flatten().numpy()].reshape(*rows.shape, *images.shape[1:])  # (classes, samples, C, H, W)
    path = Path(output) if output else home() / "outputs" / f"{name}.png"
    save(samples_figure(pictures, class_names, f"{name}: random training images"), path)
    return path.resolve()


def _folder(name: str, data_dir: str | None) -> Path:
    if data_dir is None and name == "folder":
        raise UserError("folder is the data set of your own photos: give --dir the folder that holds them.")
    return Path(data_dir) if data_dir else home() / "data"


def _chosen(labels: torch.Tensor, num_classes: int, samples: int, seed: int) -> torch.Tensor:
    """Return the indices of random images of each class, (num_classes, samples)."""
    fewest = int(torch.bincount(labels, minlength=num_classes).min())
    if not 1 <= samples <= fewest:
        raise UserError(
            f"--samples is {samples}: give at least 1 and at most {fewest}, the images of the smallest class."
        )
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    return torch.stack([order[labels[order] == label][:samples] for label in range(num_classes)])
