"""Decoding of untrusted picture files into upright RGB pictures."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from prenda.errors import Message, PhotoError
from prenda.photos import containers, foreign
from prenda.photos.messages import message, problem
from prenda.photos.pillow_warnings import pillow_warnings_ignored

MOST_PIXELS = 100_000_000  # declared width * height; decoding takes about 8 bytes for each
MOST_BYTES = 128 * 2**20  # of a file
SMALLEST_SIDE = 8  # pixels
MOST_ELONGATED = 20  # longer side / shorter side
WEBP_SHARE = 4  # a WebP picture takes about four times the memory of another for each pixel

EXTENSIONS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF's orientation


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    Attributes:
        image: 8-bit RGB, upright, transparency laid on white, without metadata.
        size: (width, height) as displayed, before any reduction by `draft`.
        warnings: Short phrases about what the reader may not expect, such as "animated: only its first frame is used".
    """

    image: Image.Image
    size: tuple[int, int]
    warnings: tuple[Message, ...] = ()


def decode(source: Path | bytes, *, draft: int | None = None, most_pixels: int = MOST_PIXELS, name: str = "") -> Photo:
    """Return the decoded photo. The file is not trusted: its memory is bounded, whatever it claims about itself.

    Args:
        source: The file, or its bytes.
        draft: Pixels that suffice for the shorter side. A JPEG whose shorter side has at least four times as many is
            decoded at a half, a quarter or an eighth of its size, never below twice this number.
        most_pixels: Limit of the declared width times height; a quarter of it for WebP, whose decoder needs more.
        name: Name of the file that the bytes come from; its extension may be wrong.

    Raises:
        PhotoError: If the file cannot be read or is no usable picture. The text has no subject: "is empty".
    """
    data = source if isinstance(source, bytes) else read(source)
    if not data:
        raise problem("empty")
    picture_format = containers.recognize(data)
    if picture_format is None:
        raise PhotoError(foreign.describe(data))
    container = containers.strip(data, picture_format)
    with pillow_warnings_ignored():
        image, size, animated = _decoded(container, draft, most_pixels)
    warnings = [*container.warnings]
    if animated:
        warnings.append(message("animated"))
    extension = (source if isinstance(source, Path) else PurePath(name)).suffix.lower()
    warnings += _extension_warnings(extension, picture_format)
    return Photo(image, size, tuple(warnings))


