"""Preparation of decoded photos: the pixels that a network asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from prenda.errors import Message
from prenda.photos.decode import MOST_PIXELS, Photo, decode
from prenda.photos.garment import SIDE
from prenda.photos.messages import message
from prenda.photos.preparation import Preparation
from prenda.photos.resize import padded_square, resize_longest
from prenda.photos.thumbnail import thumbnail_steps

BLANK_CONTRAST = 4  # grey values that compression adds to a picture of one colour


@dataclass(frozen=True)
class Prepared:
    """A photo as a network takes it.

    Attributes:
        pixels: uint8 (C, size, size).
        size: (width, height) of the photo as displayed.
        warnings: Those of `Photo`, and `blank` for a photo of one colour.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    warnings: tuple[Message, ...]


def load(source: Path | bytes, preparation: Preparation, *, most_pixels: int = MOST_PIXELS, name: str = "") -> Prepared:
    """Return the photo in a file, or in its bytes, decoded and prepared. `decode` explains the arguments.

    Raises:
        PhotoError: If it is no usable picture.
    """
    sufficient = preparation.size if preparation.kind == "pad" else max(SIDE, preparation.native)
    photo = decode(source, draft=sufficient, most_pixels=most_pixels, name=name)
    named = steps(photo.image, preparation)
    resized = np.asarray(named[1][1])  # without the padding
    blank = preparation.kind == "pad" and np.ptp(resized, axis=(0, 1)).max() <= BLANK_CONTRAST
    warnings = (*photo.warnings, message("blank")) if blank else photo.warnings
    return Prepared(_pixels(named[-1][1]), photo.size, warnings)


def prepare(photo: Photo | Image.Image, preparation: Preparation) -> NDArray[np.uint8]:
    """Return the network's pixels of a photo, uint8 (C, size, size).

    Args:
        photo: A decoded photo, or an upright RGB picture.
        preparation: Which steps are carried out.

    Raises:
        PhotoError: If `thumbnail` finds nothing but background.
    """
    image = photo.image if isinstance(photo, Photo) else photo
    return _pixels(steps(image, preparation)[-1][1])


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def steps(image: Image.Image, preparation: Preparation) -> list[tuple[str, Image.Image]]:
    """Return the named pictures between an upright RGB picture and the network's, which is the last.

    Raises:
        PhotoError: If `thumbnail` finds nothing but background.
    """
    kind, size = preparation.kind, preparation.size
    mode = "L" if preparation.channels == 1 else "RGB"
    if kind == "thumbnail":
        named = thumbnail_steps(image, preparation.native)
        resized = named[-1][1].resize((size, size), Image.Resampling.BILINEAR)  # as data.image_size resizes a data set
        return [*named, ("network's picture", resized.convert(mode))]
    resized = resize_longest(image, size)
    return [("photo", image), ("resized", resized), ("padded", padded_square(resized, size, "white").convert(mode))]
