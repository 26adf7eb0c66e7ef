"""Picture files reduced to what decoding needs: metadata is removed before Pillow opens them.

Metadata is where small files become large: compressed texts and profiles, and directories whose entries all point at
the same bytes. None of it is needed to decode a photo but its orientation, so the decoder never sees the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from prenda.errors import Message
from prenda.photos.messages import message, problem

MOST_SCANS = 500  # of a progressive JPEG; each costs a pass over the whole picture, and a photo has about ten
MOST_TAG_BYTES = 2**20  # of one entry of a TIFF directory; the strip offsets of a large scan need 0.1 MB

PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
TIFF_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
TIFF_TAGS = {
    *[256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293],  # size, compression, colours, strips
    *[317, 320, 322, 323, 324, 325, 332, 338, 339],  # predictor, palette, tiles, kinds of samples
    *[347, 512, 513, 514, 519, 520, 521, 529, 530, 531, 532],  # JPEG inside TIFF
}
TIFF_COMPRESSIONS = (1, 5, 7, 8, 32773, 32946)  # none, LZW, JPEG, deflate, PackBits, deflate
COMPRESSION_TAG = 259
ORIENTATION_TAG = 0x0112


@dataclass(frozen=True)
class Container:
    """A picture file without its metadata.

    Attributes:
        format: Pillow's name of the format.
        data: The file's bytes without metadata.
        orientation: 1 to 8, as EXIF numbers it; 1 is upright.
        warnings: What the file holds beyond the one picture that is used.
    """

    format: str
    data: bytes
    orientation: int = 1
    warnings: tuple[Message, ...] = ()


def recognize(data: bytes) -> str | None:
    """Return Pillow's name of the format that the first bytes show; None if it is none of those that are read."""
    for name, pattern in SIGNATURES.items():
        if re.match(pattern, data, re.DOTALL):
            return name
    return None


SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WEBP": rb"RIFF....WEBP",
    "GIF": rb"GIF8[79]a",
    "TIFF": rb"II\*\0|MM\0\*",
    "BMP": rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    "PPM": rb"P[456]\s",
}


def strip(data: bytes, picture_format: str) -> Container:
    """Return the picture file without its metadata.

    Raises:
        PhotoError: If the file's structure is damaged.
    """
    stripper: Callable[[bytes], Container] | None = STRIPPERS.get(picture_format)
    return stripper(data) if stripper is not None else Container(picture_format, data)


def orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8, that an EXIF block states; 1 if it states none or is damaged."""
    for tag, kind, _, value, order in _entries(exif.removeprefix(b"Exif\0\0")):
        if tag == ORIENTATION_TAG and kind == 3:
            number = int.from_bytes(value[:2], order)
            return number if 1 <= number <= 8 else 1
    return 1


Order = Literal["little", "big"]


def _entries(tiff: bytes) -> Iterator[tuple[int, int, int, bytes, Order]]:
    """Yield (tag, type, count, the four bytes of the value, byte order) of the first directory of a TIFF structure."""
    orders: dict[bytes, Order] = {b"II*\0": "little", b"MM\0*": "big"}
    if tiff[:4] not in orders:
        return
    order = orders[tiff[:4]]
    start = int.from_bytes(tiff[4:8], order)
    count = int.from_bytes(tiff[start : start + 2], order)
    for at in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        fields = (tiff[at : at + 2], tiff[at + 2 : at + 4], tiff[at + 4 : at + 8])
        tag, kind, values = (int.from_bytes(field, order) for field in fields)
        yield tag, kind, values, tiff[at + 8 : at + 12], order


def _strip_jpeg(data: bytes) -> Container:
    """Return the JPEG without application segments and comments; JFIF's and Adobe's tell its colours and stay."""
    kept, upright, at = [data[:2]], 1, 2
    while (at := data.find(b"\xff", at)) != -1 and at + 4 <= len(data):
        marker = data[at + 1]
        if marker == 0xDA:
            if data.count(b"\xff\xda", at) > MOST_SCANS:
                raise problem("damaged")
            kept.append(data[at:])
            break
        if marker == 0xFF or marker <= 0x01 or 0xD0 <= marker <= 0xD9:
            at += 1 if marker == 0xFF else 2
            continue
        end = at + 2 + max(2, int.from_bytes(data[at + 2 : at + 4]))
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0" and upright == 1:
            upright = orientation(data[at + 4 : end])
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE) or marker in (0xE0, 0xEE):
            kept.append(data[at:end])
        at = end
    return Container("JPEG", b"".join(kept), upright)


def _strip_png(data: bytes) -> Container:
    """Return the PNG with its critical chunks and its transparency alone."""
    kept, upright, at = [data[:8]], 1, 8
    warnings: tuple[Message, ...] = ()
    while at + 8 <= len(data):
        name = data[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if name in PNG_CHUNKS:
            kept.append(data[at:end])
        elif name == b"eXIf":
            upright = orientation(data[at + 8 : end - 4])
        elif name == b"acTL" and int.from_bytes(data[at + 8 : at + 12]) > 1:
            warnings = (message("animated"),)
        if name == b"IEND":
            break
        at = end
    return Container("PNG", b"".join(kept), upright, warnings)


def _strip_tiff(data: bytes) -> Container:
    """Return the TIFF with one directory, of the tags that decoding needs; Pillow would turn it upright itself."""
    kept = []
    order: Order = "little" if data[:2] == b"II" else "big"
    for tag, kind, count, value, _ in _entries(data):
        if tag in TIFF_TAGS:
            if count * TIFF_TYPE_BYTES.get(kind, 8) > MOST_TAG_BYTES:
                raise problem("damaged")
            if tag == COMPRESSION_TAG and int.from_bytes(value[:2], order) not in TIFF_COMPRESSIONS:
                raise problem("rare_compression")
            kept.append(b"".join(n.to_bytes(s, order) for n, s in ((tag, 2), (kind, 2), (count, 4))) + value)
    start = int.from_bytes(data[4:8], order)
    end = start + 2 + 12 * int.from_bytes(data[start : start + 2], order)
    warnings = (message("several_pages"),) if any(data[end : end + 4]) else ()
    directory = len(kept).to_bytes(2, order) + b"".join(kept) + bytes(4)
    bare = bytearray(data)
    bare[start : start + len(directory)] = directory
    return Container("TIFF", bytes(bare), orientation(data), warnings)


def _strip_gif(data: bytes) -> Container:
    """Return the GIF with its first picture alone, and without comments and application blocks."""
    at = 13 + _color_table_bytes(data[10:11])
    kept, control = [data[:at]], b""
    while at < len(data) and data[at] == 0x21:
        end = _sub_blocks_end(data, at + 2)
        if data[at + 1 : at + 2] == b"\xf9":
            control = data[at:end]
        at = end
    if data[at : at + 1] != b"\x2c":
        return Container("GIF", data[:at])
    end = _sub_blocks_end(data, at + 11 + _color_table_bytes(data[at + 9 : at + 10]))
    kept += [control, data[at:end], b"\x3b"] if end <= len(data) else [control, data[at:]]
    while end < len(data) and data[end] == 0x21:
        end = _sub_blocks_end(data, end + 2)
    return Container("GIF", b"".join(kept), warnings=(message("animated"),) if data[end : end + 1] == b"\x2c" else ())


def _color_table_bytes(flags: bytes) -> int:
    return 3 * 2 ** (flags[0] % 8 + 1) if flags and flags[0] & 0x80 else 0


def _sub_blocks_end(data: bytes, at: int) -> int:
    """Return where a chain of a GIF's sub-blocks ends; beyond the data if it is cut."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def _strip_webp(data: bytes) -> Container:
    """Return the WebP as it is, with its orientation: the decoder does not look into its metadata."""
    upright, at = 1, 12
    while at + 8 <= len(data):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"EXIF":
            upright = orientation(data[at + 8 : end])
        at = end + end % 2
    return Container("WEBP", data, upright)


def declared_size(container: Container) -> tuple[int, int]:
    """Return (width, height) as the header of a PNG, GIF or WebP declares them, (0, 0) for other formats."""
    data = container.data
    if container.format == "PNG":
        return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    if container.format == "GIF":
        return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    return _webp_size(data) if container.format == "WEBP" else (0, 0)


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF


STRIPPERS = {
    "JPEG": _strip_jpeg,
    "PNG": _strip_png,
    "TIFF": _strip_tiff,
    "GIF": _strip_gif,
    "WEBP": _strip_webp,
}
