from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from prenda.scoring.calibration import BINS, fit_temperature, reliability
from prenda.scoring.metrics import Needs, measure, needing
from prenda.scoring.predictions import Predictions


def of_probabilities(predictions: Predictions) -> dict[str, float]:
    return measure(predictions, needing(Needs.probabilities))


def honest(count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits of three classes whose probabilities are true: labels are drawn from them."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(count, 3), scale=2.0)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (random.random((count, 1)) > probabilities.cumsum(1)).sum(1)
    return logits.astype(np.float32), labels


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_spoiled_the_logits_is_found(true_temperature):
    logits, labels = honest()
    found = fit_temperature(Predictions.of(logits * true_temperature, labels))
    assert found == pytest.approx(true_temperature, rel=0.05)


def test_scaling_by_the_fitted_temperature_lowers_loss_and_calibration_error():
    logits, labels = honest()
    predictions = Predictions.of(3 * logits, labels)
    before = of_probabilities(predictions)
    after = of_probabilities(predictions.at_temperature(fit_temperature(predictions)))
    assert all(after[name] < before[name] for name in ("loss", "brier", "ece"))
    assert after["ece"] < 0.02


def test_a_set_without_mistakes_gets_a_temperature_within_the_bounds():
    logits = np.tile(np.array([4.0, 0.0], np.float32), (50, 1))
    assert fit_temperature(Predictions.of(logits, np.zeros(50, np.int64))) < 0.1
    assert fit_temperature(Predictions.of(logits, np.arange(50) % 2)) == pytest.approx(20, rel=1e-3)


def test_calibration_error_is_that_of_torchmetrics():
    logits, labels = honest(3_000)
    expected = multiclass_calibration_error(torch.tensor(2 * logits), torch.tensor(labels), 3, n_bins=BINS)
    assert of_probabilities(Predictions.of(2 * logits, labels))["ece"] == pytest.approx(expected.item(), abs=1e-4)


def test_brier_score_is_0_for_the_sure_and_right_and_2_for_the_sure_and_wrong():
    logits = np.array([[50.0, 0.0], [50.0, 0.0]], np.float32)
    assert of_probabilities(Predictions.of(logits, np.array([0, 0])))["brier"] == pytest.approx(0)
    assert of_probabilities(Predictions.of(logits, np.array([1, 1])))["brier"] == pytest.approx(2)


def test_every_image_falls_into_a_bin():
    logits = np.array([[50.0, 0.0], [0.0, 0.0], [0.1, 0.0]], np.float32)  # confidence 1, one half, a little more
    bins = reliability(Predictions.of(logits, np.array([0, 1, 0])))
    assert bins.count.sum() == 3
    assert bins.count[-1] == 1
    assert np.isnan(bins.accuracy[0])
