import random
import struct
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from prenda.errors import PhotoError
from prenda.photos.decode import MOST_BYTES, Photo, decode
from tests.photos.pictures import chunk, encoded, exif, png, scene

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


def test_transparent_colour_of_an_rgb_picture_is_white() -> None:
    image = Image.new("RGB", (20, 20), (200, 0, 0))
    image.paste((0, 0, 200), (10, 0, 20, 20))

    pixels = np.asarray(decode(encoded(image, "PNG", transparency=(200, 0, 0))).image)

    assert (pixels[:, :10] == 255).all()
    assert (pixels[:, 10:] == [0, 0, 200]).all()


@pytest.mark.parametrize("mode", ["RGBA", "I;16"])
def test_pictures_of_more_than_a_megapixel_are_whole(mode: str) -> None:
    """They are decoded in strips."""
    levels = np.tile(np.linspace(0, 255, 1100).astype(np.uint8)[:, None], (1, 1024))
    if mode == "RGBA":
        image = Image.fromarray(np.stack([levels, levels, levels, np.full_like(levels, 255)], axis=-1))
    else:
        image = Image.fromarray(levels.astype(np.uint16) * 257)

    pixels = np.asarray(decode(encoded(image, "TIFF")).image)

    assert (pixels == levels[:, :, None]).all()


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


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 128, 129, 65406, 65407, 65535], np.uint16), [0, 0, 1, 254, 255, 255]),
        (np.array([0, 100, 200], np.uint16), [0, 0, 1]),  # dark, whatever its largest value
        (np.array([0, 128, 129, 65406, 65407, 65535], np.int32), [0, 0, 1, 254, 255, 255]),
        (np.array([0, 128, 129, 65406, 65407, 65535], np.float32), [0, 0, 1, 254, 255, 255]),
        (np.array([0, 1], np.int32), [0, 1]),
        (np.array([0, 255], np.int32), [0, 255]),
        (np.array([-0.5, 0.5, 1], np.float32), [0, 128, 255]),
        (np.array([np.nan, -np.inf, 0.5, 1], np.float32), [0, 0, 128, 255]),
    ],
    ids=[
        "16 bits", "dark 16 bits", "32 bits", "floats", "0 and 1", "0 and 255", "negative", "not finite",
    ],
)  # fmt: skip
def test_deep_grey_is_rounded_from_the_range_of_its_type(values: np.ndarray, expected: list[int]) -> None:
    square = np.repeat(np.tile(values, (40, 1)), 10, axis=1)

    pixels = np.asarray(decode(encoded(Image.fromarray(square), "TIFF")).image)

    assert pixels[0, ::10, 0].tolist() == expected


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


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP"])
def test_files_that_are_cut_anywhere_say_so(picture_format: str) -> None:
    data = encoded(scene(9, 8), picture_format)
    texts = set()
    for length in range(12, len(data)):
        try:
            decode(data[:length])
        except PhotoError as error:
            texts.add(str(error))

    assert texts == {"is cut off: the end of the file is missing; copy it again"}


@pytest.mark.parametrize(("picture_format", "header"), [("JPEG", b"\xff\xc0"), ("WEBP", b"VP8 ")])
def test_files_that_are_damaged_before_their_end_are_not_cut(picture_format: str, header: bytes) -> None:
    data = bytearray(encoded(scene(), picture_format))
    start = data.index(header) + 4
    data[start : start + 9] = bytes(9)

    with pytest.raises(PhotoError, match=r"^is damaged: its contents contradict each other$"):
        decode(bytes(data))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "is empty"),
        (b"hello, shop\n", "is text, no picture"),
        ("Größe: señora\n".encode(), "is text, no picture"),
        (("a" * 4093 + "😀").encode(), "is text, no picture"),
        (b"shop " + b"\xff" * 4, "is no picture: its first bytes are 73 68 6f 70 20 ff ff ff"),
        (b"<?xml version='1.0'?><note/>", "is text, no picture"),
        (b"a picture: <svg/>", "is text, no picture"),
        (b"\xef\xbb\xbf<html>", "is a web page (HTML), no picture: download the picture itself"),
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


