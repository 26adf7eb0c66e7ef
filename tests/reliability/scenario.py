"""Scenario: one command, what disturbs it, and the promises that hold whatever came between."""

from __future__ import annotations

import random
import shutil
import signal
from abc import ABC, abstractmethod
from pathlib import Path

from tests.reliability.commands import Commands, Course, Ended, Fault, LossError, wait_for_processes

MOST_FAULTS = 8  # of one round


class Scenario(ABC):
    """A command under attack. Rounds share what `prepare` has made.

    Attributes:
        name: Name of the scenario.
        modules: Modules that its commands need.
        folder: Folder of the scenario; commands have `home` in it.
        at_writes: Whether all faults come before a write, which does not depend on time.
        faults: Number of faults so far.
    """

    name: str
    modules: tuple[str, ...] = ()
    at_writes = False

    def __init__(self, commands: Commands) -> None:
        self.commands, self.folder, self.home = commands, commands.folder, commands.home
        self.faults = 0

    @abstractmethod
    def prepare(self) -> None:
        """Run the command undisturbed, for comparison."""

    @abstractmethod
    def round(self, generator: random.Random, most: int = MOST_FAULTS) -> None:
        """Attack the command with up to `most` faults, let it end, and check what is promised.

        Raises:
            LossError: If a promise is not kept.
        """

    def fresh_home(self) -> None:
        """Begin with the home that `keep_home` has kept."""
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(self.folder / "kept", self.home, symlinks=True)

    def keep_home(self) -> None:
        """Keep the home as it is now, in which each round begins."""
        shutil.copytree(self.home, self.folder / "kept", symlinks=True)

    def disturb(self, generator: random.Random, course: Course, *arguments: str) -> bool:
        """Run a command that a drawn fault hits; return whether it was hit, or ended before.

        Raises:
            LossError: If it ended with an exit code that is not that of the fault.
        """
        fault = Fault.draw(generator, course, self.at_writes)
        ended = self.commands.run(*arguments, fault=fault)
        self.faults += ended.hit
        check_code(ended, fault)
        wait_for_processes(self.home)
        return ended.hit and ended.code != 0


def check_code(ended: Ended, fault: Fault) -> None:
    """Check that a command ended as its fault lets it: -9 for SIGKILL, 143 for SIGTERM, -15 before it is heard.

    Raises:
        LossError: If not.
    """
    expected = {0} if not ended.hit else {0, -fault.signum, 128 + fault.signum}
    if fault.signum is signal.SIGKILL and not fault.group and ended.hit:
        expected |= {143}  # a child ended first
    if ended.code not in expected:
        raise LossError(f"{fault}: ended with exit code {ended.code}:\n{ended.printed}")
    if "Traceback" in ended.printed:
        raise LossError(f"{fault}: showed a traceback:\n{ended.printed}")


def same(what: str, expected: object, found: object) -> None:
    """Raise LossError if two values differ, with the elements of sets and mappings in which they do."""
    if isinstance(expected, dict) and isinstance(found, dict):
        expected, found = set(expected.items()), set(found.items())
    if isinstance(expected, set) and isinstance(found, set):
        expected, found = expected - found, found - expected
    if expected != found:
        raise LossError(f"{what}: {expected!r} expected, but there is {found!r}")


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of each file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
