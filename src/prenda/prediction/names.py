"""File names in outputs and as names of folders.

A file name may hold any byte but `/` and NUL: line breaks, escape sequences of terminals, bytes that are no UTF-8.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

LONGEST = 80  # characters of a folder's name; file systems allow 255 bytes
FORBIDDEN = '<>:"/\\|?*'  # on one of the common file systems
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}


def recorded(path: Path | str) -> str:
    r"""Return a path as outputs name it: as it is, but `\xff` for bytes that are no UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def folder_names(labels: Sequence[str]) -> list[str]:
    """Return a folder's name for each label: one level, allowed on every common system, different for each.

    `T-shirt/top` becomes `T-shirt-top`. Names that would become the same, also where capitals do not count, are
    numbered: `top`, `top (2)`.
    """
    names: list[str] = []
    used: set[str] = set()
    for label in labels:
        plain = _folder_name(label)
        name = next(each for each in numbered(plain) if each.casefold() not in used)
        used.add(name.casefold())
        names.append(name)
    return names


def numbered(name: str, suffix: str = "") -> Iterator[str]:
    """Yield `name`, `name (2)`, `name (3)`, …, each with the suffix."""
    yield name + suffix
    for number in itertools.count(2):
        yield f"{name} ({number}){suffix}"


def _folder_name(label: str) -> str:
    name = "".join("-" if c in FORBIDDEN or not c.isprintable() else c for c in label)
    name = name[:LONGEST].strip(" .")  # Windows drops them at the end, and a dot hides a folder at the start
    if not name:
        return "class"
    return f"{name}_" if name.partition(".")[0].casefold() in RESERVED else name
