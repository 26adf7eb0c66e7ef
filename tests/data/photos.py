"""Tiny photos for tests: each is drawn from a seed, in the colour of its class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"coat": (200, 40, 40), "dress": (40, 200, 40), "hat": (40, 40, 200), "shoe": (160, 160, 40)}


def write_photo(path: Path, seed: int, colour: tuple[int, int, int] = (128, 128, 128), quality: int = 95) -> None:
    """Write a picture of coarse blocks around a colour; another seed gives another picture to eyes and to hashes."""
    blocks = np.random.default_rng(seed).integers(-40, 40, (8, 9, 1)) + np.array(colour)
    picture = Image.fromarray(blocks.clip(0, 255).astype(np.uint8)).resize((36, 32), Image.Resampling.NEAREST)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, quality=quality)


def write_shop(folder: Path, counts: Mapping[str, int], seed: int = 0) -> Path:
    """Write so many JPEGs of each class into its sub-folder."""
    for label, (name, count) in enumerate(counts.items()):
        for number in range(count):
            colour = COLOURS.get(Path(name).name, (128, 128, 128))
            write_photo(folder / name / f"{number:03}.jpg", seed + 10_000 * label + number, colour)
    return folder


def write_split_shop(folder: Path, train: int, scored: int, classes: tuple[str, ...] = ("coat", "hat")) -> Path:
    """Write train, validation and test folders with so many photos of each class."""
    for place, (split, count) in enumerate({"train": train, "validation": scored, "test": scored}.items()):
        write_shop(folder / split, dict.fromkeys(classes, count), seed=100_000 * (place + 1))
    return folder
