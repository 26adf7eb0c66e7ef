"""Tests of statistical significance for differences between classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test on one set of images.

    Attributes:
        only_first: Images that the first classifier has right and the second wrong.
        only_second: The reverse.
        p_value: Probability of a division at least this uneven if neither classifier were better.
    """

    only_first: int
    only_second: int
    p_value: float


def mcnemar(
    first: NDArray[np.bool_], second: NDArray[np.bool_], alternative: Literal["two-sided", "greater"] = "two-sided"
) -> McNemar:
    """Compare two classifiers on the images that exactly one of them has right (McNemar 1947, exact form).

    Args:
        first: Which images the first has right, (N,).
        second: Which of the same images the second has right, (N,).
        alternative: `greater` asks whether the second is better, `two-sided` whether they differ.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    disagreements = only_first + only_second
    p_value = stats.binomtest(only_second, disagreements, 0.5, alternative).pvalue if disagreements else 1.0
    return McNemar(only_first, only_second, float(p_value))


def cochran_q(right: NDArray[np.bool_]) -> tuple[float, float]:
    """Return Q and the p-value of Cochran's test that several classifiers are equally accurate (Cochran 1950).

    Shapes:
        right (N, classifiers), which images each has right.
    """
    count = right.shape[1]
    by_classifier, by_image = right.sum(0, dtype=np.int64), right.sum(1, dtype=np.int64)
    total = int(right.sum())
    spread = int((by_image * (count - by_image)).sum())
    if spread == 0:  # all of them have the same images right
        return 0.0, 1.0
    q = float((count - 1) * (count * (by_classifier**2).sum() - total**2) / spread)
    return q, float(stats.chi2.sf(q, count - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for multiple tests, which bounds the family-wise error rate (Holm 1979)."""
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    raised = np.minimum(np.maximum.accumulate(np.asarray(p_values)[order] * factors), 1.0)
    adjusted = np.empty(len(p_values))
    adjusted[order] = raised
    return [float(value) for value in adjusted]


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return the mean and the half width of its Student interval; of a single value, the half width is infinite."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("inf")
    half = stats.sem(values) * stats.t.ppf((1 + confidence) / 2, len(values) - 1)
    return mean, float(half)


def welch_interval(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return the difference of two means, second less first, and the half width of its interval (Welch 1947).

    Not scipy's function, which warns if all values are equal.
    """
    difference = float(np.mean(second) - np.mean(first))
    errors = [float(np.var(values, ddof=1)) / len(values) for values in (first, second)]
    if sum(errors) == 0:
        return difference, 0.0
    freedom = sum(errors) ** 2 / (errors[0] ** 2 / (len(first) - 1) + errors[1] ** 2 / (len(second) - 1))
    return difference, float(stats.t.ppf((1 + confidence) / 2, freedom) * np.sqrt(sum(errors)))
