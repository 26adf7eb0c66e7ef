"""Registry of metrics: name, direction, format and function of every score.

Training, sweeps, tables, reports, comparisons, model cards and records read `METRICS`.
`docs/extending/metrics.md` shows how to add one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from prenda.scoring.calibration import brier_score, negative_log_likelihood, reliability
from prenda.scoring.predictions import Counts, Predictions

PRECISION, RECALL, F1 = range(3)  # columns of `by_class`


class Needs(Enum):
    """Part of the predictions that a metric reads."""

    counts = "the confusion matrix alone: logged each epoch of training too"
    ranks = "the order of the classes of each image"
    probabilities = "the probabilities: scored at the fitted temperature too"


class Shown(Enum):
    """Tables that show a metric. Files, MLflow and `report.html` have every metric."""

    headline = "tables of many runs, and all others"
    summary = "tables of one run or two: terminal, comparison, description in MLflow, model card"
    report = "no other table"


@dataclass(frozen=True)
class Metric:
    """One score of predictions.

    Attributes:
        name: As in `test/NAME`.
        title: For people, in lower case.
        function: Computes it.
        needs: What of the predictions the function looks at.
        percent: Shown as a percentage with differences in points; otherwise as a number with four decimals.
    """

    name: str
    title: str
    function: Callable[[Predictions], float]
    needs: Needs
    larger_is_better: bool = True
    percent: bool = False
    shown: Shown = Shown.summary

    def text(self, value: float) -> str:
        """Format a value: `92.08%` or `0.9208`."""
        return f"{value:.2%}" if self.percent else f"{value:.4f}"

    def change_text(self, difference: float) -> str:
        """Format the difference of two values with its sign: percentage points (`-3.43`) or `-0.0343`."""
        return f"{100 * difference:+.2f}" if self.percent else f"{difference:+.4f}"

    def interval_text(self, mean: float, half_width: float) -> str:
        """Format a mean ± the half width of its interval; the mean alone if the interval is infinite."""
        if np.isinf(half_width):
            return self.text(mean)
        return f"{self.text(mean)} ± {100 * half_width:.2f}" if self.percent else f"{mean:.4f} ± {half_width:.4f}"


def accuracy(confusion: Counts) -> float:
    """Return the fraction of correctly classified images."""
    return float(np.diag(confusion).sum() / max(int(confusion.sum()), 1))


def by_class(confusion: Counts) -> NDArray[np.float64]:
    """Return precision, recall and F1 of each class, (classes, 3).

    As with scikit-learn's `zero_division=0`, a class that is never predicted has precision 0, one without images has
    recall 0, and one with neither has F1 0.
    """
    right, support, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    precision, recall = right / np.maximum(predicted, 1), right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(support + predicted, 1)
    return np.stack([precision, recall, f1], axis=1)


def macro(confusion: Counts) -> NDArray[np.float64]:
    """Return means of `by_class` over all classes of the network, those without images included, (3,)."""
    means: NDArray[np.float64] = by_class(confusion).mean(0)
    return means


def weighted(confusion: Counts) -> NDArray[np.float64]:
    """Return means of `by_class`, weighted by the number of images of each class, (3,)."""
    return np.average(by_class(confusion), axis=0, weights=confusion.sum(1))


METRICS = (
    Metric(
        "accuracy",
        "accuracy",
        lambda p: accuracy(p.confusion),
        Needs.counts,
        percent=True,
        shown=Shown.headline,
    ),
    Metric(
        "top2_accuracy",
        "accuracy of the first two answers",
        lambda p: float((p.ranks <= 2).mean()),
        Needs.ranks,
        percent=True,
    ),
    Metric("f1", "macro F1", lambda p: float(macro(p.confusion)[F1]), Needs.counts, shown=Shown.headline),
    Metric("precision", "macro precision", lambda p: float(macro(p.confusion)[PRECISION]), Needs.counts),
    Metric("recall", "macro recall", lambda p: float(macro(p.confusion)[RECALL]), Needs.counts),
    Metric(
        "weighted_f1",
        "F1 weighted by class size",
        lambda p: float(weighted(p.confusion)[F1]),
        Needs.counts,
        shown=Shown.report,
    ),
    Metric(
        "weighted_precision",
        "precision weighted by class size",
        lambda p: float(weighted(p.confusion)[PRECISION]),
        Needs.counts,
        shown=Shown.report,
    ),
    Metric(
        "weighted_recall",
        "recall weighted by class size",
        lambda p: float(weighted(p.confusion)[RECALL]),
        Needs.counts,
        shown=Shown.report,
    ),
    Metric(
        "loss",
        "cross-entropy",
        negative_log_likelihood,
        Needs.probabilities,
        larger_is_better=False,
        shown=Shown.headline,
    ),
    Metric("brier", "Brier score", brier_score, Needs.probabilities, larger_is_better=False),
    Metric(
        "ece",
        "expected calibration error",
        lambda p: reliability(p).error,
        Needs.probabilities,
        larger_is_better=False,
    ),
)
METRIC_BY_NAME = {metric.name: metric for metric in METRICS}
HEADLINE = tuple(metric for metric in METRICS if metric.shown is Shown.headline)
SUMMARY = tuple(metric for metric in METRICS if metric.shown is not Shown.report)


def measure(predictions: Predictions, metrics: Iterable[Metric] = METRICS) -> dict[str, float]:
    """Return the value of each metric by its name."""
    return {metric.name: metric.function(predictions) for metric in metrics}


def needing(*needs: Needs) -> tuple[Metric, ...]:
    """Return the metrics that read these parts of the predictions."""
    return tuple(metric for metric in METRICS if metric.needs in needs)
