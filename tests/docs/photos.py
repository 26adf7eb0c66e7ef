"""Drawn photos of garments, for commands that need some."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SHAPES = {"bags": (260, 200), "sandals": (300, 90), "dresses": (130, 320)}  # width and height of a garment


def draw_garments(folder: Path, each: int, size: int = 400) -> None:
    """Draw photos of three types, in a folder for each: noisy rectangles on white, no two alike."""
    random = np.random.default_rng(each)
    for kind, (width, height) in SHAPES.items():
        (folder / kind).mkdir(parents=True)
        for number in range(each):
            pixels = np.full((size, size, 3), 255, np.uint8)
            garment = (
                random.integers(0, 200, (height // 10, width // 10, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
            )
            top, left = random.integers(0, size - garment.shape[0]), random.integers(0, size - garment.shape[1])
            pixels[top : top + garment.shape[0], left : left + garment.shape[1]] = garment
            Image.fromarray(pixels).save(folder / kind / f"{number}.jpg")
