"""Files of answers, written atomically and resumed after an interruption.

While a prediction runs, its answers are lines of JSON in `FILE.part` beside the file, whatever the file's format. The
first line says which model, photos and options they are of. The file itself is written from them at the end.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from prenda.errors import UserError
from prenda.prediction import formats
from prenda.prediction.answer import Answer


class Output:
    """A file of answers that is being written; made by `opened`.

    Attributes:
        path: The file.
        total: Number of answers so far, with those that an interrupted prediction has left.
    """

    def __init__(self, path: Path, part: IO[bytes], total: int) -> None:
        self.path, self.total = path, total
        self._part = part
        self._left = total  # to be skipped

    def kept(self, photo: str) -> dict[str, Any] | None:
        """Return the answer that the next photo has already; None if it has none.

        Raises:
            UserError: If another photo stood in its place.
        """
        if not self._left:
            return None
        self._left -= 1
        row = _row(self._part.readline(), part_of(self.path))
        if row["photo"] != photo:
            raise UserError(
                f"{part_of(self.path)} holds answers of an interrupted prediction, but not of these photos: where "
                f"{row['photo']!r} was, there is {photo!r}. Restore the photos, or delete the file to begin anew."
            )
        return row

    def add(self, row: Mapping[str, Any]) -> None:
        """Keep an answer, so that it survives an interruption."""
        self._part.write(formats.line(row))
        self._part.flush()
        self.total += 1

    def finish(self, top: int) -> None:
        """Write the file from all answers, in place of an older one, and delete `FILE.part`.

        Raises:
            UserError: If the interrupted prediction had more photos than there are now.
        """
        if self._left:
            raise UserError(
                f"{part_of(self.path)} holds {self._left:,} answers more than there are photos: restore the photos, or "
                "delete the file to begin anew."
            )
        new = self.path.with_name(f".{self.path.name}.new")
        try:
            formats.write(new, self.path.suffix.lower(), self._rows(), top)
            with new.open("rb") as file:
                os.fsync(file.fileno())
            new.replace(self.path)
        finally:
            new.unlink(missing_ok=True)
        self._part.close()
        part_of(self.path).unlink()

    def _rows(self) -> Iterator[dict[str, Any]]:
        with part_of(self.path).open("rb") as file:
            file.readline()
            for line in file:
                yield _row(line, part_of(self.path))


def check(path: Path) -> None:
    """Raise UserError if a file cannot have this name or place."""
    if path.suffix.lower() not in formats.SUFFIXES:
        raise UserError(f"--output is {str(path)!r}: give a name that ends with {', '.join(formats.SUFFIXES)}.")
    if path.is_dir():
        raise UserError(f"--output is {str(path)!r}, which is a folder: give the name of a file in it.")
    if not path.parent.is_dir():
        raise UserError(f"--output is {str(path)!r}, but there is no folder {str(path.parent)!r}: make it first.")
    if path.suffix.lower() == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise UserError(
            f"--output is {str(path)!r}, which needs pyarrow: install pyarrow, or give a name that ends with .csv or "
            ".jsonl."
        )


@contextmanager
def opened(path: Path, origin: Mapping[str, Any]) -> Iterator[Output]:
    """Open an output, with the answers that an interrupted prediction left in `FILE.part`.

    Args:
        path: File of the answers.
        origin: What the answers are of, in plain types: model, photos, options.

    Raises:
        UserError: If another process writes it, or the answers that are there are of something else.
    """
    lock = path.with_name(f".{path.name}.lock")
    try:
        with FileLock(lock, timeout=0):
            try:
                with _opened(part_of(path), origin) as output:
                    yield output
            finally:
                lock.unlink(missing_ok=True)
    except Timeout:
        raise UserError(
            f"--output is {str(path)!r}, which another prediction is writing: wait for its end, or give another name."
        ) from None


def part_of(path: Path) -> Path:
    """Return the path of the answers of an unfinished prediction."""
    return path.with_name(f"{path.name}.part")


@contextmanager
def _opened(part: Path, origin: Mapping[str, Any]) -> Iterator[Output]:
    done = _kept(part, origin) if part.exists() else None
    with part.open("w+b" if done is None else "r+b") as file:
        if done is None:
            file.write(formats.line({"prenda": origin}))
            file.flush()
        else:
            file.readline()
        output = Output(part.with_suffix(""), file, done or 0)
        try:
            yield output
        finally:
            if not output.total:
                part.unlink(missing_ok=True)


def _kept(part: Path, origin: Mapping[str, Any]) -> int | None:
    """Return the number of complete answers, after cutting off an incomplete one; None if there is not one line."""
    with part.open("r+b") as file:
        first = file.readline()
        if not first.endswith(b"\n"):
            return None
        kept = _origin(first, part)
        changed = [name for name in origin if kept.get(name) != origin[name]]
        if changed:
            raise UserError(
                f"{part} holds answers of an interrupted prediction with other {' and '.join(changed)}: give the same "
                "command to go on with it, or delete the file to begin anew."
            )
        end, done = file.tell(), 0
        for line in file:
            if not line.endswith(b"\n"):
                break
            end, done = end + len(line), done + 1
        file.truncate(end)
    return done


def _origin(line: bytes, part: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(line)["prenda"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(
            f"{part} is in the way: it is not of a prediction. Move it, or give another --output."
        ) from error


def _row(line: bytes, part: Path) -> dict[str, Any]:
    """Return an answer.

    Raises:
        UserError: If the line is none: the file has been changed.
    """
    try:
        return Answer.from_plain(json.loads(line)).as_plain()
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(
            f"{part} is damaged (the line {line[:40].decode(errors='replace')!r} is no answer): delete the file to "
            "begin anew."
        ) from error
