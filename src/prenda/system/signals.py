"""Ctrl-C and SIGTERM as an exception that stops a run in order."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

AGAIN = 0.01  # seconds until a signal is sent again, when Python is out of what ignored it


class Stopped(BaseException):
    """Stop of a run by a signal. Not an Exception, so that no handler in between takes it for a failure."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


class _Hold:
    depth = 0
    signum: int | None = None


_hold = _Hold()


@contextmanager
def stop_deferred() -> Iterator[None]:
    """Defer a stop until the block has ended: an interrupted transaction would keep its database locked."""
    _hold.depth += 1
    try:
        yield
    finally:
        _hold.depth -= 1
        if not _hold.depth and _hold.signum is not None:
            signum, _hold.signum = _hold.signum, None
            raise Stopped(signum)


@contextmanager
def stop_on_signal() -> Iterator[None]:
    """Raise `Stopped` at the first Ctrl-C or SIGTERM; later ones are ignored while the run is recorded as stopped."""
    if threading.current_thread() is not threading.main_thread():  # Python sets handlers in the main thread only
        yield
        return
    handlers = _Handlers()
    try:
        yield
        handlers.wait()
    finally:
        handlers.remove()


class _Handlers:
    """Handlers of both signals, and of the exceptions that Python ignores, until `remove`.

    Python ignores exceptions in a finalizer and in a callback of a weak reference. A signal that came there is sent
    again.
    """

    def __init__(self) -> None:
        self._received = 0
        self._again: threading.Timer | None = None
        self._unraisable, sys.unraisablehook = sys.unraisablehook, self._ignored
        self._before: dict[int, Any] = {}  # by signal
        for handled in (signal.SIGINT, signal.SIGTERM):
            self._before[handled] = signal.signal(handled, self._stop)

    def _stop(self, signum: int, _: FrameType | None) -> None:
        for handled in self._before:
            signal.signal(handled, signal.SIG_IGN)
        self._received += 1
        if self._received > 1:  # two may arrive before the first is handled
            return
        if _hold.depth:
            _hold.signum = signum
        else:
            raise Stopped(signum)

    def _ignored(self, ignored: sys.UnraisableHookArgs) -> None:
        if not isinstance(ignored.exc_value, Stopped):
            self._unraisable(ignored)
            return
        self._received = 0
        for handled in self._before:
            signal.signal(handled, self._stop)
        self._cancel()
        self._again = threading.Timer(AGAIN, os.kill, (os.getpid(), ignored.exc_value.signum))
        self._again.start()

    def wait(self) -> None:
        """Wait for a signal that is sent again."""
        if self._again is not None:
            self._again.join()

    def _cancel(self) -> None:
        if self._again is not None:
            self._again.cancel()

    def remove(self) -> None:
        self._cancel()
        for handled, handler in self._before.items():
            signal.signal(handled, handler)
        sys.unraisablehook = self._unraisable
