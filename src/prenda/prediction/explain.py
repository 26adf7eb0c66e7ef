"""Pictures of how a photo was prepared and of where the network looked.

Where it looked is measured by occlusion (Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV
2014, section 4.2): a grey square covers each part of the prepared picture in turn. Where the probability of the best
guess falls, the network used what is covered. This needs no gradients, so it works with any network in ONNX.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from prenda.photos.decode import decode
from prenda.photos.preparation import Preparation
from prenda.photos.prepare import load, steps
from prenda.prediction.names import numbered
from prenda.prediction.predictor import Predictor
from prenda.system.atomic_write import write_atomically

PARTS = 7  # squares along a side; neighbours overlap by half
GREY = 128
AT_ONCE = 16  # covered pictures of one call
LONGEST = 50  # characters of the photo's name in the picture's: with the rest of it, file systems allow 255 bytes
TILE, MARGIN, TITLE = 224, 8, 20  # pixels


class Explainer:
    """Writes `NAME.explained.png` for each photo: the steps of its preparation, then where the network looked.

    The picture holds no metadata of the photo. Photos of the same name get a number; files of an earlier command are
    replaced.

    Args:
        folder: Folder of the pictures; it is made if it is missing.
        predictor: The network.
        preparation: How a photo becomes its pixels.
    """

    def __init__(self, folder: Path, predictor: Predictor, preparation: Preparation) -> None:
        self.folder, self._predictor, self._preparation = folder, predictor, preparation
        self._written: set[str] = set()

    def explain(self, photo: Path) -> Path:
        """Write the picture of one photo and return its path.

        Raises:
            PhotoError: If the photo cannot be read.
            OSError: If the folder cannot be written.
        """
        pixels = load(photo, self._preparation).pixels  # those of the answer
        looked = overlay(pixels, occlusion(self._predictor, pixels))
        content = io.BytesIO()
        tiles = [*steps(decode(photo).image, self._preparation), ("where the network looked", looked)]
        _sheet(tiles).save(content, "PNG")
        names = numbered(photo.name[:LONGEST], ".explained.png")
        name = next(each for each in names if each not in self._written)
        self._written.add(name)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / name, content.getvalue())
        return self.folder / name


def occlusion(predictor: Predictor, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return by how much covering each pixel lowers the probability of the best guess, (H, W).

    The value of a pixel is the mean over the squares that cover it.

    Args:
        predictor: The network.
        pixels: A prepared picture, (C, H, W).
    """
    probabilities, *_ = predictor(pixels[None])
    best = int(probabilities[0].argmax())
    total, count = np.zeros((2, *pixels.shape[1:]), np.float32)
    squares = list(_squares(*pixels.shape[1:]))
    for start in range(0, len(squares), AT_ONCE):
        part = squares[start : start + AT_ONCE]
        covered = np.repeat(pixels[None], len(part), axis=0)
        for picture, square in zip(covered, part, strict=True):
            picture[:, *square] = GREY
        after = predictor(covered)[0][:, best]
        for square, probability in zip(part, after, strict=True):
            total[square] += probabilities[0, best] - probability
            count[square] += 1
    mean: NDArray[np.float32] = total / count  # every pixel is covered by a square
    return mean


def overlay(pixels: NDArray[np.uint8], drop: NDArray[np.float32]) -> Image.Image:
    """Return a prepared picture (C, H, W) in pale grey, with red where covering it lowered the probability (H, W)."""
    grey = pixels.mean(axis=0, dtype=np.float32) / 2 + 127
    strength = np.clip(drop, 0, None) / max(float(drop.max()), 1e-6)
    others = grey * (1 - strength)
    red = grey * (1 - strength) + 230 * strength
    return Image.fromarray(np.stack([red, others, others], axis=-1).astype(np.uint8))


def _squares(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    for top in _starts(height):
        for left in _starts(width):
            yield slice(top, top + -(-height // PARTS)), slice(left, left + -(-width // PARTS))


def _starts(length: int) -> list[int]:
    side = -(-length // PARTS)
    return sorted({*range(0, length - side, max(side // 2, 1)), length - side})


def _sheet(tiles: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Return the pictures side by side, each below its title."""
    sheet = Image.new("RGB", (MARGIN + (TILE + MARGIN) * len(tiles), TITLE + TILE + 2 * MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for place, (title, picture) in enumerate(tiles):
        left = MARGIN + place * (TILE + MARGIN)
        draw.text((left, MARGIN / 2), title, "black", font)
        sheet.paste(_fitted(picture.convert("RGB")), (left, TITLE + MARGIN))
    return sheet


def _fitted(picture: Image.Image) -> Image.Image:
    """Return the picture as large as a tile allows; small ones keep their pixels as squares."""
    scale = TILE / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)
