"""Selective prediction: thresholds below which an answer is unsure, fitted on validation images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from prenda.scoring.predictions import Logits, Predictions

TARGET = 0.98  # accuracy of the answers that are given on validation; a point above the 97% that is promised
# Share of validation images above the threshold. For novelty the customary 5%, which turned away twice as many foreign
# pictures as 1% and no more garments (docs/decisions/0018-novelty.md); energy would turn away garments too.
REJECTED = {"energy": 0.01, "novelty": 0.05}
DECIMALS = 4  # probabilities are rounded before any threshold, so that every program decides alike


def fit_thresholds(
    predictions: Predictions, temperature: float, novelty: NDArray[np.float64] | None = None
) -> dict[str, float]:
    """Return the thresholds of confidence and of energy or novelty; an answer beyond either of them is unsure.

    `confidence` is the smallest probability of the predicted class at which the answers that are given are right often
    enough (Geifman and El-Yaniv, arXiv 1705.08500, without their bound). `energy` is the free energy that few
    validation images exceed (Liu and others, arXiv 2010.03759). `novelty` takes its place where it is known.

    Args:
        predictions: Predictions on validation, which chose no weights of the network.
        temperature: Temperature of the probabilities.
        novelty: Novelty of validation images, (M,), any number of them (see `prenda.scoring.novelty`).
    """
    confidence = np.round(predictions.at_temperature(temperature).probabilities.max(1), DECIMALS)
    right = predictions.predicted == predictions.labels
    name, values = ("energy", energy(predictions.logits)) if novelty is None else ("novelty", novelty)
    return {
        "confidence": _confidence_threshold(confidence, right),
        name: float(np.quantile(values, 1 - REJECTED[name], method="higher")),
    }


def energy(logits: Logits) -> NDArray[np.float64]:
    """Return the free energy of each image, at temperature 1; a low value means a familiar image.

    Shapes:
        logits (N, classes) -> (N,), float64.
    """
    values: NDArray[np.float64] = -logsumexp(logits.astype(np.float64), axis=1)
    return values


def _confidence_threshold(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """Return the smallest confidence from which on TARGET of the answers are right; 1 if there is none.

    Shapes:
        confidence (N,), rounded; right (N,).
    """
    order = np.argsort(-confidence)
    accuracy = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # Equal confidences are answered together, so only the last of them is a possible threshold.
    last = np.append(np.diff(confidence[order]) != 0, True)
    possible = np.flatnonzero(last & (accuracy >= TARGET))
    return float(round(float(confidence[order][possible[-1]]), DECIMALS)) if len(possible) else 1.0
