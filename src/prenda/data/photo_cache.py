"""Cache of prepared photos: a file for each split, with a checksum for each photo.

A file is built beside its place and renamed, so a reader sees all of it or none. Its name is a hash of the photos'
content and of their preparation. Layout: MAGIC, number of photos, bytes a photo, CRC-32 of each photo, pixels.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import weakref
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from prenda.data.parallel import in_threads, progress
from prenda.errors import DataError, PhotoError
from prenda.photos.decode import read
from prenda.photos.preparation import Preparation
from prenda.photos.prepare import load

VERSION = 1  # of the preparation's pixels and of the file's layout
MAGIC = b"prenda photos 1\n"
SUFFIX = ".photos"
ABANDONED = 3600  # seconds without a write after which a partial file belongs to no process
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class PreparedPhotos:
    """Photos of one split, as their preparation makes them.

    Attributes:
        paths: The files.
        digests: SHA-256 of each file.
        preparation: How a photo becomes pixels.
    """

    paths: tuple[Path, ...]
    digests: tuple[str, ...]
    preparation: Preparation

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of a prepared photo."""
        return self.preparation.channels, self.preparation.size, self.preparation.size

    @property
    def row(self) -> int:
        """Bytes of a prepared photo."""
        return self.preparation.channels * self.preparation.size**2

    @property
    def nbytes(self) -> int:
        """Bytes of all prepared photos."""
        return len(self.paths) * self.row

    @property
    def key(self) -> str:
        """Name of the cache file: SHA-256 of content and preparation."""
        content = {"version": VERSION, "preparation": self.preparation.as_plain(), "photos": self.digests}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def prepare(self, index: int) -> Pixels:
        """Read and prepare one photo: (C, H, W).

        Raises:
            DataError: If the file has changed or gone since it was listed.
        """
        try:
            content = read(self.paths[index])
            if hashlib.sha256(content).hexdigest() == self.digests[index]:
                return load(content, self.preparation).pixels
            reason = "its content has changed"
        except PhotoError as error:
            reason = str(error)
        name, folder = self.paths[index].name, self.paths[index].parent.name
        raise DataError(
            f"{name!r} in {folder!r} cannot be read any more ({reason}): leave the photos as they are while prenda "
            "reads them, and run the command again."
        )


class CacheFile:
    """Reader of a cache file. It stays readable after another run has dropped the file."""

    def __init__(self, path: Path, photos: PreparedPhotos) -> None:
        """Open the file.

        Raises:
            ValueError: If the file is damaged.
            FileNotFoundError: If there is none.
        """
        self.path, self._photos = path, photos
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._file)
        header = _header(photos)
        self._start = len(header) + 4 * len(photos.paths)
        size = os.fstat(self._file).st_size
        if size != self._start + photos.nbytes or os.pread(self._file, len(header), 0) != header:
            raise ValueError(f"{path} is no cache of these photos")
        self._checks = np.frombuffer(os.pread(self._file, 4 * len(photos.paths), len(header)), dtype="<u4")
        os.utime(path)  # the oldest use is dropped first

    def __reduce__(self) -> tuple[Any, ...]:
        """Open the file again in a worker process that is not forked."""
        return CacheFile, (self.path, self._photos)

    def read(self, index: int) -> bytes | None:
        """Return the pixels of a photo; None if they are damaged."""
        pixels = os.pread(self._file, self._photos.row, self._start + index * self._photos.row)
        return pixels if zlib.crc32(pixels) == self._checks[index] else None


def open_cache(folder: Path, photos: PreparedPhotos) -> CacheFile:
    """Return the cache file of these photos, and build it if it is missing or damaged.

    Two runs that need the same file build it once: the second one waits.

    Raises:
        DataError: If the file cannot be written, or a photo cannot be read any more.
    """
    path = folder / f"{photos.key}{SUFFIX}"
    try:
        return CacheFile(path, photos)
    except (ValueError, FileNotFoundError):
        pass
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            try:
                return CacheFile(path, photos)
            except (ValueError, FileNotFoundError):
                _build(path, photos)
            return CacheFile(path, photos)
    except OSError as error:
        raise DataError(
            f"The cache of photos in {folder} cannot be written ({error.strerror}): it needs "
            f"{photos.nbytes / 1e9:.2f} GB. Make room there, lower data.cache_gb, or set PRENDA_HOME to another folder."
        ) from error


def drop_oldest(folder: Path, kept: Sequence[str], most: float) -> None:
    """Drop the files that were used longest ago.

    Args:
        folder: The cache.
        kept: Keys of files that stay.
        most: Bytes that the other files may take in all.
    """
    for used, _, part in _by_use(folder, "*.part-*"):
        if time.time() - used > ABANDONED:
            part.unlink(missing_ok=True)
    others = [entry for entry in _by_use(folder, f"*{SUFFIX}") if entry[2].stem not in kept]
    total = sum(size for _, size, _ in others)
    for _, size, file in others:
        if total <= most:
            return
        total -= size
        file.unlink(missing_ok=True)
        file.with_suffix(".lock").unlink(missing_ok=True)


def _by_use(folder: Path, pattern: str) -> list[tuple[float, int, Path]]:
    """Return time of use, bytes and path of files, oldest first; another run may drop files at the same time."""
    files = []
    for file in folder.glob(pattern):
        with suppress(FileNotFoundError):
            status = file.stat()
            files.append((status.st_mtime, status.st_size, file))
    return sorted(files)


def _header(photos: PreparedPhotos) -> bytes:
    return MAGIC + np.array([len(photos.paths), photos.row], dtype="<u8").tobytes()


def _build(path: Path, photos: PreparedPhotos) -> None:
    part = path.with_suffix(f".part-{os.getpid()}")
    header, count = _header(photos), len(photos.paths)
    checks = np.zeros(count, dtype="<u4")
    try:
        with part.open("wb") as file:
            file.seek(len(header) + 4 * count)
            prepared = in_threads(photos.prepare, range(count))
            for index, pixels in enumerate(progress(prepared, count, "Preparing photos")):
                content = np.ascontiguousarray(pixels).tobytes()
                checks[index] = zlib.crc32(content)
                file.write(content)
            file.seek(0)
            file.write(header + checks.tobytes())
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
