from __future__ import annotations

import numpy as np
import pytest

from prenda.scoring.metrics import HEADLINE, METRIC_BY_NAME, METRICS, SUMMARY, Metric, Needs, measure, needing
from prenda.scoring.predictions import Predictions

NAMES = [metric.name for metric in METRICS]


def random_predictions(labels: tuple[int, ...] = (0, 1, 2, 3), said: int = 4) -> Predictions:
    """Of four classes, of which only some appear, and only the first so many are ever predicted."""
    random = np.random.default_rng(2)
    logits = random.normal(size=(300, 4)).astype(np.float32)
    logits[:, said:] -= 100
    return Predictions.of(logits, random.choice(labels, 300))


def always_wrong() -> Predictions:
    labels = np.arange(100) % 4
    classes = np.eye(4, dtype=np.float32)
    return Predictions.of(20 * (classes[(labels + 1) % 4] - classes[labels]), labels)


CASES = {
    "every class": random_predictions(),
    "a class without images": random_predictions(labels=(0, 1, 3)),
    "a class that is never predicted": random_predictions(said=3),
    "a class with neither": random_predictions(labels=(0, 1, 2), said=3),
    "one image": Predictions.of(np.array([[0.5, 2.0, 0.0, 1.0]], np.float32), np.array([3])),
    "all wrong": always_wrong(),
}


@pytest.mark.parametrize("case", CASES)
def test_precision_recall_and_f1_are_those_of_scikit_learn(case):
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    predictions = CASES[case]
    found, given = measure(predictions), (predictions.labels, predictions.predicted)
    for average, prefix in (("macro", ""), ("weighted", "weighted_")):
        expected = precision_recall_fscore_support(*given, labels=range(4), average=average, zero_division=0)
        for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
            assert found[prefix + name] == pytest.approx(value, abs=1e-12), prefix + name
    assert found["accuracy"] == pytest.approx(accuracy_score(*given))


@pytest.mark.parametrize("case", CASES)
def test_every_metric_has_a_finite_value(case):
    found = measure(CASES[case])
    assert list(found) == NAMES
    assert all(np.isfinite(value) for value in found.values())


@pytest.mark.parametrize("metric", METRICS, ids=NAMES)
def test_a_metric_needs_what_it_says(metric: Metric):
    predictions = random_predictions()
    if metric.needs is Needs.counts:
        assert metric.function(Predictions.counted(predictions.confusion)) == metric.function(predictions)
    changed = metric.function(predictions.at_temperature(3)) != metric.function(predictions)
    assert changed == (metric.needs is Needs.probabilities)


def test_counts_alone_have_no_images():
    counted = Predictions.counted(np.eye(3, dtype=np.int64))
    assert (counted.logits.shape, counted.logits.dtype) == ((0, 3), np.float32)
    assert (counted.labels.shape, counted.labels.dtype) == ((0,), np.int64)
    assert counted.log_probabilities.shape == (0, 3)


@pytest.mark.parametrize("metric", METRICS, ids=NAMES)
def test_a_metric_is_better_where_the_predictions_are(metric: Metric):
    labels = np.arange(100) % 4
    sure = Predictions.of(20 * np.eye(4, dtype=np.float32)[labels], labels)
    good, bad = metric.function(sure), metric.function(always_wrong())
    assert good > bad if metric.larger_is_better else good < bad


def test_names_are_unique_and_fit_a_path():
    assert len(set(NAMES)) == len(NAMES)
    assert all(name.isidentifier() and name not in ("lr", "calibrated", "seconds") for name in NAMES)


def test_of_equal_logits_the_class_with_the_lowest_index_comes_first():
    logits = np.array([[1, 1, 0], [1, 1, 0], [2, 1, 1], [2, 1, 0]], np.float32)
    predictions = Predictions.of(logits, np.array([0, 1, 2, 2]))
    assert predictions.ranks.tolist() == [1, 2, 3, 3]
    assert ((predictions.ranks == 1) == (predictions.predicted == predictions.labels)).all()
    assert METRIC_BY_NAME["top2_accuracy"].function(predictions) == pytest.approx(1 / 2)


def test_constant_logits_score_as_with_scikit_learn():
    from sklearn.metrics import accuracy_score, top_k_accuracy_score

    labels = np.arange(100) % 10
    logits = np.zeros((100, 10), np.float32)
    found = measure(Predictions.of(logits, labels))
    # scikit-learn sorts stably, from the last class to the first: of equals, the highest index comes first.
    assert found["top2_accuracy"] == 0.2 == top_k_accuracy_score(labels, logits, k=2)
    assert found["accuracy"] == 0.1 == accuracy_score(labels, logits.argmax(1))


def test_saturated_logits_keep_order_and_loss():
    """Their probabilities are 0 and 1 in float32, and equal for the second and the third class."""
    predictions = Predictions.of(np.array([[0, -200, -300], [-300, -200, 0]], np.float32), np.array([1, 1]))
    assert predictions.ranks.tolist() == [2, 2]
    assert METRIC_BY_NAME["loss"].function(predictions) == pytest.approx(200)


def test_percentages_differ_in_points_and_numbers_in_decimals():
    percent, number = (Metric("a", "a", lambda _: 0.0, Needs.counts, percent=percent) for percent in (True, False))
    assert (percent.text(0.9208), number.text(0.9208)) == ("92.08%", "0.9208")
    assert (percent.change_text(-0.0343), number.change_text(0.0343)) == ("-3.43", "+0.0343")
    assert percent.interval_text(0.92, 0.0321) == "92.00% ± 3.21"
    assert number.interval_text(0.92, 0.0021) == "0.9200 ± 0.0021"
    assert percent.interval_text(0.92, float("inf")) == "92.00%"


def test_tables_and_epochs_take_the_entries_that_are_for_them():
    assert {"loss", "brier", "ece"} <= {metric.name for metric in needing(Needs.probabilities)}
    assert {"accuracy", "f1"} <= {metric.name for metric in needing(Needs.counts)}
    assert {metric.name for metric in needing(Needs.counts, Needs.ranks, Needs.probabilities)} == set(NAMES)
    assert set(HEADLINE) < set(SUMMARY) < set(METRICS)
    assert METRIC_BY_NAME["accuracy"] in HEADLINE
    assert METRIC_BY_NAME["weighted_f1"] not in SUMMARY
