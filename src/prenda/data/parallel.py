"""Long work on many photos: in threads, with a bar on a terminal. Pillow decodes without Python's global lock."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
LONG = 500  # photos; fewer are done before a bar could be read
CHUNK = 32  # photos in work for each thread, which bounds the memory


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Yield the function's result for each item, in order; only a few results wait at a time."""
    threads = cores()
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(items), threads * CHUNK):
            yield from pool.map(function, items[start : start + threads * CHUNK])


def progress(work: Iterable[T], total: int, text: str) -> Iterator[T]:
    """Yield from `work`; on a terminal, much work shows a bar on stderr."""
    if total < LONG or not sys.stderr.isatty():
        yield from work
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(work, text, total, console=Console(stderr=True), transient=True)
