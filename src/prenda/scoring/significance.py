"""Tests of statistical significance for differences between classifiers, and intervals.

Two kinds of chance can make one classifier look better than another. McNemar's test, Cochran's test and the intervals
over images exclude chance in the choice of test images. Welch's test over training seeds excludes chance in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95  # of intervals
COVERED = "The interval (Wilson) covers the choice of the test images, not chance in training."
SIGNIFICANCE = 0.05  # a smaller p-value is called statistically significant


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
    by_classifier, by_image = right.sum(0), right.sum(1)
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


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the half width of its 95% Student interval; of a single value, the half width is infinite."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("inf")
    half = stats.sem(values) * stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    return mean, float(half)


@dataclass(frozen=True)
class Welch:
    """Welch's t-test of two means, with the interval of their difference.

    Attributes:
        difference: Second mean less the first.
        half_width: Half the width of the 95% interval of the difference; infinite if the test is not defined.
        p_value: Probability of a difference at least this large if the means were equal; 1 if the test is not defined.
    """

    difference: float
    half_width: float
    p_value: float

    @property
    def defined(self) -> bool:
        """Whether there was a test: it needs values that vary."""
        return bool(np.isfinite(self.half_width))


def welch(
    first: Sequence[float], second: Sequence[float], alternative: Literal["two-sided", "greater"] = "two-sided"
) -> Welch:
    """Compare the means of two samples of at least two values each, whose variances may differ (Welch 1947).

    Not scipy's function, which warns if all values are equal and then gives p = 0.

    Args:
        first: Values of the first sample.
        second: Values of the second one.
        alternative: `greater` asks whether the second mean is larger, `two-sided` whether they differ.
    """
    difference = float(np.mean(second) - np.mean(first))
    errors = [float(np.var(values, ddof=1)) / len(values) for values in (first, second)]
    if sum(errors) == 0:
        return Welch(difference, float("inf"), 1.0)
    freedom = sum(errors) ** 2 / (errors[0] ** 2 / (len(first) - 1) + errors[1] ** 2 / (len(second) - 1))
    error = float(np.sqrt(sum(errors)))
    tail = stats.t.sf(difference / error, freedom)
    p_value = tail if alternative == "greater" else 2 * min(tail, 1 - tail)
    return Welch(difference, float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * error), float(p_value))


def accuracy_interval(right: int, images: int) -> tuple[float, float]:
    """Return the 95% interval of an accuracy over the images (Wilson 1927): its lower and its upper bound."""
    low, high = stats.binomtest(right, images).proportion_ci(CONFIDENCE, "wilson")
    return float(low), float(high)


def accuracy_text(accuracy: float, images: int) -> str:
    """Return an accuracy with its interval over the images: `92.62%, 95% interval 92.09% to 93.12%`."""
    low, high = accuracy_interval(round(accuracy * images), images)
    return f"{accuracy:.2%}, {CONFIDENCE:.0%} interval {low:.2%} to {high:.2%}"


def difference_interval(only_first: int, only_second: int, images: int) -> tuple[float, float]:
    """Return the 95% interval of a difference of accuracies on the same images, second less first.

    It is Wald's with one image added to each kind of disagreement (Bonett and Price 2012), which keeps its coverage in
    small samples too.
    """
    first, second = ((count + 1) / (images + 2) for count in (only_first, only_second))
    middle = second - first
    half = stats.norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt((first + second - middle**2) / (images + 2))
    return float(max(middle - half, -1)), float(min(middle + half, 1))
