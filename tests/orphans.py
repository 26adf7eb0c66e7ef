"""No process outlives the tests that started it, also where a limit kills pytest with SIGKILL.

`guard` marks the environment, which every later process inherits, and starts a watching process. Once pytest has ended,
the watching process kills all processes with that mark, whoever their parent is by then.
"""

from __future__ import annotations

import os
import sys
import time
import uuid

import psutil

MARK = "PRENDA_TESTS"  # environment variable


def guard() -> None:
    """Let no process that this one starts from now on outlive it."""
    os.environ[MARK] = uuid.uuid4().hex
    command = [sys.executable, __file__, str(os.getpid()), os.environ[MARK]]
    clean = {name: value for name, value in os.environ.items() if name != MARK}
    closed = [(os.POSIX_SPAWN_OPEN, file, os.devnull, os.O_RDWR, 0) for file in (0, 1, 2)]
    # In a session of its own: a signal to the group of pytest does not reach it.
    os.posix_spawn(sys.executable, command, clean, file_actions=closed, setsid=True)


def _watch(parent: int, mark: str) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    while marked := [process for process in psutil.process_iter() if _mark(process) == mark]:
        for process in marked:
            process.kill()
        psutil.wait_procs(marked, timeout=5)


def _mark(process: psutil.Process) -> str | None:
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else process.environ().get(MARK)
    except (psutil.Error, OSError):  # it ended, or belongs to another user
        return None


if __name__ == "__main__":
    _watch(int(sys.argv[1]), sys.argv[2])
