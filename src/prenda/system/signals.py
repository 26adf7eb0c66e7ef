"""Ctrl-C and SIGTERM as an exception that stops a run in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


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
    received: list[int] = []

    def stop(signum: int, _: FrameType | None) -> None:
        for handled in previous:
            signal.signal(handled, signal.SIG_IGN)
        received.append(signum)
        if len(received) > 1:  # two may arrive before the first is handled
            return
        if _hold.depth:
            _hold.signum = signum
        else:
            raise Stopped(signum)

    if threading.current_thread() is not threading.main_thread():  # Python sets handlers in the main thread only
        yield
        return
    previous = {handled: signal.signal(handled, stop) for handled in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for handled, handler in previous.items():
            signal.signal(handled, handler)
