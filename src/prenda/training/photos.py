"""Photos of a run: which file is which image, files that were left out, and the sizes of the classes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from prenda.data.datamodule import ImageDataModule
from prenda.data.photo_files import PhotoFiles
from prenda.data.photo_layout import SPLITS, Split
from prenda.report import terminal
from prenda.report.page import Table
from prenda.system.atomic_write import write_atomically
from prenda.system.foreign_text import cell

IMAGES, UNREADABLE = Path("photos/images.csv"), Path("photos/unreadable.csv")
IMBALANCE = 3  # times as many training photos in the largest class as in the smallest


def record_photos(console: Console, data: ImageDataModule, folder: Path) -> None:
    """Write the lists of a run's photos and show the sizes of its classes; other data sets have neither.

    The lists name files relative to the data set's folder.
    """
    if data.files is None:
        return
    files, counts = data.files, data.files.counts()
    _write(folder / IMAGES, ("split", "image", "class", "photo"), _images(files))
    if files.skipped:
        _write(folder / UNREADABLE, ("photo", "reason"), ((one.name, one.reason) for one in files.skipped))
    rows = [(name, *(f"{sizes[split]:,}" for split in SPLITS)) for name, sizes in counts.items()]
    terminal.show_table(console, f"Photos of {data.data_name}", Table(("class", *SPLITS), rows))
    for remark in (_skipped(files, folder), _leaks(files), _imbalance(counts, data.balance)):
        if remark:
            console.print(remark, soft_wrap=True, highlight=False, markup=False)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(columns)
    table.writerows(map(cell, row) for row in rows)
    write_atomically(path, text.getvalue().encode("utf-8", "backslashreplace"))  # a file's name may be no UTF-8


def _images(files: PhotoFiles) -> Iterator[tuple[str, int, str, str]]:
    for split in SPLITS:
        for number, index in enumerate(files.splits[split].tolist()):
            yield split, number, files.class_names[files.labels[index]], files.names[index]


def _skipped(files: PhotoFiles, folder: Path) -> str:
    count, place = len(files.skipped), terminal.relative(folder / UNREADABLE)
    return f"Skipped files that cannot be read: {count}, listed in {place}." if count else ""


def _leaks(files: PhotoFiles) -> str:
    count = files.leaks
    return f"Validation and test photos with a near-duplicate among the training photos: {count}." if count else ""


def _imbalance(counts: Mapping[str, Mapping[Split, int]], balance: str) -> str:
    sizes = {name: of_class["train"] for name, of_class in counts.items()}
    largest, smallest = max(sizes, key=sizes.__getitem__), min(sizes, key=sizes.__getitem__)
    if sizes[largest] < IMBALANCE * max(1, sizes[smallest]):
        return ""
    handled = f"data.balance is {balance}."
    if balance == "none":
        handled = "data.balance=loss or data.balance=sampler gives every class the same weight."
    return f"{largest!r} has {sizes[largest]:,} training photos, {smallest!r} {sizes[smallest]:,}. {handled}"
