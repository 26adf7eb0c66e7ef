"""Photos that the arguments of a command name: files, folders, patterns, and lists on standard input."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prenda.errors import Message
from prenda.photos.decode import EXTENSIONS
from prenda.photos.messages import message

STANDARD_INPUT = "-"
MAGIC = re.compile(r"[*?\[]")
KNOWN_EXTENSIONS = frozenset(extension for names in EXTENSIONS.values() for extension in names) | {
    ".heic", ".heif", ".avif", ".psd", ".jp2", ".jxl",
}  # fmt: skip  # those below are not read: `decode` says what to do, where silence would lose a photo


@dataclass(frozen=True)
class Found:
    """A photo that was named, or an argument that names none.

    Attributes:
        path: The file.
        name: The path for display, on one line: control characters are escaped, bytes that are no UTF-8 too.
        error: Why there is no photo, as the end of a sentence about the name; None if there is a file.
    """

    path: Path
    name: str
    error: Message | None = None


def find(arguments: Sequence[str]) -> Iterator[Found]:
    """Yield the photos that the arguments name, in the arguments' order, each file once.

    An argument is a file, which is tried whatever its extension; a folder, searched with its sub-folders in natural
    order, without hidden files and other extensions; a glob pattern (`**` for any folders), if no file has that name;
    or `-`: paths on standard input, separated by NUL if it holds one, else by line ends. Files are not opened.
    """
    seen: set[int] = set()
    for path, problem in _named(arguments):
        found, identity = _checked(path, problem)
        if identity is None or identity not in seen:
            yield found
        if identity is not None:
            seen.add(identity)


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts numbers inside names by value: photo 2 before photo 10."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return tuple((int(part[:4000]), part) if number % 2 else (0, part) for number, part in enumerate(parts))


def shown(path: Path) -> str:
    """Return the path on one line, in characters that any terminal and any UTF-8 file takes."""
    text = os.fsencode(path).decode("utf-8", errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _named(arguments: Sequence[str]) -> Iterator[tuple[Path, Message | None]]:
    """Yield the paths behind the arguments, each with what is already known to be wrong with it."""
    for argument in arguments:
        if argument == STANDARD_INPUT:
            for line in _standard_input():
                yield from _expanded(Path(line))
        elif os.path.lexists(argument) or not MAGIC.search(argument):
            yield from _expanded(Path(argument))
        else:
            matches = _matches(Path(argument))
            for match in matches:
                yield from _expanded(match)
            if not matches:
                yield Path(argument), message("no_match")


def _standard_input() -> Iterator[str]:
    """Yield paths from standard input, decoded as file names are: they may hold any bytes."""
    content = sys.stdin.buffer.read()
    separator = b"\0" if b"\0" in content else b"\n"
    for line in content.split(separator):
        name = line if separator == b"\0" else line.removesuffix(b"\r")
        if name:
            yield os.fsdecode(name)


def _matches(pattern: Path) -> list[Path]:
    """Return the folders and the photos that match, in natural order; hidden ones only if the pattern is so too."""
    wanted = {part for part in pattern.parts if part.startswith(".")}
    root = Path(pattern.anchor)
    try:
        found = list(root.glob(str(pattern.relative_to(root))))
    except (ValueError, OSError):
        return []
    kept = []
    for path in found:
        hidden = {part for part in path.parts if part.startswith(".")} - wanted
        known = path.suffix.lower() in KNOWN_EXTENSIONS or path.suffix == pattern.suffix != ""
        if (not hidden or pattern.name.startswith(".")) and (known or _is_folder(path)):
            kept.append(path)
    return sorted(kept, key=lambda path: natural_key(str(path)))


def _expanded(path: Path) -> Iterator[tuple[Path, Message | None]]:
    if not _is_folder(path):
        yield path, None
        return
    empty = True
    for inside in _walk(path):
        empty = False
        yield inside
    if empty:
        yield path, message("empty_folder")


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _walk(folder: Path) -> Iterator[tuple[Path, Message | None]]:
    """Yield the photos of a folder and its sub-folders; links to folders are not followed."""
    stack = [(folder, True)]
    while stack:
        path, is_folder = stack.pop()
        if not is_folder:
            yield path, None
            continue
        try:
            inside = _listed(path)
        except OSError as problem:
            yield path, message("unreadable_folder", reason=problem.strerror)
        else:
            stack += reversed(inside)


def _listed(folder: Path) -> list[tuple[Path, bool]]:
    """Return the sub-folders and photos in a folder, in natural order, and which of them are folders."""
    with os.scandir(folder) as entries:
        found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    found.sort(key=lambda entry: natural_key(entry[0]))
    return [
        (folder / name, is_folder)
        for name, is_folder in found
        if not name.startswith(".") and (is_folder or Path(name).suffix.lower() in KNOWN_EXTENSIONS)
    ]


def _checked(path: Path, error: Message | None) -> tuple[Found, int | None]:
    """Return what was found, and the file's identity: a path may lead to a file that another one has led to."""
    identity = None
    try:
        if error is None:
            status = path.stat()
            identity = hash((status.st_dev, status.st_ino))
            if not os.access(path, os.R_OK):
                error = message("no_permission")
    except FileNotFoundError:
        error = message("broken_link" if path.is_symlink() else "absent")
    except (OSError, ValueError) as problem:
        error = message("unreadable", reason=getattr(problem, "strerror", None) or problem)
    return Found(path, shown(path), error), identity
