"""Check of a folder of labelled photos before training, for `prenda data check FOLDER`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from prenda.data.photo_files import photo_cache
from prenda.data.photo_index import DRAFT, Indexed, index_photos
from prenda.data.photo_layout import SPLITS, Labelled, labelled_files
from prenda.photos.decode import decode
from prenda.photos.near_duplicates import MOST_BITS_CROPPED, groups, thumbnail
from prenda.report import terminal
from prenda.report.page import Table

MOST = 20  # lines of each kind


def check(console: Console, folder: Path) -> None:
    """Print the photos of each class, files that cannot be read, and near-duplicates in different classes.

    Raises:
        DataError: If the folder has no sub-folders with photos.
    """
    files = labelled_files(folder)
    indexed = index_photos(files, folder, photo_cache())
    readable = [(file, one) for file, one in zip(files, indexed, strict=True) if one.problem is None]
    alike = _groups(readable)
    unreadable = [f"{file.name!r} {one.problem}" for file, one in zip(files, indexed, strict=True) if one.problem]
    title = f"{folder}: {len(readable):,} photos"
    terminal.show_table(console, title, _class_table(files, readable, alike))
    _show(console, "Cannot be read, and would be skipped:", unreadable)
    _show(console, "Look the same, but are in different classes:", list(_conflicts(readable, alike)))


def _groups(readable: Sequence[tuple[Labelled, Indexed]]) -> list[int]:
    """Return the group of each photo. Copies that were cropped a little count too, as they do not for a split."""

    @cache
    def small(place: int) -> NDArray[np.float64]:
        return thumbnail(decode(readable[place][0].path, draft=DRAFT).image)

    hashes = [one.perceptual for _, one in readable]
    found: list[int] = groups(hashes, MOST_BITS_CROPPED, small).tolist()
    return found


def _class_table(
    files: Sequence[Labelled], readable: Sequence[tuple[Labelled, Indexed]], alike: Sequence[int]
) -> Table:
    rows = []
    for name in sorted({file.class_name for file in files}):
        of_class = [group for (file, _), group in zip(readable, alike, strict=True) if file.class_name == name]
        different = len(set(of_class))
        total = sum(file.class_name == name for file in files)
        enough = "" if different >= len(SPLITS) else f"needs at least {len(SPLITS)}"
        rows.append((name, f"{len(of_class):,}", f"{different:,}", f"{total - len(of_class):,}", enough))
    return Table(("class", "photos", "that differ", "unreadable", ""), rows)


def _conflicts(readable: Sequence[tuple[Labelled, Indexed]], alike: Sequence[int]) -> Iterator[str]:
    order = np.argsort(alike, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(np.array(alike)[order])) + 1):
        found = [readable[index][0] for index in members.tolist()]
        if len({file.class_name for file in found}) > 1:
            yield ", ".join(repr(file.name) for file in found)


def _show(console: Console, title: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    more = [f"… and {len(lines) - MOST:,} more"] if len(lines) > MOST else []
    for line in (f"\n{title}", *(f"  {line}" for line in lines[:MOST]), *more):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
