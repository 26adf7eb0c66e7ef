"""SHA-256 of a checkpoint, stored in the file as the comment of its zip archive.

One file holds both, so an atomic write cannot leave one without the other. Readers of zip archives, such as torch, skip
the comment.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

MARK = b"prenda sha256 "  # start of the comment, which ends the file
COMMENT = len(MARK) + 64  # bytes
LENGTH = 2  # bytes before the comment of a zip archive that give its length


def add_digest(archive: io.BytesIO) -> None:
    """Append the SHA-256 to a zip archive without a comment, as `torch.save` writes it."""
    hashed = archive.seek(-LENGTH, io.SEEK_END)
    comment = MARK + _digest(archive, hashed).encode()
    archive.seek(hashed)
    archive.write(len(comment).to_bytes(LENGTH, "little") + comment)


def damage(path: Path) -> str:
    """Return how the bytes of a checkpoint are damaged; empty if they are not, or if the file is no zip archive.

    Raises:
        OSError: If the file exists but cannot be read.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return "it is missing"
    with file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - COMMENT))
        comment = file.read()
        if comment.startswith(MARK):
            actual, recorded = _digest(file, size - COMMENT - LENGTH), comment[len(MARK) :].decode("ascii", "replace")
            return "" if actual == recorded else f"its SHA-256 is {actual[:12]}…, not {recorded[:12]}…"
        file.seek(0)
        return _damage_of_archive(file) if file.read(2) == b"PK" else ""


def _digest(file: BinaryIO, size: int) -> str:
    """Return the SHA-256 of the first bytes of a file."""
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0 and (part := file.read(min(size, 2**20))):
        digest.update(part)
        size -= len(part)
    return digest.hexdigest()


def _damage_of_archive(file: BinaryIO) -> str:
    """Check a zip archive by its own checksums, because earlier versions wrote no SHA-256."""
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.comment:
                return "its SHA-256 is incomplete"
            member = archive.testzip()
    # RuntimeError: of a password, and of a compression that zipfile does not know.
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError) as error:
        return str(error) or type(error).__name__
    return "" if member is None else f"the checksum of {member} in it is wrong"
