"""Fashion-MNIST's own steps from a photo to a grey thumbnail, light on black (arXiv 1708.07747, section 2)."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from prenda.photos import garment
from prenda.photos.messages import problem
from prenda.photos.resize import padded_square, resize_longest

WORKING_SIDE = 2 * garment.SIDE  # pixels of the longer edge up to the last resize
SHARPEN = ImageFilter.UnsharpMask(radius=1, percent=50, threshold=0)
PALE = 200  # grey value from which a garment is not negated: it would vanish in the black

Step = tuple[str, Image.Image]


def thumbnail_steps(image: Image.Image, native: int) -> list[Step]:
    """Return the named pictures from an upright RGB photo to a square of `native` pixels a side, grey, light on black.

    The paper trims what resembles the colour of one corner, which needs a white studio. Here the background is found
    robustly and replaced. It leaves white articles out; here pale garments are not negated.

    Raises:
        PhotoError: If nothing but background is found.
    """
    working = resize_longest(image, max(WORKING_SIDE, 2 * native))
    mask = garment.garment_mask(working)
    if not mask.any():
        raise problem("no_garment")
    soft = Image.fromarray(np.uint8(255) * mask.astype(np.uint8)).resize(working.size, Image.Resampling.BILINEAR)
    grey, inside = np.asarray(working.convert("L")), np.asarray(soft) > 127
    pale = bool(inside.any()) and float(np.median(grey[inside])) > PALE
    background = "black" if pale else "white"

    alone = Image.new("RGB", working.size, background)
    alone.paste(working, mask=soft)
    trimmed = alone.crop(soft.point(lambda value: 255 * (value > 127)).getbbox() or soft.getbbox())
    resized = resize_longest(trimmed, native, Image.Resampling.BILINEAR)
    sharpened = resized.filter(SHARPEN)
    centred = padded_square(sharpened, native, background)
    result = centred.convert("L") if pale else centred.convert("L").point(lambda value: 255 - value)
    return [
        ("photo", image),
        ("background removed", alone),
        ("trimmed", trimmed),
        ("resized", resized),
        ("sharpened", sharpened),
        ("centred", centred),
        ("grey" if pale else "negated", result),
    ]
