"""Data sets of photos: which files they are, their classes, and the split that each file belongs to."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from prenda.config.paths import home
from prenda.config.schema import DataConfig
from prenda.data.class_mapping import ClassMapping, read_mapping
from prenda.data.contract import DataSet, LabelledImages
from prenda.data.photo_index import Indexed, index_photos
from prenda.data.photo_layout import SPLITS, Labelled, Split, labelled_files
from prenda.data.photo_split import Indices, random_order, split_photos
from prenda.data.stratified import stratified
from prenda.errors import DataError
from prenda.photos.near_duplicates import groups
from prenda.photos.preparation import Kind


@dataclass(frozen=True)
class PhotoSettings:
    """Settings of `data` that decide which photos a run uses, and in which split.

    Attributes:
        val_share, test_share: Shares of the photos of each class, where prenda splits.
        split_seed: Seed of that split.
        max_unreadable: Share of files that may be unreadable.
        mapping: YAML file that merges, renames or drops classes.
    """

    val_share: float = 0.15
    test_share: float = 0.15
    split_seed: int = 0
    max_unreadable: float = 0.1
    mapping: Path | None = None


def photo_settings(data: DataConfig) -> PhotoSettings:
    """Return the settings of `data` that concern photos."""
    mapping = None if data.mapping is None else Path(data.mapping).expanduser()
    return PhotoSettings(data.val_share, data.test_share, data.split_seed, data.max_unreadable, mapping)


@dataclass(frozen=True)
class Skipped:
    """A file that is left out: its name below the data set's folder, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class PhotoFiles:
    """Photos of a data set, sorted by class and then by content.

    Attributes:
        class_names: Names of the classes, in the order of the labels.
        paths: The files.
        names: Their names below the data set's folder, for lists; with `/` between folders.
        digests: SHA-256 of each file, hexadecimal.
        labels: (N,), int64, indices into `class_names`.
        splits: Sorted indices of the photos of each split.
        skipped: Files that cannot be read.
        duplicates: Number of photos that have a near-duplicate.
        leaks: Number of validation and test photos with a near-duplicate in training; 0 where prenda splits.
        translations: Names of the classes in other languages, by language, in the order of the labels.
    """

    class_names: tuple[str, ...]
    paths: tuple[Path, ...]
    names: tuple[str, ...]
    digests: tuple[str, ...]
    labels: Indices
    splits: Mapping[Split, Indices]
    skipped: tuple[Skipped, ...] = ()
    duplicates: int = 0
    leaks: int = 0
    translations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the classes, and of split, class and content of each photo, hexadecimal; its name is left out."""
        lines = [
            f"{split} {self.labels[index]} {self.digests[index]}"
            for split in SPLITS
            for index in self.splits[split].tolist()
        ]
        return hashlib.sha256("\n".join([*self.class_names, *lines]).encode()).hexdigest()

    def counts(self) -> dict[str, dict[Split, int]]:
        """Return the number of photos of each class in each split."""
        by_split = {
            split: np.bincount(self.labels[indices], minlength=len(self.class_names)).tolist()
            for split, indices in self.splits.items()
        }
        return {
            name: {split: by_split[split][label] for split in SPLITS} for label, name in enumerate(self.class_names)
        }

    def of_classes(self, class_names: Sequence[str]) -> PhotoFiles:
        """Return the photos of these classes, whose labels then follow this order; the others stay in no split."""
        new = np.full(len(self.class_names), -1)
        new[[self.class_names.index(name) for name in class_names]] = np.arange(len(class_names))
        labels = new[self.labels]
        splits = {split: indices[labels[indices] >= 0] for split, indices in self.splits.items()}
        translations = {
            language: tuple(texts[self.class_names.index(name)] for name in class_names)
            for language, texts in self.translations.items()
        }
        return replace(self, class_names=tuple(class_names), labels=labels, splits=splits, translations=translations)

    def limited(self, limit: int | None, seed: int) -> PhotoFiles:
        """Return fewer training photos, stratified; a smaller choice is part of a larger one.

        Raises:
            DataError: If there are not so many training photos.
        """
        train = self.splits["train"]
        if limit is None:
            return self
        if limit > len(train):
            raise DataError(
                f"data.limit_train is {limit}, but there are {len(train)} training photos: give at most that many, or "
                "null for all."
            )
        order = train[random_order([self.digests[index] for index in train.tolist()], seed)]
        return replace(self, splits={**self.splits, "train": np.sort(stratified(order, self.labels)[:limit])})


@dataclass(frozen=True)
class PhotoDataSet(DataSet):
    """Base class of data sets of photos, in sub-folders by class; a split is given by folders or made by prenda.

    The names of the classes are those of the folders, after `data.mapping`.
    """

    photos: Kind | None = field(default="pad", kw_only=True)

    @abstractmethod
    def folder(self, data_dir: Path) -> Path:
        """Return the folder of the photos."""

    def files(self, data_dir: Path, settings: PhotoSettings) -> PhotoFiles:
        """Return the photos that `fetch` has fetched, with their classes and splits.

        Raises:
            DataError: If the folder has another layout, too many files cannot be read, or a class has too few photos.
        """
        _check_shares(settings)
        folder = self.folder(data_dir)
        mapping = read_mapping(settings.mapping) if settings.mapping else ClassMapping()
        found = labelled_files(folder)
        mapping.check((file.class_name for file in found), settings.mapping)
        indexed = index_photos(found, folder, photo_cache())
        self.verify(folder, found, indexed)
        kept = [place for place, file in enumerate(found) if mapping.new_name(file.class_name) is not None]
        arranged = _arranged(folder, [found[n] for n in kept], [indexed[n] for n in kept], mapping, settings)
        return replace(arranged, translations=self._translated(arranged.class_names, mapping))

    def _translated(self, class_names: Sequence[str], mapping: ClassMapping) -> dict[str, tuple[str, ...]]:
        """Return the names of the classes in each language: the mapping's, the data set's, or the name itself."""
        texts: dict[str, dict[str, str]] = {
            language: dict(zip(self.class_names, names, strict=True)) for language, names in self.translations.items()
        }
        for language, by_name in mapping.translations.items():
            texts[language] = texts.get(language, {}) | dict(by_name)
        return {
            language: tuple(by_name.get(name, name) for name in class_names)
            for language, by_name in texts.items()
            if by_name.keys() & set(class_names)
        }

    def verify(self, folder: Path, files: Sequence[Labelled], indexed: Sequence[Indexed]) -> None:
        """Raise DataError if the files are not those of the data set; files of the user's own can be any."""

    def load(self, data_dir: Path) -> LabelledImages:
        """Raise TypeError: photos have no common size, and may not fit in memory."""
        raise TypeError("photos are listed by `files`, and read by ImageDataModule")


