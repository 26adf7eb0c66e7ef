"""Photos in one folder for each type of garment, and one for those of which the model is unsure."""

from __future__ import annotations

import contextlib
import filecmp
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from prenda.prediction.names import folder_names

PART = ".prenda-"  # start of the name of a copy that is not complete
ABANDONED = 3600  # seconds without a change after which it belongs to no process


class Sorter:
    """Copies photos into `folder`/TYPE/, or links them. Nothing is overwritten, moved or deleted.

    A photo whose copy or link is already there is left alone, so the same command can be run again. A photo that has
    the name of another one gets a number: `dress.jpg`, `dress (2).jpg`.

    Args:
        folder: Folder of the folders; it is made if it is missing.
        labels: Names of all types.
        unsure: The word for unsure in the language of `labels`.
        link: Make symbolic links instead of copies.
    """

    def __init__(self, folder: Path, labels: Sequence[str], unsure: str, link: bool = False) -> None:
        self.folder, self.link = folder, link
        self._unsure, *names = folder_names([unsure, *labels])
        self._names = dict(zip(labels, names, strict=True))
        # Numbers that photos of this command have taken beside a name, and the first that none has taken. With a folder
        # for each product, ten thousand photos may be called 1.jpg.
        self._numbers: dict[Path, tuple[set[int], int]] = {}
        self._ready: set[Path] = set()  # folders of types
        self._last_parent: Path | None = None
        self._inside = False

    def holds(self, photo: Path) -> bool:
        """Return whether a photo lies in the sorted folder itself, as the copies of an earlier command do."""
        if self._last_parent != photo.parent:  # a folder's photos come one after the other
            self._last_parent, self._inside = photo.parent, photo.parent.resolve().is_relative_to(self.folder.resolve())
        return self._inside

    def place(self, photo: Path, label: str | None) -> Path:
        """Copy or link a photo into the folder of a type, or of unsure for None; return the path of the copy or link.

        Raises:
            OSError: If the photo cannot be read or the folder cannot be written.
        """
        folder = self.folder / (self._unsure if label is None else self._names[label])
        if folder not in self._ready:
            folder.mkdir(parents=True, exist_ok=True)
            _delete_abandoned(folder)
            self._ready.add(folder)
        target = folder / photo.name
        if self._takes(target, photo):
            return target
        mine, first = self._numbers.get(target, (set(), 2))
        free = (number for number in itertools.count(first) if number not in mine)
        number = next(number for number in free if self._takes(_numbered(target, number), photo))
        mine.add(number)
        while first in mine:
            mine.remove(first)
            first += 1
        self._numbers[target] = mine, first
        return _numbered(target, number)

    def _takes(self, target: Path, photo: Path) -> bool:
        """Add the photo under this name if nothing has it; return whether it is there then."""
        with contextlib.suppress(FileExistsError):
            if not _occupied(target):
                self._add(photo, target)
                return True
        if target.is_symlink():
            return target.resolve() == photo.resolve()
        return target.is_file() and filecmp.cmp(photo, target, shallow=False)

    def _add(self, photo: Path, target: Path) -> None:
        """Raise FileExistsError if another process has made the target in between."""
        if self.link:
            target.symlink_to(photo.resolve())
            return
        handle, part = tempfile.mkstemp(prefix=PART, dir=target.parent)
        os.close(handle)
        try:
            shutil.copyfile(photo, part)
            shutil.copystat(photo, part)  # with the modification time, by which shops sort their photos
            _rename_new(Path(part), target)
        finally:
            Path(part).unlink(missing_ok=True)


def _delete_abandoned(folder: Path) -> None:
    """Delete copies that killed commands left incomplete."""
    for part in folder.glob(f"{PART}*"):
        with contextlib.suppress(FileNotFoundError):  # another command was first
            if time.time() - part.lstat().st_ctime > ABANDONED:  # a copy has the photo's modification time
                part.unlink()


def _numbered(target: Path, number: int) -> Path:
    return target.with_name(f"{target.stem} ({number}){target.suffix}")


def _rename_new(part: Path, target: Path) -> None:
    """Rename a file to a name that nothing has; a plain rename would replace what has it."""
    try:
        target.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if _occupied(target):
            raise FileExistsError(target) from None
        part.rename(target)


def _occupied(path: Path) -> bool:
    return path.is_symlink() or path.exists()
