"""Terminal output of a sweep: progress bar, a line for each trial, closing table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from prenda.system.foreign_text import printable_lines


class SweepProgress:
    """Progress bar of the sweep, and a line for each trial that ends; without a terminal, only the lines."""

    def __init__(self, total: int | None, done: int, console: Console | None = None) -> None:
        self._console = console or Console()
        self._bar: Progress | None = None
        self._task = TaskID(0)
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("Sweep"),
                BarColumn(),
                TextColumn("{task.completed} of {task.fields[of]} done, {task.fields[running]} running"),
                TextColumn("best {task.fields[best]}"),
                TextColumn("{task.fields[left]}"),
                console=self._console,
            )
            self._task = self._bar.add_task(
                "", total=total, completed=done, of=total or "?", running=0, best="–", left=""
            )
            self._bar.start()

    @property
    def is_live(self) -> bool:
        """Whether `update` shows anything."""
        return self._bar is not None

    def say(self, line: str) -> None:
        """Print a line above the progress bar."""
        self._console.print(printable_lines(line), highlight=False, markup=False, soft_wrap=True)

    def update(self, done: int, total: int | None, running: int, best: str, seconds_left: float | None) -> None:
        if self._bar is not None:
            self._bar.update(
                self._task,
                completed=done,
                total=total,
                of=total or "?",
                running=running,
                best=best,
                left="" if seconds_left is None else f"about {duration(seconds_left)} left",
            )

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def duration(seconds: float) -> str:
    """Seconds as text in s, min or h."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, hours = seconds / 60, seconds / 3600
    return f"{minutes:.0f} min" if hours < 2 else f"{hours:.1f} h"


def show_end(counts: Mapping[str, int], best: Sequence[str], places: Mapping[str, str]) -> None:
    """Print the number of trials in each state, the best trials, and where the results are."""
    console = Console()
    table = Table(*counts)
    table.add_row(*(str(count) for count in counts.values()))
    console.print(table)
    for line in best:
        console.print(printable_lines(line), highlight=False, markup=False, soft_wrap=True)
    for name, place in places.items():
        console.print(printable_lines(f"{name:<17} {place}"), highlight=False, markup=False, soft_wrap=True)
