"""Data sets, one module each: its name is `data.name`, and its `DATA_SET` fulfils `prenda.data.contract`.

Modules:
    fashion_mnist: Fashion-MNIST, thumbnails of garments.
    mnist: MNIST, handwritten digits.
    kmnist: Kuzushiji-MNIST, cursive Japanese characters.
    clothing: clothing-dataset-small, photos of garments.
    folder: Labelled photos of your own.
    generated: Generated patterns, for trying the program without a download.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING

from prenda.data.contract import DataSet
from prenda.errors import DataError

if TYPE_CHECKING:  # the model card needs no photos
    from prenda.data.photo_files import PhotoSettings


def names() -> list[str]:
    """Return the name of every data set, without importing one."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(name: str) -> DataSet:
    """Return the data set of this name; no other one is imported.

    Raises:
        DataError: If there is no data set of this name, or its module defines none.
    """
    if name not in names():
        raise DataError(f"data.name is {name!r}: choose one of {', '.join(names())}.")
    module = importlib.import_module(f"{__name__}.{name}")
    data_set = getattr(module, "DATA_SET", None)
    if not isinstance(data_set, DataSet):
        raise DataError(
            f"data.name is {name!r}, but {module.__file__} defines no data set: assign DATA_SET there, an instance of "
            "a subclass of prenda.data.contract.DataSet."
        )
    return data_set


def content_identity(name: str, data_dir: Path, photos: PhotoSettings | None = None) -> str | None:
    """Return the content hash of a data set whose name does not fix its images, and None for any other.

    The name does not fix them either where `data.mapping` changes the classes: the content of its file counts.

    Two runs on such a data set are on the same images if this is equal, wherever the files lie. The images are read
    each time, so that a changed file is never taken for the old one.

    Raises:
        DataError: If there is no such data set, or its images cannot be had.
    """
    from prenda.data.photo_files import PhotoDataSet, PhotoSettings

    data_set, photos = find(name), photos or PhotoSettings()
    if data_set.content_is_fixed and photos.mapping is None:
        return None
    data_set.fetch(data_dir)
    if isinstance(data_set, PhotoDataSet):
        return data_set.files(data_dir, photos).content_hash
    return data_set.load(data_dir).content_hash
