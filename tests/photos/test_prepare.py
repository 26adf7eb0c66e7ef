import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from prenda.errors import PhotoError
from prenda.photos.decode import Photo, decode
from prenda.photos.preparation import Preparation
from prenda.photos.prepare import load, prepare, steps
from prenda.photos.resize import resize_longest
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


@pytest.mark.parametrize(("size", "resized"), [((400, 20), (8, 1)), ((20, 400), (1, 8)), ((90, 60), (8, 5))])
def test_the_shorter_edge_has_a_pixel_at_least(size: tuple[int, int], resized: tuple[int, int]) -> None:
    assert resize_longest(Image.new("RGB", size), 8).size == resized


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


def test_loading_passes_on_the_name_and_the_limit() -> None:
    data, preparation = encoded(scene(), "JPEG"), Preparation("pad", 32, 3)

    assert load(data, preparation).warnings == ()
    assert load(data, preparation, name="shoe.png").warnings == ("a JPEG picture named .png",)
    with pytest.raises(PhotoError, match="megapixels"):
        load(data, preparation, most_pixels=60 * 40 - 1)


@pytest.mark.parametrize(
    ("preparation", "sufficient"),
    [
        (Preparation("pad", 32, 3), 32),
        (Preparation("thumbnail", 28, 1), 128),
        (Preparation("thumbnail", 28, 1, native=250), 250),
    ],
)
def test_a_large_jpeg_is_decoded_no_larger_than_its_preparation_needs(
    preparation: Preparation, sufficient: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts = []

    def spied(*arguments: object, draft: int, **options: object) -> Photo:
        drafts.append(draft)
        return decode(*arguments, draft=draft, **options)

    monkeypatch.setattr("prenda.photos.prepare.decode", spied)

    load(encoded(scene(), "JPEG"), preparation)

    assert drafts == [sufficient]


def test_steps_end_with_the_pixels_of_the_network() -> None:
    named = steps(scene(), Preparation("pad", 32, 3))

    assert [name for name, _ in named] == ["photo", "resized", "padded"]
    assert (np.asarray(named[-1][1]).transpose(2, 0, 1) == prepare(scene(), Preparation("pad", 32, 3))).all()


@pytest.mark.parametrize("color", ["white", "black", "teal"])
def test_padded_photos_of_one_colour_have_a_warning(color: str) -> None:
    blank = encoded(Image.new("RGB", (90, 60), color), "JPEG")

    assert load(blank, Preparation("pad", 32, 3)).warnings == ("blank: one colour everywhere",)


@pytest.mark.parametrize(("contrast", "count"), [(4, 1), (5, 0)])
def test_a_contrast_that_compression_may_add_is_none(contrast: int, count: int) -> None:
    image = Image.new("RGB", (32, 32), (100, 100, 100))
    image.putpixel((5, 7), (100, 100 + contrast, 100))

    assert len(load(encoded(image, "PNG"), Preparation("pad", 32, 3)).warnings) == count


@pytest.mark.parametrize(
    "preparation",
    [
        Preparation("pad", 1, 1),
        Preparation("pad", 4096, 3),
        Preparation("thumbnail", 28, 1, native=1),
        Preparation("thumbnail", 28, 1, native=4096),
    ],
)
def test_a_description_survives_json(preparation: Preparation) -> None:
    assert Preparation.from_plain(json.loads(json.dumps(preparation.as_plain()))) == preparation


@pytest.mark.parametrize(
    "changed",
    [{"kind": "crop"}, {"size": 0}, {"size": 4097}, {"channels": 2}, {"native": 0}, {"native": 4097}],
    ids=lambda changed: "-".join(changed),
)
def test_an_invalid_description_is_refused(changed: dict[str, object]) -> None:
    plain = Preparation("thumbnail", 28, 1).as_plain() | changed

    with pytest.raises(ValueError, match=rf"^preparation {re.escape(str(plain))} is invalid$"):
        Preparation.from_plain(plain)
