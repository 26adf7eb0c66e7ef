import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from prenda.errors import PhotoError
from prenda.photos.garment import components, garment_mask, median_filtered, otsu
from prenda.photos.preparation import Preparation
from prenda.photos.prepare import prepare, steps

FASHION = Preparation("thumbnail", 28, 1)


def garment_on(background: Image.Image, color: str) -> Image.Image:
    """Return the background with trousers of 100 x 160 pixels on it."""
    photo = background.copy()
    draw = ImageDraw.Draw(photo)
    draw.rectangle((150, 80, 249, 120), color)
    draw.rectangle((150, 120, 185, 239), color)
    draw.rectangle((214, 120, 249, 239), color)
    return photo


def plain(color: str | tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (400, 320), color)


def gradient() -> Image.Image:
    light = np.linspace(150, 250, 400)[None, :] - np.linspace(0, 60, 320)[:, None]
    return Image.fromarray(np.repeat(light[..., None], 3, axis=2).astype(np.uint8))


def noisy() -> Image.Image:
    generator = np.random.default_rng(0)
    return Image.fromarray(generator.normal((190, 170, 150), 8, (320, 400, 3)).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("background", "color"),
    [
        (plain("white"), "navy"),
        (plain("black"), "khaki"),
        (plain("firebrick"), "white"),
        (plain((60, 60, 60)), "darkred"),
        (gradient(), "darkgreen"),
        (noisy(), "black"),
    ],
    ids=["white", "black", "red", "dark", "gradient", "noisy"],
)
def test_garment_is_found_on_every_background(background: Image.Image, color: str) -> None:
    pixels = prepare(garment_on(background, color), FASHION)[0]

    columns = np.flatnonzero((pixels > 60).any(axis=0))
    assert pixels.shape == (28, 28)
    assert (pixels[0] > 60).any()
    assert (pixels[-1] > 60).any()
    assert 16 <= columns[-1] - columns[0] + 1 <= 20
    assert (pixels[:, :3] == 0).all()
    assert (pixels[:, -3:] == 0).all()
    assert pixels[20, 14] < 60, "between the legs"
    assert pixels[3, 14] > 60


def test_marks_and_holes_leave_the_garment_whole() -> None:
    photo = garment_on(plain("white"), "navy")
    draw = ImageDraw.Draw(photo)
    draw.ellipse((160, 90, 180, 110), "white")
    draw.rectangle((10, 10, 20, 20), "red")

    mask = garment_mask(photo)

    assert not mask[:10, :10].any()
    assert mask[32, 54]


@pytest.mark.parametrize("color", ["white", "black", "teal"])
def test_blank_photos_say_so(color: str) -> None:
    with pytest.raises(PhotoError, match=r"^is blank: nothing but background is found$"):
        prepare(plain(color), FASHION)


def test_steps_name_what_was_done() -> None:
    dark = [name for name, _ in steps(garment_on(plain("white"), "navy"), FASHION)]
    pale = [name for name, _ in steps(garment_on(plain("navy"), "white"), FASHION)]

    assert dark == [
        "photo", "background removed", "trimmed", "resized", "sharpened", "centred", "negated", "network's picture",
    ]  # fmt: skip
    assert pale[-2:] == ["grey", "network's picture"]


def test_thumbnail_is_made_at_its_native_size_and_enlarged() -> None:
    photo = garment_on(plain("white"), "navy")

    large = prepare(photo, Preparation("thumbnail", 64, 3))

    small = Image.fromarray(prepare(photo, FASHION)[0]).resize((64, 64), Image.Resampling.BILINEAR)
    assert (large == np.asarray(small)).all()
    assert large.shape == (3, 64, 64)


@pytest.mark.parametrize("size", [(8, 8), (8, 160), (160, 8), (3000, 2000)])
def test_photos_of_every_shape_are_prepared(size: tuple[int, int]) -> None:
    photo = Image.new("RGB", size, "white")
    photo.paste("navy", (size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4))

    assert prepare(photo, FASHION).max() > 100


def test_components_are_four_connected() -> None:
    mask = np.array([[1, 0, 1, 0], [1, 0, 1, 1], [1, 1, 1, 0], [0, 0, 0, 1]], bool)

    labels = components(mask)

    assert len(np.unique(labels[mask])) == 2
    assert labels[3, 3] != labels[2, 2] == labels[0, 0] == labels[0, 2]
    assert (labels[~mask] == 0).all()


def test_otsu_separates_two_groups() -> None:
    values = np.concatenate([np.full(100, 10.0), np.full(50, 90.0)]).astype(np.float32)

    assert 10 < otsu(values) < 90


@pytest.mark.parametrize("shape", [(2, 2), (1, 128), (7, 128), (128, 96)])
def test_the_median_filter_is_that_of_pillow(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    filtered = np.asarray(Image.fromarray(pixels).filter(ImageFilter.MedianFilter(3)))
    np.testing.assert_array_equal(median_filtered(pixels), filtered)
