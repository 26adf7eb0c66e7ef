"""Results of a comparison of runs, as sentences and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from prenda.report.page import Table
from prenda.scoring.metrics import HEADLINE, METRIC_BY_NAME, SUMMARY, Metric
from prenda.scoring.scores import Scores
from prenda.scoring.significance import McNemar

SIGNIFICANCE = 0.05  # a smaller p-value is called statistically significant
MOST_RUNS_SHOWN = 6  # of matrices and classes
MOST_PAIRS_SHOWN = 15


@dataclass(frozen=True)
class ComparedRun:
    """A run in a comparison.

    Attributes:
        letter: Name of the run in tables.
        place: MLflow id or folder of the run.
        settings: Flattened configuration of the run.
        scores: Scores on the test images.
    """

    letter: str
    name: str
    place: str
    settings: Mapping[str, Any]
    scores: Scores

    @property
    def right(self) -> NDArray[np.bool_]:
        """(N,), which test images the run has right."""
        values: NDArray[np.bool_] = self.scores.predicted == self.scores.labels
        return values


@dataclass(frozen=True)
class Pair:
    """Two runs on the same images.

    Attributes:
        different: Number of images for which they predict different classes.
        p_value: The test's p-value; of several pairs, after Holm's correction.
    """

    first: ComparedRun
    second: ComparedRun
    different: int
    test: McNemar
    p_value: float


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed alone.

    Attributes:
        seeds: Number of different seeds; runs with the same seed count once.
        means: By metric, the mean over the seeds and half the width of its 95% interval.
    """

    runs: Sequence[ComparedRun]
    seeds: int
    means: Mapping[str, tuple[float, float]]

    @property
    def letters(self) -> str:
        """Letters of the runs."""
        return ", ".join(run.letter for run in self.runs)


@dataclass(frozen=True)
class Comparison:
    """Runs on the same test images.

    Attributes:
        cochran: Q and its p-value; None for two runs.
        gap: Second mean accuracy less the first and the half width of the 95% interval; None unless exactly two groups
            have several seeds.
    """

    class_names: Sequence[str]
    runs: Sequence[ComparedRun]
    pairs: Sequence[Pair]
    cochran: tuple[float, float] | None
    groups: Sequence[Group]
    gap: tuple[float, float] | None

    @property
    def name(self) -> str:
        """`A against B` by their names, or the number of runs."""
        first, second = self.runs[0].name, self.runs[1].name
        return f"{first} against {second}" if len(self.runs) == 2 else f"{len(self.runs)} runs compared"

    def metrics(self) -> dict[str, float]:
        """Return the metrics for MLflow: p-value, images of disagreement, differences from the first run."""
        first, others = self.runs[0], self.runs[1:]
        right = np.stack([run.right for run in self.runs])
        flat = {
            "p_value": self.pairs[0].p_value if self.cochran is None else self.cochran[1],
            "disagreements": float((right.any(0) & ~right.all(0)).sum()),
        }
        for run in others:
            flat |= {f"difference/{m.name}/{run.letter}": difference(first, run, m.name) for m in SUMMARY}
        return flat


def verdict(comparison: Comparison) -> str:
    """Return the result of the significance test as a sentence."""
    if comparison.cochran is None:
        return _verdict_of_two(comparison.pairs[0])
    q, p_value = comparison.cochran
    best = max(comparison.runs, key=lambda run: run.scores.metrics["accuracy"])
    highest = _shown(METRIC_BY_NAME["accuracy"], best)
    significant_pairs = sum(pair.p_value < SIGNIFICANCE for pair in comparison.pairs)
    return (
        f"Of {len(comparison.runs)} runs, {best.letter} has the highest accuracy ({highest}). "
        f"Their differences are {_significance(p_value)} (Cochran's Q = {q:.1f}, {p_text(p_value)}). "
        f"{significant_pairs} of {len(comparison.pairs)} pairs differ significantly (McNemar, exact, Holm-corrected)."
    )


def _verdict_of_two(pair: Pair) -> str:
    a, b, test = pair.first.letter, pair.second.letter, pair.test
    if not test.only_first + test.only_second:
        return f"{a} and {b} are right on the same images: there is no difference to test."
    return (
        f"{b} is right on {test.only_second} images where {a} is wrong, {a} on {test.only_first} where {b} is wrong. "
        f"The difference is {_significance(pair.p_value)} (McNemar, exact, {p_text(pair.p_value)})."
    )


def _significance(p_value: float) -> str:
    return "statistically significant" if p_value < SIGNIFICANCE else "not significant"


def disagreement(comparison: Comparison) -> str:
    """Return the number of images on which the runs disagree, in a sentence."""
    total = len(comparison.runs[0].scores.labels)
    if comparison.cochran is None:
        pair = comparison.pairs[0]
        one_right = pair.test.only_first + pair.test.only_second
        return (
            f"A and B predict different classes on {pair.different} of {total:,} test images; "
            f"one is right on {one_right}."
        )
    disagreements = int(comparison.metrics()["disagreements"])
    return f"On {disagreements} of {total:,} test images some of the runs are right and others wrong."


def p_text(p_value: float) -> str:
    """Format a p-value to two digits, such as `p = 0.012`."""
    return f"p = {p_value:.2g}" if p_value > 1e-99 else "p < 1e-99"


def difference(first: ComparedRun, second: ComparedRun, name: str) -> float:
    """Return the difference of a metric, second less first."""
    return second.scores.metrics[name] - first.scores.metrics[name]


