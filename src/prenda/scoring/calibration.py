"""Calibration of a network's confidence: temperature scaling, reliability, Brier score and likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from prenda.scoring.predictions import Predictions

BINS = 15  # of confidence, all equally wide, as in Guo and others (arXiv 1706.04599)


@dataclass(frozen=True)
class Reliability:
    """Reliability diagram: images in bins of confidence, the probability of the predicted class.

    Shapes:
        count, confidence, accuracy (BINS,): images in a bin, their mean confidence, the part that is right; NaN where
        a bin is empty.
    """

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error: the mean distance of confidence and accuracy over the images."""
        gap = np.nan_to_num(np.abs(self.confidence - self.accuracy))
        return float(np.average(gap, weights=self.count))


def fit_temperature(predictions: Predictions) -> float:
    """Return the temperature of the smallest negative log-likelihood (Guo and others, section 4.2).

    Logits are divided by it, which changes no predicted class. More than 1 means that the network is overconfident.
    The search is bounded to 0.05 to 20, because the likelihood has no maximum if every image is right.
    """
    optimum = minimize_scalar(
        lambda log_t: negative_log_likelihood(predictions.at_temperature(np.exp(log_t))),
        bounds=(np.log(0.05), np.log(20)),
        method="bounded",
    )
    return float(np.exp(optimum.x))


def negative_log_likelihood(predictions: Predictions) -> float:
    """Return the mean negative log-likelihood over the images, natural logarithm."""
    labels = predictions.labels
    return float(-predictions.log_probabilities[np.arange(len(labels)), labels].mean())


def brier_score(predictions: Predictions) -> float:
    """Return the mean over the images of the squared error of the probabilities, summed over the classes (0 to 2)."""
    probabilities, labels = np.exp(predictions.log_probabilities), predictions.labels
    squares = (probabilities**2).sum(1) - 2 * probabilities[np.arange(len(labels)), labels] + 1
    return float(squares.mean())


def reliability(predictions: Predictions) -> Reliability:
    """Return the reliability diagram of predictions."""
    confidence = np.exp(predictions.log_probabilities.max(1))
    right = predictions.predicted == predictions.labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    full = np.where(count == 0, np.nan, count)
    return Reliability(
        count, np.bincount(bins, confidence, BINS) / full, np.bincount(bins, right.astype(float), BINS) / full
    )
