"""Pillow's warnings, ignored while photos are decoded, in any number of threads."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_lock = threading.Lock()
_stack = ExitStack()
_users = 0


@contextmanager
def pillow_warnings_ignored() -> Iterator[None]:
    """Ignore Pillow's own warnings: a photo's problems are told by `decode`.

    `warnings.catch_warnings` restores the filters that it found. Threads that overlap would restore each other's. So
    the first one to enter changes the filters, and the last one to leave restores them.
    """
    global _users
    with _lock:
        if _users == 0:
            _stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _stack.close()
