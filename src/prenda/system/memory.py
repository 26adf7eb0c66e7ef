"""Release of unused memory, and how much there is."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path


def release_memory() -> None:
    """Collect garbage, and return the C library's unused memory to the system (glibc only)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def available_memory() -> int | None:
    """Return the bytes that a process can take without swapping; None where the system (no Linux) does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["MemAvailable"].split()[0]) * 1024  # in KiB
