"""`prenda` commands in processes of their own, without the seconds that importing torch, Lightning and MLflow takes.

A command is forked from a process that has imported everything and run nothing, as the trials of a sweep are. From
there on it is a process like any other: with its own group if asked for, environment, folder, pipes, signals and exit
code. What importing itself does is not seen in it: the few tests of that start Python anew.
"""

from __future__ import annotations

import atexit
import importlib.machinery
import inspect
import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from multiprocessing import forkserver, reduction, util
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import prenda
from tests.once import stores_copied_from

template: Path | None = None  # of the stores that commands create; `tests.once` says what it is for

IMPORTED = ["tests.preloaded"]
PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")


@cache
def ready() -> ForkServerContext:
    """Return the context whose processes have imported everything.

    Its fork server is that of the whole process: trials of sweeps and data-parallel training in this process use it
    too, if it was called before.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    forkserver.ensure_running()
    return context


class ForkedCommand(subprocess.Popen[str]):
    """`prenda ARGUMENTS` in a process of its own; takes the options of `subprocess.Popen`.

    `before` is called in that process, with all of prenda imported: a function of a test module, which may change what
    the command and the processes that it starts do.
    """

    def __init__(self, arguments: Sequence[str], before: Callable[[], None] | None = None, **options: Any) -> None:
        self._before = before
        super().__init__([str(word) for word in arguments], text=True, **options)

    def _execute_child(self, *given: Any) -> None:
        options = inspect.signature(subprocess.Popen._execute_child).bind(self, *given).arguments
        ends = [options[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        self._process = ready().Process(
            target=_become,
            args=(
                options["args"],
                dict(os.environ if options["env"] is None else options["env"]),
                options["cwd"] or Path.cwd(),
                [_Descriptor(number if end == -1 else end) for number, end in enumerate(ends)],
                options["start_new_session"],
                template,
                self._before,
            ),
        )
        self._process.start()
        self.pid = self._process.pid
        self._child_created = True
        self._close_pipe_fds(*(options[name] for name in PIPES))

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None:
            self.returncode = self._process.exitcode
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        self._process.join(timeout)
        if self._internal_poll() is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode


def run(arguments: Sequence[str], timeout: float = 240, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as `subprocess.run(…, capture_output=True, text=True)` does."""
    with ForkedCommand(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
        try:
            out, errors = process.communicate(timeout=timeout)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, errors)


class _Descriptor:
    """A file descriptor on its way to a process of the fork server, where it is a number again."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Callable[..., int], tuple[Any]]:
        return _detached, (reduction.DupFd(self.number),)


def _detached(descriptor: Any) -> int:
    return descriptor.detach()


def _become(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: str | Path,
    descriptors: Sequence[int],
    new_session: bool,
    store_template: Path | None,
    before: Callable[[], None] | None,
) -> None:
    """Do in this process what the command `prenda ARGUMENTS` does."""
    if new_session:
        os.setsid()
    for number, copy in enumerate(descriptors):
        os.dup2(copy, number)
        os.close(copy)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - open as long as the process
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    own = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.path[:] = [*own, *(entry for entry in sys.path if entry not in own)]  # an installed command finds no more
    if not _is_another_prenda_named() and store_template is not None:
        stores_copied_from(store_template)
    if before is not None:
        before()
    _fork_server()
    sys.argv = ["prenda", *arguments]
    try:
        runpy.run_module("prenda", run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()


def _is_another_prenda_named() -> bool:
    """Return whether PYTHONPATH names a copy of the package, which is imported anew then."""
    found = importlib.machinery.PathFinder.find_spec("prenda", sys.path)
    if found is not None and found.origin == prenda.__file__:
        return False
    for name in [name for name in sys.modules if name.partition(".")[0] == "prenda"]:
        del sys.modules[name]
    return True


def _fork_server() -> None:
    """Start the fork server of this command, for trials and data-parallel training, without importing all again."""

    def forked(_: str, arguments: Sequence[str], kept: Sequence[int]) -> int:
        process = os.fork()
        if process:
            return process
        first = 3  # after standard input, output and error
        for number in sorted(kept):
            os.closerange(first, number)
            first = number + 1
        os.closerange(first, os.sysconf("SC_OPEN_MAX"))
        forkserver._forkserver.__init__()  # its lock is held here
        try:
            exec(arguments[-1])
        finally:
            os._exit(0)

    started = util.spawnv_passfds
    util.spawnv_passfds = forked
    try:
        forkserver.set_forkserver_preload(["prenda.search.trial"])
        forkserver.ensure_running()
    finally:
        util.spawnv_passfds = started
