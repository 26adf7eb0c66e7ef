"""Imports of heavy libraries with the garbage collector paused."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from prenda.system.memory import release_memory


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector, which would otherwise scan the imported objects again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def heavy_imports() -> Iterator[None]:
    """Pause the collector, then exempt the imported objects from it: 800,000 of torch and Lightning.

    The collector would otherwise scan them in every epoch, and free them one by one as the process ends. Use this at
    the start of a command: garbage that exists by then would stay too.
    """
    with collector_paused():
        yield
        gc.freeze()
    atexit.register(_leave)


def _leave() -> None:
    """Free the command's objects, but not the libraries, whose memory is freed with the process."""
    release_memory()  # the destructors of NVIDIA's libraries touch 100 MiB
    gc.freeze()