@pytest.mark.parametrize(("size", "text"), [((8, 160), ""), ((160, 8), ""), ((7, 9), "small"), ((161, 8), "narrow")])
def test_the_least_shape_is_8_by_160(size: tuple[int, int], text: str) -> None:
    data = encoded(scene(*size), "PNG")
    if not text:
        assert decode(data).size == size
        return
    with pytest.raises(PhotoError, match=f"^is too {text}: {size[0]} x {size[1]} pixels; "):
        decode(data)


def test_a_photo_that_memory_does_not_hold_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", exhausted)

    with pytest.raises(PhotoError, match=r"^needs more memory than is free: save it as a smaller JPEG$"):
        decode(encoded(scene(), "PNG"))


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


def test_paths_that_no_system_takes_say_so() -> None:
    with pytest.raises(PhotoError, match=r"^cannot be read: .*embedded null"):
        decode(Path("a\0b.jpg"))


def test_no_more_of_a_file_is_read_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(scene(), "PNG"))
    monkeypatch.setattr("prenda.photos.decode.MOST_BYTES", path.stat().st_size)

    assert decode(path).size == (60, 40)
    with path.open("ab") as file:
        file.truncate(2**26)
    tracemalloc.start()
    try:
        with pytest.raises(PhotoError, match="is larger than"):
            decode(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


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


def png_bomb() -> bytes:
    return png(20000, 20000)


def gif_bomb() -> bytes:
    data = bytearray(encoded(scene(), "GIF"))
    data[6:10] = b"\xff\xff\xff\xff"
    return bytes(data)


def gif_frame_bomb() -> bytes:
    data = bytearray(encoded(scene(), "GIF"))
    frame = data.index(b"\x2c\0\0\0\0")
    data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    return bytes(data)


def webp_bomb() -> bytes:
    data = bytearray(encoded(scene(), "WEBP"))
    data[26:30] = b"\xff\x3f\xff\x3f"
    return bytes(data)


def webp_canvas_bomb() -> bytes:
    data = bytearray(encoded(scene(), "WEBP", exif=exif(1)))
    data[24:30] = b"\xff\x3f\0\xff\x3f\0"
    return bytes(data)


def tiff_bomb() -> bytes:
    data = encoded(scene(60, 40), "TIFF")
    for tag, side in ((256, 60), (257, 40)):
        old = struct.pack("<HHII", tag, 4, 1, side)
        assert old in data
        data = data.replace(old, struct.pack("<HHII", tag, 4, 1, 65536))
    return data


def bmp_bomb() -> bytes:
    data = bytearray(encoded(scene(), "BMP"))
    data[18:26] = b"\0\0\1\0\0\0\1\0"
    return bytes(data)


def ppm_bomb() -> bytes:
    return b"P6 65536 65536 255\n"


def jpeg_bomb() -> bytes:
    data = bytearray(encoded(scene(), "JPEG"))
    header = data.index(b"\xff\xc0")
    data[header + 5 : header + 9] = b"\xff\xdc\xff\xdc"
    return bytes(data)


BOMBS = {
    png_bomb: "claims 20000 x 20000 pixels, more than the limit of 100 megapixels",
    gif_bomb: "claims 65535 x 65535 pixels, more than the limit of 100 megapixels",
    gif_frame_bomb: "claims more than the limit of 100 megapixels",
    webp_bomb: "claims 16383 x 16383 pixels, more than the limit of 25 megapixels",
    webp_canvas_bomb: "claims 16384 x 16384 pixels, more than the limit of 25 megapixels",
    tiff_bomb: "claims more than the limit of 100 megapixels",
    bmp_bomb: "claims more than the limit of 100 megapixels",
    ppm_bomb: "claims more than the limit of 100 megapixels",
    jpeg_bomb: "claims more than the limit of 100 megapixels",
}


@pytest.mark.parametrize("make", BOMBS, ids=lambda make: make.__name__)
def test_bombs_are_refused_without_decoding(make: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    def decoding(*arguments: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decoding)
    monkeypatch.setattr("PIL._webp.WebPAnimDecoder", decoding)

    with pytest.raises(PhotoError) as raised:
        decode(make())

    assert str(raised.value) == BOMBS[make] + ": save it as a smaller JPEG"


def test_limit_of_pixels_is_a_choice() -> None:
    data = encoded(scene(60, 40), "PNG")

    assert decode(data, most_pixels=2400).size == (60, 40)
    with pytest.raises(PhotoError, match=r"^claims 60 x 40 pixels, more than the limit of 0\.002399 megapixels"):
        decode(data, most_pixels=2399)


def compressed_metadata() -> bytes:
    text = b"k\0\0" + zlib.compress(bytes(2**20))
    return png(60, 40, chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(2**24))), *[chunk(b"zTXt", text)] * 200)


