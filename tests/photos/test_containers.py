from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from prenda.errors import PhotoError
from prenda.photos.containers import Container, declared_size, orientation, strip
from prenda.photos.decode import decode
from tests.photos.pictures import chunk, encoded, exif, scene

COMMENT = b"\x21\xfe\x03abc\0"  # of a GIF


def gif_with_its_own_colors(data: bytes) -> bytes:
    """Return the GIF with the colour table of its picture in place of the global one."""
    table, frame = data[13 : 13 + 768], data[781:]
    assert (data[10], frame[0]) == (0x87, 0x2C)
    return data[:10] + b"\x07" + data[11:13] + frame[:9] + bytes([frame[9] | 0x87]) + table + frame[10:]


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "PPM"])
def test_a_file_without_metadata_stays_as_it_is(picture_format: str) -> None:
    data = encoded(scene(), picture_format)

    assert strip(data, picture_format) == Container(picture_format, data)


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG"])
def test_metadata_is_left_out_and_the_rest_stays(picture_format: str) -> None:
    data = encoded(scene(), picture_format)
    described = encoded(scene(), picture_format, exif=exif(6), icc_profile=b"profile", comment=b"a garment")

    assert described != data
    assert strip(described, picture_format) == Container(picture_format, data, orientation=6)


def test_bytes_behind_the_end_of_a_png_are_left_out() -> None:
    data = encoded(scene(), "PNG")

    assert strip(data + data[8:], "PNG") == Container("PNG", data)


@pytest.mark.parametrize(
    "inserted",
    [
        b"\xff\xff\xff",  # fill bytes
        b"\xff\x01",  # markers without a length
        b"\xff\xd0",
        b"\xff\xe5\0\0",  # lengths that do not count themselves
        b"\xff\xe1\0\1",
        b"\xff\xe1\0\4ab",
        b"\xff\xef\0\4ab",
        b"\xff\xfe\0\4ab",
    ],
    ids=["fill", "TEM", "RST0", "length 0", "length 1", "APP1", "APP15", "COM"],
)
def test_what_a_jpeg_need_not_hold_is_left_out(inserted: bytes) -> None:
    data = encoded(scene(), "JPEG")
    at = data.index(b"\xff\xdb")  # the first table

    assert strip(data[:at] + inserted + data[at:], "JPEG") == Container("JPEG", data)


def test_the_first_orientation_of_a_jpeg_other_than_upright_counts() -> None:
    data = encoded(scene(), "JPEG")
    blocks = [b"\xff\xe1" + struct.pack(">H", len(exif(n)) + 2) + exif(n) for n in (1, 6, 3)]

    assert strip(data[:2] + b"".join(blocks) + data[2:], "JPEG") == Container("JPEG", data, orientation=6)


def test_a_jpeg_has_500_scans_at_most() -> None:
    data = encoded(scene(), "JPEG")
    others = data.count(b"\xff\xda")

    assert strip(data + b"\xff\xda" * (500 - others), "JPEG").format == "JPEG"
    with pytest.raises(PhotoError, match=r"^is damaged"):
        strip(data + b"\xff\xda" * (501 - others), "JPEG")


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "GIF"])
def test_what_there_is_of_a_cut_file_is_kept(picture_format: str) -> None:
    data = encoded(scene(9, 8), picture_format)
    kept = [strip(data[:length], picture_format).data for length in range(20, len(data))]

    assert all((data + b";").startswith(each) for each in kept)
    assert len(kept[-1]) >= len(data) - 5


