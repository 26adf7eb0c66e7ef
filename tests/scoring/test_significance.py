from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from prenda.scoring.significance import (
    accuracy_interval,
    accuracy_text,
    cochran_q,
    difference_interval,
    holm,
    mcnemar,
    mean_interval,
    welch,
)


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
    assert mean_interval([1.0, 3.0]) == (2.0, pytest.approx(12.706205))
    assert mean_interval([1.0]) == (1.0, float("inf"))


def test_welchs_test_and_interval_are_scipys():
    first, second = [0.91, 0.92, 0.925], [0.93, 0.95]
    test, reference = welch(first, second), stats.ttest_ind(second, first, equal_var=False)
    low, high = reference.confidence_interval(0.95)
    assert (test.difference - test.half_width, test.difference + test.half_width) == pytest.approx((low, high))
    assert test.p_value == pytest.approx(reference.pvalue)
    for one, other in ((first, second), (second, first)):
        expected = stats.ttest_ind(other, one, equal_var=False, alternative="greater").pvalue
        assert welch(one, other, "greater").p_value == pytest.approx(expected)
        assert welch(one, other).p_value == pytest.approx(reference.pvalue)


@pytest.mark.parametrize("second", [[0.5, 0.5], [0.6, 0.6]])
def test_values_that_do_not_vary_are_not_tested(second):
    test = welch([0.5, 0.5], second)
    assert (test.p_value, test.defined) == (1.0, False)
    assert test.difference == pytest.approx(second[0] - 0.5)


def test_the_interval_of_an_accuracy_is_wilsons():
    """By hand for 8 of 10: (8 + z² / 2) / (10 + z²) ± z / (10 + z²) * sqrt(8 * 2 / 10 + z² / 4)."""
    z = 1.959964
    middle, half = (8 + z**2 / 2) / (10 + z**2), z / (10 + z**2) * (1.6 + z**2 / 4) ** 0.5
    assert accuracy_interval(8, 10) == pytest.approx((middle - half, middle + half))
    low, high = accuracy_interval(10, 10)
    assert 0.6 < low < high == 1.0
    assert accuracy_text(0.9262, 10_000) == "92.62%, 95% interval 92.09% to 93.12%"


def test_the_interval_of_a_difference_is_bonetts_and_prices():
    """By hand for 7 against 1 of 21: -6/23 ± 1.96 * sqrt((10/23 - (6/23)²) / 23)."""
    assert difference_interval(7, 1, 21) == pytest.approx((-0.508, -0.013), abs=1e-3)
    assert difference_interval(1, 7, 21) == pytest.approx((0.013, 0.508), abs=1e-3)
    low, high = difference_interval(0, 0, 10_000)
    assert low == pytest.approx(-high)
    assert difference_interval(0, 2, 2)[1] <= 1


def test_the_interval_of_a_difference_holds_in_19_of_20_samples():
    random, truth = np.random.default_rng(0), 0.03
    counts = random.multinomial(372, [0.04, 0.07, 0.89], size=4_000)
    intervals = [difference_interval(first, second, 372) for first, second, _ in counts]
    assert np.mean([low <= truth <= high for low, high in intervals]) == pytest.approx(0.95, abs=0.015)
