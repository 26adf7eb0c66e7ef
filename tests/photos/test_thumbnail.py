import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from prenda.errors import PhotoError
from prenda.photos.garment import components, garment_mask, median_filtered, otsu
from prenda.photos.preparation import Preparation
from prenda.photos.prepare import prepare, steps
from prenda.photos.thumbnail import thumbnail_steps

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


Color = str | tuple[int, int, int]


def garment_at(photo: Image.Image, *boxes: tuple[int, int, int, int], color: Color = "navy") -> None:
    for left, top, width, height in boxes:
        photo.paste(color, (left, top, left + width, top + height))


def small(color: Color = "white") -> Image.Image:
    """Return a picture of the size at which the garment is looked for."""
    return Image.new("RGB", (128, 128), color)


def with_noise(photo: Image.Image, deviation: float) -> Image.Image:
    pixels = np.asarray(photo) + np.random.default_rng(0).normal(0, deviation, (128, 128, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("color", [(220, 120, 120), (120, 220, 120), (120, 120, 220)])
def test_one_channel_suffices(color: tuple[int, int, int]) -> None:
    photo = small((120, 120, 120))
    garment_at(photo, (40, 40, 50, 50), color=color)

    assert garment_mask(photo).sum() == 50 * 50 - 4  # the median filter takes the corners


def test_a_pale_shadow_is_no_garment() -> None:
    photo = small((220, 220, 220))
    garment_at(photo, (90, 50, 15, 30), color=(190, 190, 190))
    garment_at(photo, (40, 40, 50, 50))

    mask = garment_mask(with_noise(photo, 12))

    assert not mask[52:78, 92:103].any()
    assert mask[42:88, 42:88].all()


def test_noise_as_strong_as_the_garment_is_no_garment() -> None:
    photo = small((180, 180, 180))
    garment_at(photo, (40, 40, 50, 50), color=(140, 140, 140))

    mask = garment_mask(with_noise(photo, 60))

    assert mask[40:90, 40:90].mean() > 0.9
    assert mask.sum() < 1.1 * 50 * 50


def test_the_background_is_found_where_the_garment_crosses_the_border() -> None:
    photo = small((200, 60, 30))
    garment_at(photo, (30, 0, 68, 100), (0, 40, 30, 40), color=(30, 60, 200))

    mask = garment_mask(photo)

    assert mask[2:98, 32:96].all()
    assert not mask[102:].any()


@pytest.mark.parametrize("turn", range(4))
def test_a_notch_at_the_edge_of_the_picture_is_no_hole(turn: int) -> None:
    photo = small()
    garment_at(photo, (30, 0, 68, 60))
    garment_at(photo, (50, 0, 20, 30), (40, 40, 10, 10), color="white")

    mask = np.rot90(garment_mask(photo.rotate(90 * turn)), -turn)

    assert not mask[2:28, 52:68].any()
    assert mask[42:48, 42:48].all()  # a hole


@pytest.mark.parametrize(("height", "found"), [(37, True), (36, False)])
def test_a_part_has_a_tenth_of_the_largest_area(height: int, found: bool) -> None:
    photo = small()
    garment_at(photo, (20, 20, 38, 38), (90, 60, 4, height))  # 1440 and 144 or 140 pixels without corners

    assert garment_mask(photo)[70, 91] == found


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


@pytest.mark.parametrize(("background", "color"), [("white", "navy"), ("navy", "white")])
def test_each_step_starts_from_the_one_before(background: str, color: str) -> None:
    photo = garment_on(plain(background), color)

    named = dict(thumbnail_steps(photo, 28))

    working = photo.resize((256, 205), Image.Resampling.BICUBIC)
    mask = Image.fromarray(255 * garment_mask(working).astype(np.uint8)).resize(working.size, Image.Resampling.BILINEAR)
    behind = Image.new("RGB", working.size, "black" if color == "white" else "white")
    assert named["background removed"] == Image.composite(working, behind, mask)
    assert named["trimmed"] == named["background removed"].crop(mask.point(lambda value: (value > 127) * 255).getbbox())
    assert named["resized"] == named["trimmed"].resize((named["resized"].width, 28), Image.Resampling.BILINEAR)
    assert named["sharpened"] == named["resized"].filter(ImageFilter.UnsharpMask(1, 50, 0))
    grey = named["centred"].convert("L")
    assert grey == named["grey"] if color == "white" else ImageOps.invert(grey) == named["negated"]


@pytest.mark.parametrize(("native", "side"), [(28, 256), (128, 256), (200, 400)])
def test_a_photo_is_worked_on_at_twice_the_native_size_or_more(native: int, side: int) -> None:
    named = dict(thumbnail_steps(garment_on(plain("white"), "navy"), native))

    assert max(named["background removed"].size) == side


@pytest.mark.parametrize(("color", "last"), [((200, 200, 200), "negated"), ((180, 255, 180), "grey")])
def test_a_garment_is_pale_by_its_grey_value(color: tuple[int, int, int], last: str) -> None:
    name, picture = thumbnail_steps(garment_on(plain("navy"), color), 28)[-1]

    assert (name, picture.mode) == (last, "L")


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


def flooded(mask: np.ndarray) -> np.ndarray:
    """Return the components pixel by pixel, numbered in reading order."""
    labels, found = np.zeros(mask.shape, int), 0
    for place in zip(*np.nonzero(mask), strict=True):
        found += not labels[place]
        stack = [] if labels[place] else [place]
        while stack:
            row, column = stack.pop()
            inside = 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]
            if inside and mask[row, column] and not labels[row, column]:
                labels[row, column] = found
                stack += [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
    return labels


@pytest.mark.parametrize("share", [0.4, 0.6, 0.8])
def test_components_are_those_of_a_flood(share: float) -> None:
    mask = np.random.default_rng(0).random((40, 30)) < share

    _, numbers = np.unique(components(mask), return_inverse=True)

    assert (numbers.reshape(mask.shape) == flooded(mask)).all()


def test_otsu_separates_two_groups() -> None:
    values = np.concatenate([np.full(100, 10.0), np.full(50, 90.0)]).astype(np.float32)

    assert 10 < otsu(values) < 90


@pytest.mark.parametrize("seed", range(3))
def test_otsu_leaves_the_least_variance_inside_the_groups(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = np.concatenate([generator.gamma(2, 9, 9000), generator.normal(120, 40, 3000)]).astype(np.float32)
    counts, edges = np.histogram(values, 64)
    binned = np.repeat((edges[:-1] + edges[1:]) / 2, counts)

    def variance(threshold: float) -> float:
        groups = binned[binned < threshold], binned[binned >= threshold]
        return sum(group.size * group.var() for group in groups)

    assert otsu(values) == pytest.approx(min(edges[1:-1], key=variance))


def test_otsu_of_equal_values_is_finite() -> None:
    assert np.isfinite(otsu(np.full(9, 3.0, np.float32)))


@pytest.mark.parametrize("shape", [(2, 2), (1, 128), (7, 128), (128, 96)])
def test_the_median_filter_is_that_of_pillow(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    filtered = np.asarray(Image.fromarray(pixels).filter(ImageFilter.MedianFilter(3)))
    np.testing.assert_array_equal(median_filtered(pixels), filtered)
