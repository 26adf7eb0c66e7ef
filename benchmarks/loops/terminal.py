"""Runs a command as if someone watched it in a terminal, so that it draws what it would draw."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LINES, COLUMNS = 40, 120


@dataclass(frozen=True)
class Ended:
    """What a command printed, when it ran, and the memory that it took.

    Attributes:
        started, ended: As time.time() tells.
        peak_mib: The most that it held at once; where that is less than this process held when it started the command,
            Linux tells the latter.
    """

    output: str
    started: float
    ended: float
    peak_mib: float

    @property
    def seconds(self) -> float:
        return self.ended - self.started


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Ended:
    """Waits for the command. Its environment is this process' and `environment`.

    Raises:
        SystemExit: If it fails, with the last lines that it printed.
    """
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (LINES, COLUMNS))
    with tempfile.TemporaryFile() as errors:
        started = time.time()
        process = subprocess.Popen(
            command,
            env=os.environ | {"TERM": "xterm-256color"} | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=errors,
        )
        os.close(theirs)
        output = _everything(ours)
        _, status, usage = os.wait4(process.pid, 0)
        ended = time.time()
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        told = errors.read().decode(errors="replace") or output
    if process.returncode:
        last = "\n".join(told.splitlines()[-15:])
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}:\n{last}")
    unit = 2**20 if sys.platform == "darwin" else 2**10  # of ru_maxrss: bytes there, KiB elsewhere
    return Ended(output, started, ended, usage.ru_maxrss / unit)


def _everything(descriptor: int) -> str:
    """Reads the terminal until nobody holds its other end."""
    parts = []
    try:
        while part := os.read(descriptor, 2**16):
            parts.append(part)
    except OSError:  # how Linux says that the other end is closed
        pass
    finally:
        os.close(descriptor)
    return b"".join(parts).decode(errors="replace")
