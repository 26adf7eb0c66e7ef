"""Index of a folder's photos: what each file holds, and why a file cannot be read. Kept between runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from prenda.data.parallel import in_threads, progress
from prenda.data.photo_layout import Labelled
from prenda.errors import DataError, PhotoError
from prenda.photos.decode import decode, read
from prenda.photos.near_duplicates import perceptual_hash
from prenda.system.atomic_write import write_atomically

VERSION = 1  # of the index: of decoding and of the perceptual hash
DRAFT = 32  # pixels of the shorter side that suffice for the perceptual hash


@dataclass(frozen=True)
class Indexed:
    """Content of one file.

    Attributes:
        size, modified, changed: State of the file, in bytes and nanoseconds; any write changes the last one.
        digest: SHA-256 of its bytes, hexadecimal.
        perceptual: Perceptual hash, 64 bits; 0 if it cannot be read.
        problem: Why it cannot be read; None if it can.
    """

    size: int
    modified: int
    changed: int
    digest: str
    perceptual: int
    problem: str | None


def index_photos(files: Sequence[Labelled], folder: Path, cache: Path) -> list[Indexed]:
    """Return the content of each file; only files that are new or have changed are read.

    Args:
        files: Files of the data set.
        folder: Folder of the data set.
        cache: Folder of prenda's cache, where the index is kept.
    """
    path = cache / f"index-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]}.json"
    known = _read(path)
    result: list[Indexed] = []
    try:
        indexed = in_threads(lambda file: _index(file, known.get(file.name)), files)
        result.extend(progress(indexed, len(files), "Reading photos"))
    finally:  # if it is interrupted, the next one reads the rest
        entries = {file.name: one for file, one in zip(files, result, strict=False)}
        complete = len(result) == len(files)
        if entries != known:
            _write(path, entries if complete else known | entries)
    return result


def _index(file: Labelled, known: Indexed | None) -> Indexed:
    if file.problem is not None:
        return Indexed(0, 0, 0, "", 0, file.problem)
    try:
        status = file.path.stat()
        state = status.st_size, status.st_mtime_ns, status.st_ctime_ns
        if known is not None and (known.size, known.modified, known.changed) == state:
            return known
        content = read(file.path)
    except OSError as error:
        return Indexed(0, 0, 0, "", 0, f"cannot be read ({error.strerror})")
    except PhotoError as error:
        return Indexed(0, 0, 0, "", 0, str(error))
    digest = hashlib.sha256(content).hexdigest()
    try:
        return Indexed(*state, digest, perceptual_hash(decode(content, draft=DRAFT).image), None)
    except PhotoError as error:
        return Indexed(*state, digest, 0, str(error))


def _read(path: Path) -> dict[str, Indexed]:
    try:
        content = json.loads(path.read_bytes())
        if content["version"] != VERSION:
            return {}
        return {name: _checked(Indexed(*entry)) for name, entry in content["photos"].items()}
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ):  # none yet, or damaged: it is made again
        return {}


def _checked(entry: Indexed) -> Indexed:
    """Return an entry of the index; raise TypeError if a value is of another type than `index_photos` writes."""
    numbers = (entry.size, entry.modified, entry.changed, entry.perceptual)
    is_text = isinstance(entry.digest, str) and isinstance(entry.problem, str | None)
    if not (is_text and all(isinstance(number, int) for number in numbers)):
        raise TypeError(f"{entry} is no entry of the index")
    return entry


def _write(path: Path, entries: dict[str, Indexed]) -> None:
    content = {"version": VERSION, "photos": {name: astuple(one) for name, one in entries.items()}}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(content))
    except OSError as error:
        raise DataError(
            f"The cache of photos in {path.parent} cannot be written ({error.strerror}): make room there, or set "
            "PRENDA_HOME to a folder that can be written."
        ) from error
