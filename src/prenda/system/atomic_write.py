"""Atomic writes of files."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomically(path: Path, content: str | bytes | memoryview) -> None:
    """Write a file atomically: into a file beside it, which replaces it once it is on the disk. Text is UTF-8.

    A process that is killed leaves the old file or the new one, never a part.

    Raises:
        OSError: If the disk is full or the folder cannot be written; the old file is then untouched.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
