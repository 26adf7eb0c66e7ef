import random
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from prenda.errors import PhotoError
from prenda.photos.decode import MOST_BYTES, Photo, decode
from tests.photos.pictures import encoded, exif, png, scene

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM"]


def difference(photo: Photo, expected: Image.Image) -> float:
    return float(np.abs(np.asarray(photo.image, float) - np.asarray(expected.convert("RGB"), float)).mean())


@pytest.mark.parametrize("picture_format", FORMATS)
def test_every_format_gives_plain_rgb(picture_format: str) -> None:
    photo = decode(encoded(scene(), picture_format))

    assert photo.image.mode == "RGB"
    assert photo.size == photo.image.size == (60, 40)
    assert photo.warnings == ()
    assert difference(photo, scene()) < (20 if picture_format == "GIF" else 6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_photos_are_turned_upright(picture_format: str, orientation: int) -> None:
    data = encoded(scene(), picture_format, exif=exif(orientation))
    marked = scene()
    marked.getexif()[0x0112] = orientation

    photo = decode(data)

    assert difference(photo, ImageOps.exif_transpose(marked)) < 8
    assert photo.size == photo.image.size


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_no_metadata_is_left(picture_format: str) -> None:
    photo = decode(encoded(scene(), picture_format, exif=exif(6), icc_profile=b"profile"))

    assert photo.image.info == {}
    assert dict(photo.image.getexif()) == {}


def test_damaged_exif_is_ignored() -> None:
    data = encoded(scene(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")

    assert difference(decode(data), scene()) < 6


def half_transparent(mode: str) -> Image.Image:
    image = scene().convert(mode)
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, 30, 40))
    image.putalpha(alpha)
    return image


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("picture_format", ["PNG", "TIFF"])
def test_transparency_is_laid_on_white(mode: str, picture_format: str) -> None:
    photo = decode(encoded(half_transparent(mode), picture_format))

    pixels = np.asarray(photo.image)
    assert (pixels[:, :30] == 255).all()
    assert (pixels[:, 30:] == np.asarray(scene().convert(mode).convert("RGB"))[:, 30:]).all()


@pytest.mark.parametrize("transparency", [0, bytes([0, 255])])
def test_transparent_colour_of_a_palette_is_white(transparency: int | bytes) -> None:
    image = Image.new("P", (20, 20), 0)
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.paste(1, (10, 0, 20, 20))

    pixels = np.asarray(decode(encoded(image, "PNG", transparency=transparency)).image)

    assert (pixels[:, :10] == 255).all()
    assert (pixels[:, 10:] == [0, 0, 200]).all()


@pytest.mark.parametrize("picture_format", ["JPEG", "TIFF"])
def test_cmyk_has_the_colours_of_rgb(picture_format: str) -> None:
    assert difference(decode(encoded(scene().convert("CMYK"), picture_format)), scene()) < 6


GREY = np.tile(np.linspace(0, 1, 40), (30, 1))


@pytest.mark.parametrize(
    ("values", "picture_format"),
    [
        ((GREY * 65535).astype(np.uint16), "PNG"),
        ((GREY * 65535).astype(np.uint16), "TIFF"),
        ((GREY * 255).astype(np.int32), "TIFF"),
        ((GREY * 65535).astype(np.int32), "TIFF"),
        ((GREY * 2**30).astype(np.int32), "TIFF"),
        (GREY.astype(np.float32), "TIFF"),
        ((GREY * 255).astype(np.float32), "TIFF"),
    ],
)
def test_deep_grey_is_scaled_and_not_clipped(values: np.ndarray, picture_format: str) -> None:
    pixels = np.asarray(decode(encoded(Image.fromarray(values), picture_format)).image)

    assert np.abs(pixels - 255 * GREY[:, :, None]).max() <= 1.1


def test_bilevel_and_grey_pictures_are_read() -> None:
    for mode in ("1", "L", "P"):
        assert decode(encoded(scene().convert(mode), "PNG")).image.mode == "RGB"


@pytest.mark.parametrize("picture_format", ["GIF", "WEBP", "PNG"])
def test_animated_pictures_give_their_first_frame(picture_format: str) -> None:
    others = [Image.new("RGB", (60, 40), color) for color in ("black", "red")]
    options = {"lossless": True} if picture_format == "WEBP" else {}
    photo = decode(encoded(scene(), picture_format, save_all=True, append_images=others, **options))

    assert photo.warnings == ("animated: only its first frame is used",)
    assert difference(photo, scene()) < 20


def test_pages_beyond_the_first_are_reported() -> None:
    photo = decode(encoded(scene(), "TIFF", save_all=True, append_images=[scene()]))

    assert photo.warnings == ("several pages: only the first is used",)


def test_second_picture_of_mpo_is_ignored() -> None:
    photo = decode(encoded(scene(), "MPO", save_all=True, append_images=[Image.new("RGB", (60, 40))]))

    assert difference(photo, scene()) < 6
    assert photo.warnings == ()


def test_content_counts_and_not_the_extension(tmp_path: Path) -> None:
    path = tmp_path / "shoe.PNG"
    path.write_bytes(encoded(scene(), "JPEG"))

    assert decode(path).warnings == ("a JPEG picture named .png",)


@pytest.mark.parametrize("name", ["shoe.jpg", "shoe.jfif", "shoe", "shoe.photo"])
def test_matching_and_unknown_extensions_need_no_warning(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(encoded(scene(), "JPEG"))

    assert decode(path).warnings == ()


@pytest.mark.parametrize(("draft", "side"), [(None, 800), (300, 800), (200, 400), (100, 200), (10, 100)])
def test_draft_leaves_at_least_twice_what_suffices(draft: int | None, side: int) -> None:
    photo = decode(encoded(scene(1600, 800), "JPEG", exif=exif(6)), draft=draft)

    assert photo.image.size == (side, 2 * side)
    assert photo.size == (800, 1600)


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM"])
def test_cut_files_say_so(picture_format: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8))
    data = encoded(noise, picture_format)

    with pytest.raises(PhotoError, match=r"^is cut off: the end of the file is missing; copy it again$"):
        decode(data[: len(data) * 2 // 3])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "is empty"),
        (b"hello, shop\n", "is text, no picture"),
        ("Größe: señora\n".encode(), "is text, no picture"),
        (
            b"\n <!DOCTYPE html><title>Not found</title>",
            "is a web page (HTML), no picture: download the picture itself",
        ),
        (b"<?xml version='1.0'?><svg/>", "is an SVG drawing: save it as JPEG"),
        (b"%PDF-1.7\n", "is a PDF document, no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is a PostScript drawing: save it as JPEG"),
        (b"8BPS\0\1", "is a Photoshop file: save it as JPEG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a HEIC photo: save it as JPEG"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "is an AVIF picture: save it as JPEG"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "is a video, no picture"),
        (b"PK\x03\x04\x14\0", "is a ZIP archive or an office document, no picture"),
        (b"\x01\x02\x03\x04\x05\x06\x07\x08\x09", "is no picture: its first bytes are 01 02 03 04 05 06 07 08"),
        (encoded(scene(), "ICO"), "is an icon, no photo"),
        (encoded(scene(), "EPS"), "is a PostScript drawing: save it as JPEG"),
        (encoded(scene(1, 1), "PNG"), "is too small: 1 x 1 pixels; at least 8 a side are needed"),
        (
            encoded(scene(4000, 10), "PNG"),
            "is too narrow: 4000 x 10 pixels; the longer side may be 20 times the shorter one at most",
        ),
        (encoded(Image.new("RGBA", (20, 20)), "PNG"), "is fully transparent: nothing is to be seen"),
        (encoded(scene(), "PNG").replace(b"IDAT", b"IDOT"), "is damaged: its contents contradict each other"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unusable_files_say_what_is_wrong(data: bytes, text: str) -> None:
    with pytest.raises(PhotoError) as raised:
        decode(data)

    assert str(raised.value) == text


def unreadable(path: Path) -> str:
    path.write_bytes(encoded(scene(), "JPEG"))
    path.chmod(0)
    return "may not be read: give yourself permission"


def folder(path: Path) -> str:
    path.mkdir()
    return "is a folder, no picture"


def dangling(path: Path) -> str:
    path.symlink_to("nowhere")
    return "is a link to a file that does not exist"


def looping(path: Path) -> str:
    path.symlink_to(path)
    return "cannot be read: Too many levels of symbolic links"


def huge(path: Path) -> str:
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    return "is larger than 128 MiB: save it as a smaller JPEG"


def missing(path: Path) -> str:
    return "does not exist"


@pytest.mark.parametrize("make", [folder, dangling, looping, huge, missing], ids=lambda make: make.__name__)
def test_paths_that_are_no_files_say_so(tmp_path: Path, make: Callable[[Path], str]) -> None:
    text = make(tmp_path / "photo.jpg")

    with pytest.raises(PhotoError) as raised:
        decode(tmp_path / "photo.jpg")

    assert str(raised.value) == text


def test_unreadable_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.jpg"
    text = unreadable(path)

    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything

    with pytest.raises(PhotoError) as raised:
        decode(path)
    assert str(raised.value) == text


def test_special_files_are_not_opened() -> None:
    with pytest.raises(PhotoError, match=r"^is no regular file$"):
        decode(Path("/dev/zero"))


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_raise_nothing_but_photo_errors(seed: int) -> None:
    generator = random.Random(seed)
    originals = [encoded(scene(), name) for name in FORMATS]
    originals += [
        encoded(scene(), "JPEG", exif=exif(6), progressive=True),
        encoded(half_transparent("RGB"), "PNG"),
        encoded(scene(), "TIFF", compression="tiff_lzw"),
        encoded(scene(), "GIF", save_all=True, append_images=[Image.new("RGB", (60, 40))]),
    ]
    failed = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(100):
            data = bytearray(generator.choice(originals))
            for _ in range(generator.choice([1, 3, 10])):
                data[generator.randrange(generator.choice([40, len(data)]))] = generator.randrange(256)
            try:
                decode(bytes(data), most_pixels=1_000_000)
            except PhotoError:
                failed += 1
    assert failed > 10


def test_png_claiming_many_pixels_is_refused() -> None:
    with pytest.raises(PhotoError) as raised:
        decode(png(20000, 20000))

    assert str(raised.value) == (
        "claims 20000 x 20000 pixels, more than the limit of 100 megapixels: save it as a smaller JPEG"
    )