def shared_directory_entries() -> bytes:
    """Return a TIFF whose 5,000 unknown tags all claim the same 2 MB."""
    data = bytearray(encoded(scene(), "TIFF"))
    old = int.from_bytes(data[4:8], "little")
    entries = data[old + 2 : old + 2 + 12 * int.from_bytes(data[old : old + 2], "little")]
    extra = b"".join(struct.pack("<HHII", 1000 + tag, 7, 2 * 10**6, 8) for tag in range(5000))
    start = len(data) + 2 * 10**6
    data[4:8] = start.to_bytes(4, "little")
    count = (len(entries) // 12 + 5000).to_bytes(2, "little")
    return bytes(data) + bytes(2 * 10**6) + count + entries + extra + bytes(4)


def shared_exif_entries() -> bytes:
    entries = b"".join(struct.pack("<HHII", 1000 + tag, 7, 5 * 10**6, 8) for tag in range(5000))
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 5000) + entries + bytes(5 * 10**6)
    data = encoded(scene(), "JPEG")
    pieces = [b"Exif\0\0" + block[at : at + 60_000] for at in range(0, len(block), 60_000)]
    return data[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(p) + 2) + p for p in pieces) + data[20:]


def long_comment() -> bytes:
    data = encoded(scene(), "GIF")
    frame = data.index(b"\x2c\0\0\0\0")
    return data[:frame] + b"\x21\xfe" + (b"\xff" + bytes(255)) * 20_000 + b"\0" + data[frame:]


@pytest.mark.parametrize(
    "make",
    [compressed_metadata, shared_directory_entries, shared_exif_entries, long_comment],
    ids=lambda make: make.__name__,
)
def test_metadata_costs_neither_time_nor_memory(make: Callable[[], bytes]) -> None:
    data = make()
    tracemalloc.start()
    try:
        photo = decode(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert photo.size == (60, 40)
    assert peak < 3 * len(data) + 2**20


def test_progressive_jpeg_of_many_scans_is_refused() -> None:
    data = encoded(scene(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")

    with pytest.raises(PhotoError, match=r"^is damaged: its contents contradict each other$"):
        decode(data[:last] + data[last:-2] * 500 + data[-2:])


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg", "tiff_adobe_deflate", "packbits"])
def test_common_compressions_of_tiff_are_read(compression: str) -> None:
    assert difference(decode(encoded(scene(), "TIFF", compression=compression)), scene()) < 6


@pytest.mark.parametrize("compression", ["group4", "lzma"])
def test_rare_compressions_of_tiff_are_refused(compression: str) -> None:
    image = scene().convert("1" if compression == "group4" else "RGB")

    with pytest.raises(PhotoError, match=r"^is a TIFF picture with a rare compression: save it as JPEG$"):
        decode(encoded(image, "TIFF", compression=compression))


def test_threads_decode_without_warnings_and_leave_the_filters() -> None:
    odd = bytearray(encoded(scene(), "TIFF"))
    odd[4:8] = len(odd).to_bytes(4, "little")  # an empty directory beyond the end: Pillow warns
    before = list(warnings.filters)

    def attempt(_: int) -> str:
        try:
            decode(bytes(odd))
        except PhotoError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(8) as pool:
        texts = set(pool.map(attempt, range(200)))

    assert len(texts) == 1
    assert warnings.filters == before
