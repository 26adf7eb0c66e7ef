"""Imports for a command that stay until its process ends."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def lasting() -> Iterator[None]:
    """Spares the garbage collector what is imported within: it rests, and leaves alone for good what is there then.

    torch and Lightning make 800,000 objects that stay. The collector would look through them again and again as they
    come, and take them apart one by one when the process ends. For the start of a command, before there is garbage,
    which would stay too.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        atexit.register(_leave)


def _leave() -> None:
    """Lets go of what the command made, and leaves the libraries, whose memory goes with the process."""
    gc.collect()
    gc.freeze()
