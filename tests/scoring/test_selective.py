from __future__ import annotations

import numpy as np
import pytest

from prenda.scoring.predictions import Predictions
from prenda.scoring.selective import energy, fit_thresholds


def predictions(confidences: list[float], right: list[bool]) -> Predictions:
    """Predictions of class 0 of two, with these probabilities; the label is 1 where the answer is wrong."""
    p = np.array(confidences)
    logits = np.stack([np.log(p), np.log(1 - p)], 1).astype(np.float32)
    return Predictions.of(logits, np.where(right, 0, 1))


def test_the_threshold_answers_as_many_as_the_target_allows():
    at = fit_thresholds(predictions([0.9] * 50 + [0.8] * 50 + [0.6] * 10, [True] * 99 + [False] + [False] * 10), 1.0)
    assert at["confidence"] == 0.8  # 99 of 100 are right from there on, 99 of 110 below


def test_the_target_itself_is_enough():
    assert fit_thresholds(predictions([0.9] * 50, [True] * 49 + [False]), 1.0)["confidence"] == 0.9


def test_equal_confidences_are_answered_together():
    at = fit_thresholds(predictions([0.9] * 10 + [0.7] * 10, [True] * 10 + [True] * 9 + [False]), 1.0)
    assert at["confidence"] == 0.9  # the nine right ones of 0.7 cannot be answered without the wrong one


def test_a_network_that_is_never_right_is_always_unsure():
    assert fit_thresholds(predictions([0.9, 0.8], [False, False]), 1.0)["confidence"] == 1.0


def test_the_temperature_is_that_of_the_probabilities():
    values = predictions([0.9] * 100, [True] * 100)
    assert fit_thresholds(values, 2.0)["confidence"] == pytest.approx(0.75, abs=1e-4)


def test_the_energy_is_that_of_the_logits_alone():
    logits = np.array([[0.0, 0.0], [10.0, 0.0], [1000.0, 0.0]], np.float32)
    assert energy(logits) == pytest.approx([-np.log(2), -10.0000454, -1000])


def test_few_validation_images_exceed_the_energy_threshold():
    logits = np.random.default_rng(0).normal(size=(1000, 5)).astype(np.float32)
    values = Predictions.of(logits, logits.argmax(1))
    assert (energy(logits) > fit_thresholds(values, 1.0)["energy"]).mean() <= 0.01
    few = Predictions.of(logits[:10], logits[:10].argmax(1))
    assert fit_thresholds(few, 1.0)["energy"] == energy(logits[:10]).max()
