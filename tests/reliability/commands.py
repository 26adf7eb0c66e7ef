"""Commands of prenda that a fault ends: SIGKILL or SIGTERM, at a random moment or before a random write."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.reliability import warm

LONGEST = 900  # seconds of a command, after which it hangs
COLD = 1 / 8  # share of the faults that hit a command from the start of its interpreter on


class LossError(AssertionError):
    """A promise that prenda did not keep."""


@dataclass(frozen=True)
class Course:
    """Course of an undisturbed command: its seconds, and the number of its steps that change files."""

    seconds: float
    writes: int


@dataclass(frozen=True)
class Fault:
    """End of a command by a signal.

    Attributes:
        signum: The signal.
        group: Whether all processes of the command get it, as those of a service do, or the first one alone.
        seconds: Moment after the start; None if a write decides.
        write: Number of the step that changes a file, before which the signal comes; None if the moment decides.
        cold: Whether the command starts in an interpreter of its own, which imports everything first.
    """

    signum: signal.Signals
    group: bool
    seconds: float | None = None
    write: int | None = None
    cold: bool = False

    @classmethod
    def draw(cls, generator: random.Random, course: Course, at_writes: bool = False) -> Fault:
        """Draw a fault for a command of this course; `at_writes` leaves out those that depend on time."""
        signum = generator.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
        group, at_write, is_cold = generator.random() < 0.5, generator.random() < 0.5, generator.random() < COLD
        if at_writes or (at_write and not is_cold):
            return cls(signum, group, write=generator.randint(1, course.writes))
        seconds = generator.uniform(0, 0.9 * course.seconds) + (generator.uniform(0, 10) if is_cold else 0)
        return cls(signum, group, seconds=seconds, cold=is_cold)

    def __str__(self) -> str:
        moment = f"before write {self.write}" if self.write else f"after {self.seconds:.2f} s"
        cold = " of a cold start" if self.cold else ""
        return f"{self.signum.name} {'of all processes' if self.group else 'of the process'} {moment}{cold}"


@dataclass(frozen=True)
class Ended:
    """End of a command.

    Attributes:
        code: Exit code; -N if signal N ended it.
        printed: Standard output and error.
        course: Its course; the number of writes is 0 where nobody counted.
        hit: Whether the fault came before the end.
    """

    code: int
    printed: str
    course: Course
    hit: bool


class Commands:
    """Starts commands below a folder; a context that leaves no process behind.

    Args:
        folder: Folder of the commands, where they have `home`.
        modules: Modules that the commands need, which are imported once.
    """

    def __init__(self, folder: Path, modules: Sequence[str]) -> None:
        self.folder, self.home = folder, folder / "home"
        self._modules = modules
        self._environment = {"PRENDA_HOME": str(self.home), "OMP_NUM_THREADS": "1"}
        self._log = folder / "command.log"
        self._warm: subprocess.Popen[str] | None = None

    def __enter__(self) -> Commands:
        return self

    def __exit__(self, *_: object) -> None:
        if self._warm is not None:
            self._warm.kill()
            self._warm.communicate()

    def run(self, *arguments: str, fault: Fault | None = None) -> Ended:
        """Run a command to its end, or to that of a fault."""
        self._log.write_text("")
        self._log.with_suffix(".writes").unlink(missing_ok=True)
        begun = time.monotonic()
        ended = self._cold(arguments, fault) if fault is not None and fault.cold else self._forked(arguments, fault)
        code, hit = ended
        writes = self._log.with_suffix(".writes")
        counted = writes.read_text() if writes.is_file() else ""  # empty if the signal came while it was written
        course = Course(time.monotonic() - begun, int(counted or 0))
        if fault is not None and fault.write is not None:
            hit = not writes.is_file() or course.writes >= fault.write
        return Ended(code, self._log.read_text("utf-8", "replace"), course, hit)

    def done(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> Ended:
        """Run a command undisturbed; it must end with one of these exit codes."""
        ended = self.run(*arguments)
        if ended.code not in codes:
            raise LossError(f"`prenda {' '.join(arguments)}` ended with {ended.code}:\n{ended.printed}")
        return ended

    def _forked(self, arguments: tuple[str, ...], fault: Fault | None) -> tuple[int, bool]:
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        order = {
            "folder": str(self.folder),
            "environment": self._environment,
            "log": str(self._log),
            "arguments": list(arguments),
            "last_write": None if fault is None else fault.write,
            "signal": signal.SIGKILL if fault is None else fault.signum,
            "group": fault is not None and fault.group,
        }
        print(json.dumps(order), file=process.stdin, flush=True)
        pid = int(process.stdout.readline())
        ends: list[int] = []
        reader = threading.Thread(target=lambda: ends.append(int(process.stdout.readline())))
        reader.start()
        hit = self._disturbed(pid, fault, reader)
        if not ends:
            reader.join()
        return ends[0], hit

    def _disturbed(self, pid: int, fault: Fault | None, reader: threading.Thread) -> bool:
        """Wait for the end of a command, or send it its signal; return whether it was sent."""
        hit = False
        if fault is not None and fault.seconds is not None:
            reader.join(fault.seconds)
            if hit := reader.is_alive():
                _send(pid, fault)
        reader.join(LONGEST)
        if reader.is_alive():
            _send(pid, Fault(signal.SIGKILL, group=True))
            reader.join()
            raise LossError(f"the command hung after {fault}:\n{self._log.read_text('utf-8', 'replace')}")
        return hit

    def _cold(self, arguments: tuple[str, ...], fault: Fault) -> tuple[int, bool]:
        assert fault.seconds is not None
        with self._log.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "prenda", *arguments],
                cwd=self.folder,
                env=os.environ | self._environment,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        reader = threading.Thread(target=process.wait)
        reader.start()
        hit = self._disturbed(process.pid, fault, reader)
        return process.returncode, hit

    def _started(self) -> subprocess.Popen[str]:
        """Return the warm process."""
        if self._warm is None:
            self._warm = subprocess.Popen(
                [sys.executable, "-m", warm.__name__, *self._modules],
                env=os.environ | self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        return self._warm


def _send(pid: int, fault: Fault) -> None:
    with suppress(ProcessLookupError):
        (os.killpg if fault.group else os.kill)(pid, fault.signum)


def wait_for_processes(folder: Path, seconds: float = 90) -> None:
    """Wait for the end of the processes that still have files open below a folder, as workers of a killed driver do.

    Raises:
        LossError: If they do not end.
    """
    until = time.monotonic() + seconds
    while left := _users(folder):
        if time.monotonic() > until:
            raise LossError(f"processes outlive their command: {left}")
        time.sleep(0.1)


def _users(folder: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and any(file.path.startswith(str(folder)) for file in process.open_files()):
                found.append(process.pid)
    return found
