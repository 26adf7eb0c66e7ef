from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from prenda.photos.decode import decode
from prenda.photos.preparation import Preparation
from prenda.photos.prepare import load, prepare, steps
from tests.photos.pictures import encoded, scene


@pytest.mark.parametrize("size", [(60, 40), (40, 60), (50, 50), (33, 97), (501, 499), (24, 24)])
@pytest.mark.parametrize("side", [24, 31])
def test_pad_equals_pillow(size: tuple[int, int], side: int) -> None:
    image = scene(*size)
    expected = ImageOps.pad(image, (side, side), Image.Resampling.BICUBIC, color="white")

    pixels = prepare(image, Preparation("pad", side, 3))

    assert pixels.dtype == np.uint8
    assert (pixels == np.asarray(expected).transpose(2, 0, 1)).all()


def test_pad_of_an_elongated_picture_keeps_a_line() -> None:
    assert prepare(Image.new("RGB", (400, 20)), Preparation("pad", 8, 3)).min() == 0


def test_pad_in_grey_has_one_channel() -> None:
    assert prepare(scene(), Preparation("pad", 16, 1)).shape == (1, 16, 16)


def test_loading_is_decoding_and_preparing(tmp_path: Path) -> None:
    path = tmp_path / "shoe.png"
    path.write_bytes(encoded(scene(), "JPEG"))
    preparation = Preparation("pad", 32, 3)

    prepared = load(path, preparation)

    assert (prepared.pixels == prepare(decode(path), preparation)).all()
    assert prepared.size == (60, 40)
    assert prepared.warnings == ("a JPEG picture named .png",)


def test_steps_end_with_the_pixels_of_the_network() -> None:
    named = steps(scene(), Preparation("pad", 32, 3))

    assert [name for name, _ in named] == ["photo", "resized", "padded"]
    assert (np.asarray(named[-1][1]).transpose(2, 0, 1) == prepare(scene(), Preparation("pad", 32, 3))).all()


@pytest.mark.parametrize("color", ["white", "black", "teal"])
def test_padded_photos_of_one_colour_have_a_warning(color: str) -> None:
    blank = encoded(Image.new("RGB", (90, 60), color), "JPEG")

    assert load(blank, Preparation("pad", 32, 3)).warnings == ("blank: one colour everywhere",)
