"""Process that has imported prenda and forks its commands: they start in a moment, and can be killed at a chosen write.

Its arguments are the modules to import. It reads an order in JSON from each line of its standard input, and answers
each with two lines: the number of the process of the command, and how it ended.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn, TextIO

CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate")  # audit events


class Writes:
    """Counts the steps of a process that change files below a folder, and may end the process before one of them."""

    def __init__(self, folder: str, last: int | None, signum: int, group: bool) -> None:
        self._folder, self._last, self._signum, self._group = folder, last, signum, group
        self.count = 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            path = arguments[0]
            if isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(self._folder):
                self.count += 1
                if self.count == self._last:
                    os.kill(0 if self._group else os.getpid(), self._signum)


def serve(orders: TextIO, answers: TextIO) -> None:
    """Carry out orders until there are no more."""
    for line in orders:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            os.setpgid(0, 0)
            _end(_command(order))
        os.setpgid(pid, pid)
        print(json.dumps(pid), file=answers, flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps(os.waitstatus_to_exitcode(status)), file=answers, flush=True)


def _end(code: int) -> NoReturn:
    """End this process as Python does, but leave out the end of C++ libraries: ONNX Runtime's fails after a fork."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _command(order: dict[str, Any]) -> int:
    """Run a command in this process, which the order has for itself."""
    from prenda.cli import main

    os.chdir(order["folder"])
    os.environ |= order["environment"]
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["prenda", *order["arguments"]]
    writes = Writes(order["folder"], order["last_write"], order["signal"], order["group"])
    sys.addaudithook(writes)
    code = main(order["arguments"])
    Path(order["log"]).with_suffix(".writes").write_text(str(writes.count))
    return code


if __name__ == "__main__":
    for name in sys.argv[1:]:
        importlib.import_module(name)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    serve(sys.stdin, os.fdopen(os.dup(1), "w"))
