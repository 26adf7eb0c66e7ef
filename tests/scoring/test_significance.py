from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from prenda.scoring.significance import cochran_q, holm, mcnemar, mean_interval, welch_interval


def right(only_first: int, only_second: int, both: int = 50) -> tuple[np.ndarray, np.ndarray]:
    first = np.array([True] * only_first + [False] * only_second + [True] * both)
    second = np.array([False] * only_first + [True] * only_second + [True] * both)
    return first, second


def test_mcnemar_counts_disagreements_and_is_exact():
    """2 against 8 of 10 fair coins: 2 * (1 + 10 + 45) / 1024."""
    test = mcnemar(*right(2, 8))
    assert (test.only_first, test.only_second) == (2, 8)
    assert test.p_value == pytest.approx(2 * 56 / 1024)


def test_mcnemar_one_sided_asks_whether_the_second_is_better():
    assert mcnemar(*right(2, 8), alternative="greater").p_value == pytest.approx(56 / 1024)
    assert mcnemar(*right(8, 2), alternative="greater").p_value == pytest.approx(1013 / 1024)


def test_equal_predictions_are_no_difference():
    assert mcnemar(*right(0, 0)).p_value == 1.0
    assert cochran_q(np.ones((5, 3), bool)) == (0.0, 1.0)


def test_cochran_q_of_two_is_mcnemars_statistic():
    """For two classifiers Q is (b - c)^2 / (b + c), with one degree of freedom."""
    q, p_value = cochran_q(np.stack(right(2, 8), axis=1))
    assert q == pytest.approx(3.6)
    assert p_value == pytest.approx(0.05778, abs=1e-5)


def test_cochran_q_of_a_worked_case():
    """Three treatments of six subjects, by hand: Q = 2 * (3 * (36 + 9 + 1) - 100) / (3 * 10 - 20)."""
    scored = np.array([[1, 1, 0], [1, 1, 0], [1, 1, 1], [1, 0, 0], [1, 0, 0], [1, 0, 0]], bool)
    q, p_value = cochran_q(scored)
    assert q == pytest.approx(2 * 38 / 10)
    assert p_value == pytest.approx(np.exp(-3.8))  # chi-squared of two degrees is exponential


def test_holm_raises_the_smallest_most_and_keeps_the_order():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])


def test_an_interval_of_three_values_is_students():
    mean, half = mean_interval([1.0, 2.0, 3.0])
    assert (mean, half) == (2.0, pytest.approx(4.302653 / 3**0.5, abs=1e-5))
    assert mean_interval([1.0]) == (1.0, float("inf"))


def test_welchs_interval_is_scipys():
    first, second = [0.91, 0.92, 0.925], [0.93, 0.95]
    mean, half = welch_interval(first, second)
    low, high = stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    assert (mean - half, mean + half) == (pytest.approx(low), pytest.approx(high))
    assert welch_interval([0.5, 0.5], [0.5, 0.5]) == (0.0, 0.0)
