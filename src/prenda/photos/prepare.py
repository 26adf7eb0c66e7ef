"""Preparation of decoded photos: the pixels that a network asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from prenda.photos.decode import MOST_PIXELS, Photo, decode
from prenda.photos.preparation import Preparation


@dataclass(frozen=True)
class Prepared:
    """A photo as a network takes it.

    Attributes:
        pixels: uint8 (C, size, size).
        size: (width, height) of the photo as displayed.
        warnings: Those of `Photo`.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    warnings: tuple[str, ...]


def load(source: Path | bytes, preparation: Preparation, *, most_pixels: int = MOST_PIXELS) -> Prepared:
    """Return the photo in a file, or in its bytes, decoded and prepared.

    Raises:
        PhotoError: If it is no usable picture.
    """
    photo = decode(source, draft=preparation.size, most_pixels=most_pixels)
    return Prepared(prepare(photo, preparation), photo.size, photo.warnings)


def prepare(photo: Photo | Image.Image, preparation: Preparation) -> NDArray[np.uint8]:
    """Return the network's pixels of a photo, uint8 (C, size, size).

    Args:
        photo: A decoded photo, or an upright RGB picture.
        preparation: Which steps are carried out.

    Raises:
        PhotoError: If `thumbnail` finds nothing but background.
    """
    image = photo.image if isinstance(photo, Photo) else photo
    pixels = np.asarray(steps(image, preparation)[-1][1])
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def steps(image: Image.Image, preparation: Preparation) -> list[tuple[str, Image.Image]]:
    """Return the named pictures between an upright RGB picture and the network's, which is the last.

    Raises:
        PhotoError: If `thumbnail` finds nothing but background.
    """
    return _pad_steps(image, preparation)


def _pad_steps(image: Image.Image, preparation: Preparation) -> list[tuple[str, Image.Image]]:
    resized = resize_longest(image, preparation.size)
    padded = padded_square(resized, preparation.size, "white")
    return [("photo", image), ("resized", resized), ("padded", _with_channels(padded, preparation.channels))]


def resize_longest(image: Image.Image, longest: int) -> Image.Image:
    """Return the picture with a longest edge of that many pixels, by bicubic interpolation with antialiasing."""
    width, height = image.size
    if width >= height:
        size = (longest, max(1, round(height / width * longest)))
    else:
        size = (max(1, round(width / height * longest)), longest)
    return image.resize(size, Image.Resampling.BICUBIC)


def padded_square(image: Image.Image, side: int, color: str) -> Image.Image:
    """Return the picture in the centre of a square of one colour."""
    if image.size == (side, side):
        return image
    square = Image.new(image.mode, (side, side), color)
    square.paste(image, (round((side - image.width) / 2), round((side - image.height) / 2)))
    return square


def _with_channels(image: Image.Image, channels: int) -> Image.Image:
    return image.convert("L" if channels == 1 else "RGB")
