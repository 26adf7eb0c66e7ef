"""Predictions of a network on one part of the data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

Logits = NDArray[np.float32]
Labels = NDArray[np.int64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Predictions:
    """Predictions and true classes, with cached values that several metrics share.

    Attributes:
        logits: (N, classes), float32; (0, classes) where only the counts are known. Of equal logits, the class with the
            lowest index comes first, in every metric.
        labels: (N,), the true classes.
        confusion: (classes, classes), counts; rows are the true classes, columns the predicted ones.
    """

    logits: Logits
    labels: Labels
    confusion: Counts

    @classmethod
    def of(cls, logits: Logits, labels: Labels) -> Predictions:
        """Count the confusion matrix and return the predictions.

        Shapes:
            logits (N, classes); labels (N,).
        """
        confusion = np.zeros((logits.shape[1], logits.shape[1]), np.int64)
        np.add.at(confusion, (labels, logits.argmax(1)), 1)
        return Predictions(logits, labels, confusion)

    @classmethod
    def counted(cls, confusion: Counts) -> Predictions:
        """Return predictions of which only the confusion matrix is known."""
        return Predictions(np.empty((0, len(confusion)), np.float32), np.empty(0, np.int64), confusion)

    def at_temperature(self, temperature: float) -> Predictions:
        """Return the predictions with logits divided by a temperature, which changes no predicted class."""
        return Predictions(self.logits / temperature, self.labels, self.confusion)

    @property
    def predicted(self) -> Labels:
        """(N,), the most probable classes."""
        values: Labels = self.logits.argmax(1)
        return values

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """(N, classes), in the precision of the logits."""
        values: NDArray[np.float32] = softmax(self.logits, axis=1)
        return values

    @cached_property
    def log_probabilities(self) -> NDArray[np.float64]:
        """(N, classes), natural logarithm."""
        values: NDArray[np.float64] = log_softmax(self.logits.astype(np.float64), axis=1)
        return values

    @cached_property
    def ranks(self) -> NDArray[np.int64]:
        """(N,), the rank of the true class by logit; 1 is the predicted class."""
        true, classes = self.logits[np.arange(len(self.labels)), self.labels], np.arange(self.logits.shape[1])
        tied_before = (self.logits == true[:, None]) & (classes < self.labels[:, None])
        ranks: NDArray[np.int64] = 1 + ((self.logits > true[:, None]) | tied_before).sum(1)
        return ranks
