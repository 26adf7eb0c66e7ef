"""Resizing by the longest edge, and padding to a square."""

from __future__ import annotations

from PIL import Image


def resize_longest(
    image: Image.Image, longest: int, resample: Image.Resampling = Image.Resampling.BICUBIC
) -> Image.Image:
    """Return the picture with a longest edge of that many pixels, antialiased; the other edge has one at least."""
    width, height = image.size
    if width >= height:
        size = (longest, max(1, round(height / width * longest)))
    else:
        size = (max(1, round(width / height * longest)), longest)
    return image.resize(size, resample)


def padded_square(image: Image.Image, side: int, color: str) -> Image.Image:
    """Return the picture in the centre of a square of one colour."""
    if image.size == (side, side):
        return image
    square = Image.new(image.mode, (side, side), color)
    square.paste(image, (round((side - image.width) / 2), round((side - image.height) / 2)))
    return square
