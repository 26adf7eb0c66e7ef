"""Damage to checkpoints, as a failing disk or an incomplete copy leaves it."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

from prenda.training.checkpoint_digest import COMMENT, LENGTH


def overwrite_weights(path: Path, count: int = 400) -> None:
    """Overwrite bytes in the middle of a checkpoint's largest tensor."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
    content = bytearray(path.read_bytes())
    lengths = struct.unpack_from("<HH", content, largest.header_offset + 26)  # of the name, of the extra field
    middle = largest.header_offset + 30 + sum(lengths) + (largest.file_size - count) // 2
    content[middle : middle + count] = b"\x5a" * count
    path.write_bytes(content)


def remove_digest(path: Path) -> None:
    """Make a checkpoint as version 0.1.0 wrote it."""
    path.write_bytes(path.read_bytes()[: -COMMENT - LENGTH] + bytes(LENGTH))
