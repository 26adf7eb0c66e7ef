"""Terminal output of a prediction: a table, a line for each photo that cannot be read, progress and a summary."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from prenda.prediction.answer import Answer, Guess
from prenda.system.foreign_text import printable

ROWS = 50  # of the table; a file keeps the answers for more photos
WIDTH = 1000  # of a file or a pipe: a row stays one line


class Show:
    """What a prediction prints: results to standard output; failures and progress to standard error.

    Attributes:
        answered, unsure, failed: Numbers of photos so far.
    """

    def __init__(self, top: int) -> None:
        self.answered = self.unsure = self.failed = 0
        self._top = top
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a name may have characters that the terminal's encoding lacks
                stream.reconfigure(errors="backslashreplace")
        self._out, self._err = Console(), Console(stderr=True)
        for console in (self._out, self._err):
            if not console.is_terminal:
                console.width = WIDTH
        self._rows: list[Answer] = []
        self._kept = 0
        self._progress: Progress | None = None
        self._started = time.perf_counter()

    @property
    def has_progress(self) -> bool:
        """Whether standard error is a terminal, where a progress bar shows."""
        return self._err.is_terminal

    @property
    def total(self) -> int:
        """Number of photos so far."""
        return self.answered + self.unsure + self.failed

    def count(self, *, unsure: bool, failed: bool) -> None:
        """Count a photo that an interrupted prediction has answered."""
        self._add(unsure, failed)
        self._kept += 1

    def add(self, answer: Answer) -> None:
        """Count a photo; print at once why it cannot be read, or keep its row of the table."""
        self._add(answer.unsure is not None, answer.error is not None)
        if answer.error is not None:
            line = Text(f"prenda: {printable(answer.photo)}: {printable(answer.error)}")
            self._err.print(line, soft_wrap=True, highlight=False)
        elif len(self._rows) < ROWS:
            self._rows.append(answer)

    def results(self, model: str) -> None:
        """Print the table and the summary."""
        if self._rows:
            self._out.print(self._table())
        rest = self.answered + self.unsure - self._kept - len(self._rows)
        if rest > 0:
            self._line(f"… and {rest:,} more; --output FILE.csv keeps every answer.")
        taken = time.perf_counter() - self._started
        new = self.total - self._kept
        before = f", {self._kept:,} of them before" if self._kept else ""
        self._line(
            f"{self.total:,} {'photo' if self.total == 1 else 'photos'}{before}: {self.answered:,} answered, "
            f"{self.unsure:,} unsure, {self.failed:,} failed; {taken:.1f} s, {new / taken:.1f} photos/s"
        )
        self._line(f"model: {model}")

    def place(self, name: str, path: str) -> None:
        """Print where something was written."""
        self._line(f"{name}: {path}")

    @contextmanager
    def progress(self, total: int | None) -> Iterator[None]:
        """Show a progress bar on a terminal while photos are added."""
        self._started = time.perf_counter()
        columns = (
            TextColumn("{task.completed:,.0f} photos") if total is None else MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[rate]:.0f} photos/s"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._err, transient=True, disable=not self.has_progress) as progress:
            self._progress, self._task = progress, progress.add_task("", total=total, rate=0.0)
            try:
                yield
            finally:
                self._progress = None

    def _add(self, unsure: bool, failed: bool) -> None:
        if failed:
            self.failed += 1
        elif unsure:
            self.unsure += 1
        else:
            self.answered += 1
        if self._progress is not None:
            taken = max(time.perf_counter() - self._started, 1e-3)
            self._progress.update(self._task, completed=self.total, rate=(self.total - self._kept) / taken)

    def _table(self) -> Table:
        guesses = "Second guess" if self._top <= 2 else "Other guesses"
        table = Table()
        for name in ("Photo", "Garment", "Confidence", guesses, "Warning"):
            table.add_column(name, overflow="fold", justify="right" if name == "Confidence" else "left")
        for answer in self._rows:
            table.add_row(*map(Text, _cells(answer)))
        return table

    def _line(self, text: str) -> None:
        self._out.print(Text(printable(text)), soft_wrap=True, highlight=False)


def _cells(answer: Answer) -> list[str]:
    unsure = answer.unsure is not None
    others = answer.guesses if unsure else answer.guesses[1:]  # what an unsure model would have said comes first
    notes = [*([answer.unsure] if answer.unsure else []), *answer.warnings]
    garment, confidence = answer.garment or "", f"{answer.confidence:.2%}"
    return [
        *(printable(text) for text in (answer.photo, garment)),
        confidence,
        printable(", ".join(map(_guess, others))),
        printable("; ".join(notes)),
    ]


def _guess(guess: Guess) -> str:
    return f"{guess.garment} {guess.confidence:.2%}"
