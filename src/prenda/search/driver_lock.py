"""Lock of a sweep's folder: one driver at a time."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from prenda.errors import ConfigError
from prenda.system.atomic_write import write_atomically

LOCK, HOLDER = ".driver", ".driver.json"  # in a sweep's folder: the lock, and the process that holds it


@contextmanager
def driver_lock(folder: Path) -> Iterator[None]:
    """Lock the sweep's folder against other drivers; remove the folder at the end if the sweep wrote nothing.

    Raises:
        ConfigError: If another process holds the lock, with its host and number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ConfigError(
            f"{_holder(folder)} runs the sweep in {folder}: wait for it, or start another sweep with search.name=…"
        ) from error
    try:
        write_atomically(folder / HOLDER, json.dumps({"host": socket.gethostname(), "process": os.getpid()}))
        yield
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        _remove_if_empty(folder)
        lock.release()


def _holder(folder: Path) -> str:
    """Return who holds the lock, as far as it has said so."""
    try:
        holder = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"Another process ({holder['process']} on {holder['host']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "Another process"


def _remove_if_empty(folder: Path) -> None:
    """Remove the folder while the lock is held: afterwards it may be another driver's."""
    with suppress(OSError):
        if [path.name for path in folder.iterdir()] == [LOCK]:
            (folder / LOCK).unlink()
            folder.rmdir()
