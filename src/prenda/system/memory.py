"""Release of unused memory."""

from __future__ import annotations

import ctypes
import gc


def release_memory() -> None:
    """Collect garbage, and return the C library's unused memory to the system (glibc only)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
