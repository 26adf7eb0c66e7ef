"""Scores of predictions: metrics, scores by class, confused pairs and overfitting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prenda.scoring.metrics import accuracy, by_class, macro, measure, weighted
from prenda.scoring.predictions import Labels, Logits, Predictions

Row = dict[str, str | float]


@dataclass(frozen=True)
class Scores(Predictions):
    """Predictions on one part of the data, in the order of the data set, with their scores.

    Attributes:
        classes: A row for each class, then `accuracy`, `macro avg` and `weighted avg`.
        metrics: Every metric of `prenda.scoring.metrics` by its name.
    """

    classes: list[Row]
    metrics: dict[str, float]


def score(logits: Logits, labels: Labels, class_names: Sequence[str]) -> Scores:
    """Compute every metric and the scores by class.

    Shapes:
        logits (N, classes); labels (N,).
    """
    predictions = Predictions.of(logits, labels)
    classes = class_scores(predictions.confusion, class_names)
    return Scores(logits, labels, predictions.confusion, classes, measure(predictions))


def class_scores(matrix: NDArray[np.int64], class_names: Sequence[str]) -> list[Row]:
    """Return a row for each class, then accuracy and two means, as scikit-learn's `classification_report` does.

    A class that was never predicted has precision 0. `accuracy` stands in all three columns.

    Shapes:
        matrix (N, N), counts; rows are the true classes, columns the predicted ones.
    """
    support, total, right = matrix.sum(1), int(matrix.sum()), accuracy(matrix)
    rows = [(name, *values, int(n)) for name, values, n in zip(class_names, by_class(matrix), support, strict=True)]
    rows.append(("accuracy", right, right, right, total))
    rows.append(("macro avg", *macro(matrix), total))
    rows.append(("weighted avg", *weighted(matrix), total))
    return [
        {"class": name, "precision": float(p), "recall": float(r), "f1-score": float(f), "support": count}
        for name, p, r, f, count in rows
    ]


def confused_pairs(matrix: NDArray[np.int64], class_names: Sequence[str], most: int = 10) -> list[Row]:
    """Return the most confused pairs: true class, predicted class, images, and share of the true class.

    Shapes:
        matrix (N, N), counts; rows are the true classes, columns the predicted ones.
    """
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), len(class_names)) for place in order]
    return [
        {
            "true": class_names[true],
            "predicted": class_names[predicted],
            "images": int(wrong[true, predicted]),
            "share": float(wrong[true, predicted] / matrix[true].sum()),
        }
        for true, predicted in pairs
        if wrong[true, predicted]
    ]


def overfitting(train: Scores, test: Scores) -> str:
    """Return one sentence on the gap between training and test accuracy.

    The gap has a 95% interval (normal approximation of two independent proportions). The network `overfits` if the
    interval lies above 2 points, and `overfits slightly` if it lies above 0.
    """
    gap = train.metrics["accuracy"] - test.metrics["accuracy"]
    variances = (s.metrics["accuracy"] * (1 - s.metrics["accuracy"]) / len(s.labels) for s in (train, test))
    half = 1.96 * float(np.sqrt(sum(variances)))
    verdict = "overfits" if gap - half > 0.02 else "overfits slightly" if gap > half else "does not overfit measurably"
    known, new = train.metrics, test.metrics
    return (
        f"The network {verdict}: accuracy is {known['accuracy']:.2%} on the {len(train.labels):,} training images and "
        f"{new['accuracy']:.2%} on the {len(test.labels):,} test images, a gap of {100 * gap:.1f} ± {100 * half:.1f} "
        f"points (loss {known['loss']:.3f} and {new['loss']:.3f}), both in evaluation mode, without augmentation."
    )