def show(console: Console, comparison: Comparison) -> None:
    """Print the runs by their letters, the tables, and the verdict."""
    console.print()
    for run in comparison.runs:
        place = run.place if Path(run.place).is_absolute() else run.place[:8]
        console.print(f"{run.letter:<2} {run.name}  {place}", soft_wrap=True, highlight=False, markup=False)
    tables = {"Test images; accuracies differ in points": score_table(comparison)}
    if len(comparison.runs) > 2:
        tables[pairs_title(comparison)] = pair_table(comparison)
    if has_groups(comparison):
        tables["Over seeds, mean ± 95% interval"] = group_table(comparison)
    tables[classes_title(comparison)] = class_table(comparison)
    for title, content in tables.items():
        table = RichTable(title=title, title_justify="left")
        for index, column in enumerate(content.columns):
            table.add_column(column, justify="right" if index else "left")
        for row in content.rows:
            table.add_row(*map(escape, row))
        console.print(table)
    for sentence in (verdict(comparison), disagreement(comparison), over_seeds(comparison)):
        if sentence:
            console.print(sentence, highlight=False)


def score_table(comparison: Comparison) -> Table:
    """Return a table of scores: two runs as columns; more as rows, each with its differences from the first."""
    first, *others = comparison.runs
    if len(others) == 1:
        rows = [
            (metric.name, _shown(metric, first), _shown(metric, others[0]), _change(metric, first, others[0]))
            for metric in SUMMARY
        ]
        return Table(("", "A", "B", "B − A"), rows)
    columns = ["", *(column for metric in HEADLINE for column in (metric.name, "− A"))]
    lines = [[first.letter, *(cell for metric in HEADLINE for cell in (_shown(metric, first), ""))]]
    for run in others:
        cells = [cell for metric in HEADLINE for cell in (_shown(metric, run), _change(metric, first, run))]
        lines.append([run.letter, *cells])
    return Table(columns, lines)


def pair_table(comparison: Comparison) -> Table:
    """Return a table of pairs, the smallest p-value first, after Holm's correction."""
    rows = [
        (
            f"{pair.first.letter}, {pair.second.letter}",
            str(pair.different),
            str(pair.test.only_first),
            str(pair.test.only_second),
            p_text(pair.p_value).removeprefix("p = ").removeprefix("p "),
            "yes" if pair.p_value < SIGNIFICANCE else "no",
        )
        for pair in sorted(comparison.pairs, key=lambda pair: pair.p_value)[:MOST_PAIRS_SHOWN]
    ]
    return Table(("pair", "differ", "only 1st right", "only 2nd right", "p, Holm", "significant"), rows)


def group_table(comparison: Comparison) -> Table:
    """Return a table with a row for each group of runs that differ in their seed alone."""
    rows = [
        (
            group.letters,
            "1 run" if len(group.runs) == 1 else str(group.seeds),
            *(metric.interval_text(*group.means[metric.name]) for metric in HEADLINE),
        )
        for group in comparison.groups
    ]
    return Table(("runs", "seeds", *(metric.name for metric in HEADLINE)), rows)


def class_table(comparison: Comparison) -> Table:
    """Return a table of F1 by class and its changes from the first run, the largest change first."""
    first, *others = comparison.runs[:MOST_RUNS_SHOWN]
    before = _class_f1(first, comparison)
    values = np.array([_class_f1(run, comparison) for run in others])  # (others, classes)
    order = np.argsort(-np.abs(values - before).max(0), kind="stable")
    pair = len(others) == 1
    columns = ["class", "A", *(["B"] if pair else []), *(f"{run.letter} − A" for run in others)]
    rows = [
        [
            comparison.class_names[place],
            f"{before[place]:.4f}",
            *([f"{values[0, place]:.4f}"] if pair else []),
            *(f"{change:+.4f}" for change in values[:, place] - before[place]),
        ]
        for place in order
    ]
    return Table(columns, rows)


def over_seeds(comparison: Comparison) -> str:
    """Return the difference of two groups of several seeds in a sentence; empty for other numbers of groups."""
    if comparison.gap is None:
        return ""
    first, second = (group.letters for group in comparison.groups if group.seeds > 1)
    mean, half = comparison.gap
    significance = "significant" if abs(mean) > half else "not significant"
    return (
        f"Mean accuracy of {second} less that of {first}: {100 * mean:+.2f} ± {100 * half:.2f} points, "
        f"{significance} over seeds (Welch, 95%)."
    )


def has_groups(comparison: Comparison) -> bool:
    """Return whether any runs differ in their seed alone."""
    return any(len(group.runs) > 1 for group in comparison.groups)


def pairs_title(comparison: Comparison) -> str:
    """Return the title of `pair_table`."""
    count = len(comparison.pairs)
    return f"Pairs, the {MOST_PAIRS_SHOWN} most significant of {count}" if count > MOST_PAIRS_SHOWN else "Pairs"


def classes_title(comparison: Comparison) -> str:
    """Return the title of `class_table`."""
    many = len(comparison.runs) > MOST_RUNS_SHOWN
    return f"F1 by class, the first {MOST_RUNS_SHOWN} runs" if many else "F1 by class"


def _class_f1(run: ComparedRun, comparison: Comparison) -> NDArray[np.float64]:
    return np.array([float(row["f1-score"]) for row in run.scores.classes[: len(comparison.class_names)]])


def _shown(metric: Metric, run: ComparedRun) -> str:
    return metric.text(run.scores.metrics[metric.name])


def _change(metric: Metric, first: ComparedRun, second: ComparedRun) -> str:
    return metric.change_text(difference(first, second, metric.name))
