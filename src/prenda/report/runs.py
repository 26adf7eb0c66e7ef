"""The list of runs and the plan of a pruning, as the terminal or a pipe shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from prenda.report.markup import plain
from prenda.scoring.metrics import METRIC_BY_NAME
from prenda.tracking.disk import text
from prenda.tracking.records import short_id

if TYPE_CHECKING:
    from prenda.tracking.listing import ListedRun
    from prenda.tracking.pruning import Plan

COLUMNS = ("run", "id", "backbone", "data", "val", "test", "seconds", "start", "bytes")


def show_runs(runs: Sequence[ListedRun], status: bool) -> None:
    """Print a table; into a pipe or a file, print tab-separated values with a heading and full figures.

    Args:
        runs: The runs, in the order of the rows.
        status: Whether to add a column of the status.
    """
    console = Console()
    if console.is_terminal:
        console.print(_table(runs, status))
    else:
        print(*separated(runs, status), sep="\n")


def separated(runs: Sequence[ListedRun], status: bool) -> list[str]:
    """Return lines of tab-separated values: accuracies from 0 to 1, ISO times; a missing value is empty."""
    lines = ["\t".join([*COLUMNS, *(["status"] if status else [])])]
    for run in runs:
        scores = ["" if value is None else f"{value:.6g}" for value in (run.val, run.test, run.seconds)]
        texts = [" ".join(value.split()) for value in (run.name, _paste(run), run.backbone, run.data)]
        cells = [*texts, *scores, f"{run.start:%Y-%m-%dT%H:%M:%S}", str(run.size), *([_state(run)] if status else [])]
        lines.append("\t".join(cells))
    return lines


def show_plan(plan: Plan) -> None:
    """Print what a pruning would free, and what it keeps."""
    table = Table("Frees", "Runs", "Size")
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, size in plan.sizes.items():
        table.add_row(kind, f"{plan.runs[kind]:,}", text(size))
    table.add_section()
    table.add_row("in all", f"{len(plan.holdings):,}", text(plan.total))
    console = Console()
    console.print(table)
    kept = ", ".join(f"{count} {reason}" for reason, count in sorted(plan.kept.items()))
    console.print(f"Kept whole: {kept or 'no run'}.", highlight=False, soft_wrap=True)


def _table(runs: Sequence[ListedRun], status: bool) -> Table:
    table = Table("Run", "Id", *(["Status"] if status else []), "Backbone", "Data")
    for name in ("Val", "Test", "Seconds"):
        table.add_column(name, justify="right")
    table.add_column("Started")
    table.add_column("Disk", justify="right")
    for column in table.columns:
        column.overflow = "fold"
    table.columns[1].no_wrap = True  # an id is there to be copied
    accuracy = METRIC_BY_NAME["accuracy"]
    for run in runs:
        scores = ["–" if value is None else accuracy.text(value) for value in (run.val, run.test)]
        seconds = "–" if run.seconds is None else f"{run.seconds:,.0f}"
        facts = [short_id(run.id) or "–", *([_state(run)] if status else []), run.backbone, run.data]
        when = f"{run.start:%Y-%m-%d %H:%M}"
        name = plain(run.name) if run.folder is None else f"{plain(run.name)}\nin {plain(str(run.folder))}"
        table.add_row(name, *map(plain, facts), *scores, seconds, when, text(run.size))
    return table


def _paste(run: ListedRun) -> str:
    """Return what names the run in a command: its short id, or its folder if that alone holds its record."""
    return short_id(run.id) if run.folder is None else str(run.folder)


def _state(run: ListedRun) -> str:
    return run.status if run.kind == "run" else f"{run.kind} {run.status}"