def directory(order: str, entries: list[tuple[int, int, int]], count: int | None = None, start: int = 8) -> bytes:
    """Return a TIFF structure that ends with its entries of (tag, type, value)."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start) + bytes(start - 8)
    count = len(entries) if count is None else count
    fields = [struct.pack(f"{order}HHI", tag, kind, 1) for tag, kind, _ in entries]
    values = [struct.pack(f"{order}{'I' if kind == 4 else 'Hxx'}", value) for _, kind, value in entries]
    return head + struct.pack(f"{order}H", count) + b"".join(a + b for a, b in zip(fields, values, strict=True))


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_orientation_is_the_first_short_number_from_1_to_8(order: str) -> None:
    maker, turned = (0x010F, 3, 5), (0x0112, 3, 6)

    assert [orientation(directory(order, [maker, (0x0112, 3, n)])) for n in range(10)] == [1, *range(1, 9), 1]
    assert orientation(b"Exif\0\0" + directory(order, [turned])) == 6
    assert orientation(directory(order, [turned, (0x0112, 3, 3)])) == 6
    assert orientation(directory(order, [(0x0112, 4, 6)])) == 1
    assert orientation(directory(order, [turned], start=20)) == 6
    assert orientation(directory(order, [maker, turned], count=1)) == 1  # beyond the directory
    assert orientation(directory(order, [maker, turned], count=9)) == 6  # a directory that is cut
    assert orientation(directory(order, [maker, turned])[:-1]) == 1
    assert orientation(b"XX" + directory(order, [turned])[2:]) == 1


def test_colours_of_adobes_jpeg_are_kept() -> None:
    assert b"Adobe" in strip(encoded(scene().convert("CMYK"), "JPEG"), "JPEG").data


@pytest.mark.parametrize("own_colors", [False, True])
def test_a_gif_is_reduced_to_its_first_picture(own_colors: bool) -> None:
    data = encoded(scene(), "GIF")
    first = data.index(b"\x2c\0\0\0\0")
    if own_colors:
        data, first = gif_with_its_own_colors(data), 13
        assert np.abs(np.asarray(decode(data).image, float) - np.asarray(scene(), float)).mean() < 20
    head, frame = data[:first], data[first:-1]

    assert strip(head + COMMENT + frame + COMMENT + b";", "GIF") == Container("GIF", data)
    assert strip(head + frame + COMMENT + frame + b";", "GIF").warnings == ("animated: only its first frame is used",)
    assert strip(data[:-1], "GIF").data == data  # only the end mark is missing
    assert strip(data[:-9], "GIF").data == data[:-9]
    assert strip(head + COMMENT + b";", "GIF") == Container("GIF", head + COMMENT)


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_a_file_may_end_anywhere(picture_format: str) -> None:
    data = encoded(scene(9, 8), picture_format, exif=exif(6))
    for length in range(len(data)):
        try:
            assert strip(data[:length], picture_format).format == picture_format
        except PhotoError:
            continue


@pytest.mark.parametrize(
    ("picture_format", "options"),
    [
        ("PNG", {}),
        ("GIF", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": exif(1)}),
    ],
)
def test_the_size_that_a_header_declares_is_that_of_the_picture(picture_format: str, options: dict[str, Any]) -> None:
    data = encoded(scene(301, 270), picture_format, **options)

    assert declared_size(strip(data, picture_format)) == (301, 270)


def test_the_orientation_of_a_webp_stands_behind_chunks_of_any_length() -> None:
    data = encoded(scene(), "WEBP", exif=exif(6))
    at = data.index(b"EXIF")
    data = data[:at] + b"ODDS" + struct.pack("<I", 1) + b"x\0" + data[at:]

    assert strip(data, "WEBP").orientation == 6


@pytest.mark.parametrize("count", [1, 2])
def test_a_png_of_one_frame_is_not_animated(count: int) -> None:
    data = encoded(scene(), "PNG")
    header = data.index(b"IDAT") - 4
    animated = data[:header] + chunk(b"acTL", struct.pack(">II", count, 0)) + data[header:]

    assert len(strip(animated, "PNG").warnings) == count - 1


def test_a_big_endian_tiff_is_read() -> None:
    levels = np.tile(np.arange(0, 256, 5, np.uint8), (20, 1))
    image = Image.frombytes("I;16B", (52, 20), (levels.astype(">u2") * 257).tobytes())
    data = encoded(image, "TIFF")
    assert data.startswith(b"MM")

    photo = decode(data)

    assert (np.asarray(photo.image) == levels[:, :, None]).all()
    assert photo.warnings == ()
    pages = decode(encoded(image, "TIFF", save_all=True, append_images=[image]))
    assert pages.warnings == ("several pages: only the first is used",)


@pytest.mark.parametrize(("kind", "most"), [(4, 2**18), (3, 2**19), (13, 2**17)])
def test_entries_of_a_tiff_have_a_megabyte_at_most(kind: int, most: int) -> None:
    data = encoded(scene(), "TIFF")
    at = data.index(struct.pack("<HH", 273, 4)) + 2  # the offsets of the strips

    def claiming(count: int) -> bytes:
        return data[:at] + struct.pack("<HI", kind, count) + data[at + 6 :]

    assert strip(claiming(most), "TIFF").format == "TIFF"
    with pytest.raises(PhotoError, match=r"^is damaged"):
        strip(claiming(most + 1), "TIFF")


@pytest.mark.parametrize("big_endian", [False, True])
def test_a_tiff_of_either_byte_order_is_turned_upright(big_endian: bool) -> None:
    marked = exif(8).removeprefix(b"Exif\0\0")
    order = ">" if big_endian else "<"
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, 8, 0)
    block = (b"MM" if big_endian else b"II") + struct.pack(f"{order}HIH", 42, 8, 1) + entry + bytes(4)

    for tiff in (marked, block):
        data = encoded(scene(), "JPEG", exif=b"Exif\0\0" + tiff)
        assert strip(data, "JPEG").orientation == 8


def test_colours_of_a_gif_stay_transparent() -> None:
    image = Image.new("P", (20, 20), 0)
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.paste(1, (10, 0, 20, 20))
    pixels = np.asarray(decode(encoded(image, "GIF", transparency=0)).image)

    assert (pixels[:, :10] == 255).all()
    assert (pixels[:, 10:] == [0, 0, 200]).all()
