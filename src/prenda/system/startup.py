"""Imports of large libraries, which make much that stays and no garbage."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from prenda.system.memory import release_memory


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector, which would search imported objects again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def heavy_imports() -> Iterator[None]:
    """Pause the collector, then exempt from it for good what was imported: 800,000 objects of torch and Lightning.

    It would look through them in every epoch, and take them apart one by one as the process ends. For the start of a
    command, before there is garbage, which would stay too.
    """
    with collector_paused():
        yield
        gc.freeze()
    atexit.register(_leave)


def _leave() -> None:
    """Lets go of what the command made, and leaves the libraries, whose memory goes with the process."""
    release_memory()  # the destructors of NVIDIA's libraries will touch 100 MiB
    gc.freeze()
