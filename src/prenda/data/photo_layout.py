"""Layout of a folder of labelled photos: one sub-folder a class, or such folders for each split."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prenda.errors import DataError
from prenda.photos.find import find

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
# Names of the split folders; the first of each is the one that texts name.
FOLDERS: dict[Split, tuple[str, ...]] = {"train": ("train",), "val": ("validation", "val", "valid"), "test": ("test",)}
NEEDED = "one sub-folder for each class, with its photos inside"


@dataclass(frozen=True)
class Labelled:
    """A file in the folder of a class.

    Attributes:
        path: The file.
        name: Its name below the data set's folder, with `/` between folders.
        class_name: Name of the class's folder.
        split: The split that its folder gives; None if prenda is to split.
        problem: Why it cannot be read, as far as is known without opening it.
    """

    path: Path
    name: str
    class_name: str
    split: Split | None
    problem: str | None


def unusable(name: str) -> str:
    """Return what no name of a class may have, because files, terminals and MLflow keep no such text; else empty."""
    kinds = {unicodedata.category(character) for character in name}
    if "Cs" in kinds:  # of bytes that are no UTF-8 (PEP 383)
        return "bytes that are no UTF-8"
    return "control characters or line breaks" if kinds & {"Cc", "Zl", "Zp"} else ""


def labelled_files(folder: Path) -> list[Labelled]:
    """Return the files of all classes; hidden files and folders are left out.

    Raises:
        DataError: If there is no such folder, it has no sub-folders, part of the splits, or a class without photos.
    """
    children = _children(folder)
    splits = _split_folders(folder, children)
    parts: list[tuple[Split | None, Path]] = [*splits.items()] if splits else [(None, folder)]
    return [labelled for split, part in parts for labelled in _of_classes(folder, part, split)]


def _children(folder: Path) -> list[Path]:
    try:
        children = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    except OSError as error:
        raise DataError(
            f"data.dir is {folder}, which cannot be read ({error.strerror}): give data.dir=… a folder with {NEEDED}."
        ) from error
    if not children:
        raise DataError(f"data.dir is {folder}, which has no sub-folder: it needs {NEEDED}.")
    return children


def _split_folders(folder: Path, children: list[Path]) -> dict[Split, Path]:
    """Return the folder of each split; empty if the folders are classes."""
    by_split = {split: [child for child in children if child.name in names] for split, names in FOLDERS.items()}
    named = [child for split in SPLITS for child in by_split[split]]
    if not named:
        return {}
    if len(named) != len(SPLITS) or not all(by_split.values()) or len(children) != len(named):
        has = ", ".join(child.name for child in children)
        raise DataError(
            f"data.dir is {folder}, which has the sub-folders {has}: give train, validation and test, all three and "
            f"nothing beside them, or {NEEDED} and none of these names."
        )
    return {split: by_split[split][0] for split in SPLITS}


def _of_classes(folder: Path, part: Path, split: Split | None) -> Iterator[Labelled]:
    for class_folder in _children(part):
        if problem := unusable(class_folder.name):
            raise DataError(
                f"data.dir is {folder}, where the name of the folder {class_folder.name!r} has {problem}: rename it."
            )
        for found in find([str(class_folder)]):
            if found.path == class_folder:
                raise DataError(
                    f"data.dir is {folder}, where {class_folder.relative_to(folder).as_posix()!r} {found.error}: put "
                    "the photos of a class there, or remove it."
                )
            name = found.path.relative_to(folder).as_posix()
            yield Labelled(found.path, name, class_folder.name, split, found.error)
