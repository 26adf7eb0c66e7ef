"""Atomic writes of files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, content: str | bytes | memoryview) -> None:
    """Write a file atomically; text is UTF-8. See `replacing`."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file beside `path`, which replaces it at the end of the block, once it is on the disk.

    A process that is killed leaves the old file or the new one, never a part.

    Raises:
        OSError: If the disk is full or the folder cannot be written; the old file is then untouched.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
