"""Log of a run: its terminal output with the time, in the run folder."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from prenda.system.foreign_text import printable_lines
from prenda.system.redaction import without_passwords

LOG = "log.txt"
WIDTH = 120  # columns of tables


class RunLog:
    """`log.txt` in the folder of a run; a resumed run appends to it.

    Lines that are written before the folder exists wait in memory. A trial of a sweep, whose standard output is that
    file, does not write its lines twice.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG
        self._waiting = ""

    def write(self, text: str) -> None:
        """Append lines; the first one begins with the time."""
        self._waiting += f"{datetime.now():%Y-%m-%d %H:%M:%S}  {printable_lines(without_passwords(text.strip()))}\n"
        if not self._path.parent.is_dir():
            return
        text, self._waiting = self._waiting, ""
        if not self._is_output():
            with suppress(OSError), self._path.open("a", encoding="utf-8") as file:  # a full disk ends no run
                file.write(text)

    @contextmanager
    def noting_problems(self) -> Iterator[None]:
        """Append warnings, and the error or the signal that ends the run."""
        shown = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *args: Any, **kwargs: Any) -> None:
            self.write(f"{category.__name__}: {message}")
            shown(message, category, *args, **kwargs)

        warnings.showwarning = show
        try:
            yield
        except BaseException as error:
            self.write(f"{type(error).__name__}: {error}")
            raise
        finally:
            warnings.showwarning = shown

    def _is_output(self) -> bool:
        try:
            return os.path.samestat(os.fstat(1), self._path.stat())
        except OSError:  # the file does not exist yet, or there is no output
            return False


class LoggedConsole(Console):
    """Console that also writes to the log of a run."""

    def __init__(self, log: RunLog) -> None:
        super().__init__()
        self._log = log

    def print(self, *objects: Any, **settings: Any) -> None:
        """Print to the terminal and to the log."""
        super().print(*objects, **settings)
        plain = Console(file=io.StringIO(), width=WIDTH, force_terminal=False)
        plain.print(*objects, **settings)
        assert isinstance(plain.file, io.StringIO)
        self._log.write(plain.file.getvalue())
