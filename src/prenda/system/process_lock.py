"""Lock that one process at a time holds, with a note that says which one."""

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
    """Hold a lock. The system releases that of a process that dies; the same thread may enter again.

    Args:
        lock: The lock's file.
        note: File that names the process while it holds the lock.
        busy: Called with "process 12 on host" if another process holds the lock; an error that it raises ends the
            attempt, else that process is waited for.
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
    """Return who holds the lock, as far as it has said so."""
    with suppress(OSError):
        return note.read_text(encoding="utf-8") or "another process"
    return "another process"
