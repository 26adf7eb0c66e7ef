"""Results of a comparison of runs, and their tables of scores; `significance` has the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prenda.report.page import Table
from prenda.scoring.metrics import HEADLINE, SUMMARY, Metric
from prenda.scoring.scores import Scores
from prenda.scoring.significance import McNemar, Welch

MOST_RUNS_SHOWN = 6  # of matrices and classes


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
        seeds_only: Whether both have one configuration, so that they differ by chance in training.
    """

    first: ComparedRun
    second: ComparedRun
    different: int
    test: McNemar
    p_value: float
    seeds_only: bool


@dataclass(frozen=True)
class Group:
    """Runs of one configuration: they differ in their seed alone.

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
class SeedTest:
    """Welch's test of the accuracies of two configurations over their training seeds.

    Attributes:
        p_value: The test's p-value; of several tests, after Holm's correction.
    """

    first: Group
    second: Group
    test: Welch
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """Runs on the same test images.

    Attributes:
        pairs: All pairs, each with McNemar's test over the test images.
        cochran: Q and its p-value over the test images; None for two runs.
        seed_tests: Welch's test over training seeds for each pair of configurations with several seeds.
        notes: Reservations about single runs, in sentences.
    """

    class_names: Sequence[str]
    runs: Sequence[ComparedRun]
    pairs: Sequence[Pair]
    cochran: tuple[float, float] | None
    groups: Sequence[Group]
    seed_tests: Sequence[SeedTest]
    notes: Sequence[str] = ()

    @property
    def name(self) -> str:
        """`A against B` by their names, or the number of runs."""
        first, second = self.runs[0].name, self.runs[1].name
        return f"{first} against {second}" if len(self.runs) == 2 else f"{len(self.runs)} runs compared"

    def metrics(self) -> dict[str, float]:
        """Return the metrics for MLflow: p-values, images of disagreement, differences from the first run."""
        first, others = self.runs[0], self.runs[1:]
        right = np.stack([run.right for run in self.runs])
        flat = {
            "p_value": self.pairs[0].p_value if self.cochran is None else self.cochran[1],
            "disagreements": float((right.any(0) & ~right.all(0)).sum()),
        }
        if len(self.seed_tests) == 1:
            flat["p_value_over_seeds"] = self.seed_tests[0].p_value
        for run in others:
            flat |= {f"difference/{m.name}/{run.letter}": difference(first, run, m.name) for m in SUMMARY}
        return flat


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


def difference(first: ComparedRun, second: ComparedRun, name: str) -> float:
    """Return the difference of a metric, second less first."""
    return second.scores.metrics[name] - first.scores.metrics[name]


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
