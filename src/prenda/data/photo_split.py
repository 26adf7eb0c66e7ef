"""Stratified split of photos in which near-duplicates stay together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prenda.data.photo_layout import SPLITS, Split
from prenda.errors import DataError

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """Near-duplicates: photos that must lie in one split.

    Attributes:
        members: Indices of the photos.
        place: Place in the random order: a hash of seed and content.
    """

    members: tuple[int, ...]
    place: str


def split_photos(
    labels: Indices,
    groups: Indices,
    digests: Sequence[str],
    class_names: Sequence[str],
    shares: tuple[float, float],
    seed: int,
) -> dict[Split, Indices]:
    """Return the sorted indices of each split, with the same proportions of classes in each.

    The order depends on the seed and the photos' content alone, so the names of files change nothing.

    Args:
        labels: (N,), the class of each photo.
        groups: (N,), group of near-duplicates of each photo. A group of several classes counts for that of its first.
        digests: SHA-256 of each file.
        class_names: Names of the classes, for errors.
        shares: Shares of validation and test; each class has at least one photo in each.
        seed: `data.split_seed`.

    Raises:
        DataError: If a class has too few photos for three splits.
    """
    taken: dict[Split, list[int]] = {split: [] for split in SPLITS}
    by_class: list[list[Group]] = [[] for _ in class_names]
    for group in _groups(groups, digests, seed):
        by_class[labels[group.members[0]]].append(group)
    for label, of_class in enumerate(by_class):
        _check_enough(class_names[label], len(of_class), int((labels == label).sum()))
        for split, members in _split_class(of_class, shares).items():
            taken[split] += members
    return {split: np.sort(np.array(members, dtype=np.int64)) for split, members in taken.items()}


def random_order(digests: Sequence[str], seed: int) -> list[int]:
    """Return the photos' indices in an order that depends on the seed and their content alone."""
    return sorted(range(len(digests)), key=lambda index: _place(digests[index], seed))


def _groups(groups: Indices, digests: Sequence[str], seed: int) -> list[Group]:
    members: dict[int, list[int]] = {}
    for index, group in enumerate(groups.tolist()):
        members.setdefault(group, []).append(index)
    made = [Group(tuple(of), min(_place(digests[index], seed) for index in of)) for of in members.values()]
    return sorted(made, key=lambda group: group.place)


def _place(digest: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {digest}".encode()).hexdigest()


def _check_enough(name: str, different: int, total: int) -> None:
    if different >= len(SPLITS):
        return
    counted = f"{total} photos" if different == total else f"{total} photos, {different} without near-duplicates"
    raise DataError(
        f"Class {name!r} has {counted}, but training, validation and test need one each: add photos until "
        f"{len(SPLITS)} of them differ, or drop the class with data.mapping. `prenda data check FOLDER` lists all."
    )


def _split_class(groups: list[Group], shares: tuple[float, float]) -> dict[Split, list[int]]:
    total = sum(len(group.members) for group in groups)
    val_share, test_share = shares
    test, rest = _take(groups, total * test_share, left=2)
    val, train = _take(rest, total * val_share, left=1)
    parts: dict[Split, list[Group]] = {"train": train, "val": val, "test": test}
    return {split: [index for group in part for index in group.members] for split, part in parts.items()}


def _take(groups: list[Group], size: float, left: int) -> tuple[list[Group], list[Group]]:
    """Take groups of about `size` photos in all, at least one group, and leave at least `left` groups."""
    taken: list[Group] = []
    count, most = 0, max(1, round(size))
    for group in groups:
        if count + len(group.members) <= most and len(groups) - len(taken) > left:
            taken.append(group)
            count += len(group.members)
    if not taken:
        taken = [min(groups, key=lambda group: len(group.members))]
    chosen = {group.place for group in taken}
    return taken, [group for group in groups if group.place not in chosen]
