"""Lock that one process at a time holds, with a note that names the process."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from prenda.system.atomic_write import write_atomically


@contextmanager
def process_lock(lock: Path, note: Path, busy: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock. The system releases the lock of a process that dies. The same thread may enter again.

    Args:
        lock: The lock's file.
        note: File that names the process while it holds the lock.
        busy: Function that is called with "process 12 on host" if another process holds the lock. If it raises no
            error, the lock is waited for.
    """
    held = FileLock(lock, is_singleton=True)
    try:
        held.acquire(timeout=0)
    except Timeout:
        busy(_holder(note))
        held.acquire()
    try:
        if held.lock_counter == 1:
            write_atomically(note, f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        if held.lock_counter == 1:
            note.unlink(missing_ok=True)
        held.release()


def _holder(note: Path) -> str:
    """Return the process that holds the lock, as its note names it."""
    with suppress(OSError):
        return note.read_text(encoding="utf-8") or "another process"
    return "another process"
