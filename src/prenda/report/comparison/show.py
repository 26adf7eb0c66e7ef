"""Comparison of runs in the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from prenda.report.comparison.results import Comparison, class_table, classes_title, disagreement, score_table
from prenda.report.comparison.significance import (
    SEEDS_TITLE,
    accuracy_table,
    group_table,
    has_groups,
    over_images,
    over_seeds,
    pair_table,
    pairs_title,
    seed_table,
    seeds_note,
)
from prenda.report.markup import plain
from prenda.report.page import Table
from prenda.system.foreign_text import printable, printable_lines


def show(console: Console, comparison: Comparison) -> None:
    """Print the runs with their letters, the tables, and the results of the tests."""
    console.print()
    for run in comparison.runs:
        place = run.place if Path(run.place).is_absolute() else run.place[:8]
        console.print(printable(f"{run.letter:<2} {run.name}  {place}"), soft_wrap=True, highlight=False, markup=False)
    for title, content in _tables(comparison).items():
        table = RichTable(title=title, title_justify="left")
        for index, column in enumerate(content.columns):
            table.add_column(column, justify="right" if index else "left")
        for row in content.rows:
            table.add_row(*map(plain, row))
        console.print(table)
    sentences = (over_images(comparison), seeds_note(comparison), over_seeds(comparison), disagreement(comparison))
    for sentence in (*sentences, *comparison.notes):
        if sentence:
            console.print(printable_lines(sentence), highlight=False, markup=False)


def _tables(comparison: Comparison) -> dict[str, Table]:
    tables = {
        "Test images; accuracies differ in points": score_table(comparison),
        "Accuracy over test images, differences in points": accuracy_table(comparison),
    }
    if len(comparison.runs) > 2:
        tables[pairs_title(comparison)] = pair_table(comparison)
    if has_groups(comparison):
        tables["Over training seeds, mean ± 95% interval"] = group_table(comparison)
    if len(comparison.seed_tests) > 1:
        tables[SEEDS_TITLE] = seed_table(comparison)
    return tables | {classes_title(comparison): class_table(comparison)}