def read(path: Path) -> bytes:
    """Return the bytes of a file, at most `MOST_BYTES`.

    Raises:
        PhotoError: If the path is no readable file, or the file is larger.
    """
    try:
        mode = path.stat().st_mode
        data = _first_bytes(path) if stat.S_ISREG(mode) else b""
    except FileNotFoundError as error:
        raise problem("broken_link" if path.is_symlink() else "absent") from error
    except PermissionError as error:
        raise problem("no_permission") from error
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise problem("unreadable", reason=reason) from error
    if not stat.S_ISREG(mode):
        raise problem("folder" if stat.S_ISDIR(mode) else "no_regular_file")
    if len(data) > MOST_BYTES:
        raise problem("too_many_bytes", limit=MOST_BYTES // 2**20)
    return data


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


def _decoded(
    container: containers.Container, draft: int | None, most_pixels: int
) -> tuple[Image.Image, tuple[int, int], bool]:
    """Return the picture in upright RGB, its full size as displayed, and whether the file is an animated WebP."""
    limit = most_pixels // WEBP_SHARE if container.format == "WEBP" else most_pixels
    _check_pixels(containers.declared_size(container), limit)  # WebP's decoder allocates its canvas on opening
    try:
        with Image.open(io.BytesIO(container.data), formats=(container.format,)) as opened:
            size = opened.size
            _check_pixels(size, limit)
            _check_shape(size)
            if draft is not None:
                opened.draft(None, (2 * draft, 2 * draft))
            opened.load()
            animated = container.format == "WEBP" and bool(getattr(opened, "is_animated", False))
            image = _rgb(opened)
    except PhotoError:
        raise
    except Image.DecompressionBombError as error:
        raise _bomb("more", limit) from error
    except MemoryError as error:
        raise problem("no_memory") from error
    except Exception as error:  # Pillow raises errors of a dozen kinds for damaged files
        raise problem("cut" if _is_cut(container, error) else "damaged") from error
    image.info = {}
    if container.orientation in TURNS:
        image = image.transpose(TURNS[container.orientation])
    return image, size[::-1] if container.orientation >= 5 else size, animated


def _check_pixels(size: tuple[int, int], limit: int) -> None:
    if size[0] * size[1] > limit:
        raise _bomb(f"{size[0]} x {size[1]} pixels, more", limit)


def _bomb(claim: str, limit: int) -> PhotoError:
    return problem("too_many_pixels", claim=claim, limit=limit / 1e6)


def _check_shape(size: tuple[int, int]) -> None:
    width, height = size
    if min(size) < SMALLEST_SIDE:
        raise problem("too_small", width=width, height=height, least=SMALLEST_SIDE)
    if max(size) > MOST_ELONGATED * min(size):
        raise problem("too_narrow", width=width, height=height, most=MOST_ELONGATED)


def _rgb(image: Image.Image) -> Image.Image:
    """Return the picture as a new 8-bit RGB one."""
    if image.mode.startswith(("I", "F")):
        return _from_deep_grey(image)
    return _on_white(image) if image.has_transparency_data else image.convert("RGB")


def _strips(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Yield the boxes of strips of about a megapixel, so that intermediate results stay small."""
    width, height = size
    rows = max(1, 2**20 // width)
    for top in range(0, height, rows):
        yield 0, top, width, min(height, top + rows)


def _on_white(image: Image.Image) -> Image.Image:
    flat = Image.new("RGB", image.size, "white")
    visible = False
    for box in _strips(image.size):
        part = image.crop(box).convert("RGBA")
        alpha = part.getchannel("A")
        visible = visible or alpha.getbbox() is not None
        flat.paste(part, box[:2], mask=alpha)
    if not visible:
        raise problem("transparent")
    return flat


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Return RGB of grey values of 16 bits, 32 bits or floating point; Pillow would clip them at 255.

    16 bits are divided by 257. Other types do not state their range: it is taken as 1, 255, 65535 or the largest value.
    """
    if image.mode.startswith("I;16"):
        largest = 65535.0
    else:
        found = max(float(_values(image, box).max()) for box in _strips(image.size))
        ranges = [255.0, 65535.0] if image.mode == "I" else [1.0, 255.0, 65535.0]
        largest = next((value for value in ranges if found <= value), found)
    flat = Image.new("RGB", image.size)
    for box in _strips(image.size):
        scaled = (np.maximum(_values(image, box), 0) * (255 / largest) + 0.5).astype(np.uint8)
        flat.paste(Image.fromarray(scaled), box[:2])
    return flat


def _values(image: Image.Image, box: tuple[int, int, int, int]) -> NDArray[np.float32]:
    values: NDArray[np.float32] = np.nan_to_num(np.asarray(image.crop(box), dtype=np.float32))
    return values


def _is_cut(container: containers.Container, error: Exception) -> bool:
    """Return whether the end of the file is missing, rather than something in its midst."""
    data = container.data
    if container.format == "JPEG":
        return b"\xff\xd9" not in data
    if container.format == "PNG":
        return b"IEND" not in data
    if container.format == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    return isinstance(error, EOFError) or "truncated" in str(error).lower()


def _extension_warnings(extension: str, picture_format: str) -> list[Message]:
    """Return a warning if the extension is that of another format."""
    others = {known for name, names in EXTENSIONS.items() if name != picture_format for known in names}
    return [message("extension", format=picture_format, extension=extension)] if extension in others else []
