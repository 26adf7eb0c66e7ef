"""Memory that nobody uses any more."""

from __future__ import annotations

import ctypes
import gc


def release_memory() -> None:
    """Lets go of garbage, and gives the memory that the C library keeps for later back to the system (glibc only)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