def photo_cache() -> Path:
    """Return the folder of prenda's cache of photos."""
    return home() / "data" / "cache"


def _arranged(
    folder: Path, files: Sequence[Labelled], indexed: Sequence[Indexed], mapping: ClassMapping, settings: PhotoSettings
) -> PhotoFiles:
    skipped = [Skipped(file.name, one.problem) for file, one in zip(files, indexed, strict=True) if one.problem]
    _check_readable(folder, skipped, len(files), settings.max_unreadable)
    readable = [(file, one) for file, one in zip(files, indexed, strict=True) if not one.problem]
    names = {file.name: mapping.new_name(file.class_name) or "" for file in files}
    class_names = tuple(sorted(set(names.values())))
    if len(class_names) < 2:
        raise DataError(
            f"data.dir is {folder}, whose photos are all of class {class_names[0]!r}: a classifier needs two or more "
            "classes, each in a sub-folder of its own."
        )
    readable.sort(key=lambda entry: (class_names.index(names[entry[0].name]), entry[1].digest, entry[0].name))
    labels = np.array([class_names.index(names[file.name]) for file, _ in readable], dtype=np.int64)
    digests = tuple(one.digest for _, one in readable)
    alike = groups([one.perceptual for _, one in readable])
    if readable[0][0].split is None:
        shares = settings.val_share, settings.test_share
        splits = split_photos(labels, alike, digests, class_names, shares, settings.split_seed)
    else:
        given = np.array([file.split for file, _ in readable])
        splits = {split: np.flatnonzero(given == split) for split in SPLITS}
    _check_splits(folder, labels, splits, class_names)
    sizes = np.bincount(alike)
    leaking = np.isin(alike, alike[splits["train"]])
    return PhotoFiles(
        class_names,
        tuple(file.path for file, _ in readable),
        tuple(file.name for file, _ in readable),
        digests,
        labels,
        splits,
        tuple(skipped),
        int((sizes[alike] > 1).sum()),
        int(sum(leaking[splits[split]].sum() for split in ("val", "test"))),
    )


def _check_shares(settings: PhotoSettings) -> None:
    if settings.val_share + settings.test_share >= 1:
        raise DataError(
            f"data.val_share is {settings.val_share:g} and data.test_share {settings.test_share:g}, which leaves no "
            "photos for training: give shares whose sum is less than 1."
        )


def _check_readable(folder: Path, skipped: Sequence[Skipped], total: int, most: float) -> None:
    if len(skipped) <= most * total:
        return
    first = "; ".join(f"{one.name!r} {one.reason}" for one in skipped[:3])
    raise DataError(
        f"data.dir is {folder}, where {len(skipped)} of {total} files cannot be read as photos ({first}"
        f"{'; …' if len(skipped) > 3 else ''}), but data.max_unreadable is {most:g} of all: repair or remove them, or "
        "give data.max_unreadable=… a larger share."
    )


def _check_splits(folder: Path, labels: Indices, splits: Mapping[Split, Indices], class_names: Sequence[str]) -> None:
    for split in SPLITS:
        absent = set(range(len(class_names))) - set(labels[splits[split]].tolist())
        if absent:
            name = class_names[min(absent)]
            raise DataError(
                f"data.dir is {folder}, where class {name!r} has no photo in {split} that can be read: a class needs "
                "one at least in each of training, validation and test. Add photos, or drop it with data.mapping."
            )
