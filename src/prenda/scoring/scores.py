"""Figures from predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from prenda.scoring.calibration import Labels, Logits, calibration_metrics

Row = dict[str, str | float]


@dataclass(frozen=True)
class Scores:
    """What a network is worth on one part of the data.

    Attributes:
        logits: (N, classes), in the data set's own order.
        labels: (N,), the true classes.
        confusion: (classes, classes), counts; rows are the true classes, columns the predicted ones.
        classes: A row for each class, then `accuracy`, `macro avg` and `weighted avg`.
        metrics: loss (negative log-likelihood), accuracy, top2_accuracy, f1, precision and recall as means over the
            classes, the same as weighted_… by the classes' sizes, brier and ece.
    """

    logits: Logits
    labels: Labels
    confusion: NDArray[np.int64]
    classes: list[Row]
    metrics: dict[str, float]

    @property
    def predicted(self) -> Labels:
        """(N,), the most probable classes."""
        values: Labels = self.logits.argmax(1)
        return values

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """(N, classes)."""
        values: NDArray[np.float32] = softmax(self.logits, axis=1)
        return values


def score(logits: Logits, labels: Labels, class_names: Sequence[str]) -> Scores:
    """Counts what can be said of predictions.

    Shapes:
        logits (N, classes); labels (N,).
    """
    confusion = np.zeros((len(class_names), len(class_names)), np.int64)
    np.add.at(confusion, (labels, logits.argmax(1)), 1)
    classes = class_scores(confusion, class_names)
    accuracy, macro, weighted = classes[-3:]
    higher = (logits > logits[np.arange(len(labels)), labels][:, None]).sum(1)  # classes above the true one
    metrics = {
        "accuracy": float(accuracy["f1-score"]),
        "top2_accuracy": float((higher < 2).mean()),
        "f1": float(macro["f1-score"]),
        "precision": float(macro["precision"]),
        "recall": float(macro["recall"]),
        "weighted_f1": float(weighted["f1-score"]),
        "weighted_precision": float(weighted["precision"]),
        "weighted_recall": float(weighted["recall"]),
    }
    return Scores(logits, labels, confusion, classes, metrics | calibration_metrics(logits, labels))


def class_scores(matrix: NDArray[np.int64], class_names: Sequence[str]) -> list[Row]:
    """A row for each class, then accuracy and two means, with the columns of scikit-learn's `classification_report`.

    A class that was never predicted has precision 0. `accuracy` stands in all three columns.

    Shapes:
        matrix (N, N), counts; rows are the true classes, columns the predicted ones.
    """
    right, support, predicted = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    precision, recall = right / np.maximum(predicted, 1), right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(support + predicted, 1)
    columns = np.stack([precision, recall, f1], axis=1)  # (N, 3)
    accuracy, total = right.sum() / max(int(support.sum()), 1), int(support.sum())
    rows = [(name, *values, int(count)) for name, values, count in zip(class_names, columns, support, strict=True)]
    rows.append(("accuracy", accuracy, accuracy, accuracy, total))
    rows.append(("macro avg", *columns.mean(0), total))
    rows.append(("weighted avg", *np.average(columns, axis=0, weights=support), total))
    return [
        {"class": name, "precision": float(p), "recall": float(r), "f1-score": float(f), "support": count}
        for name, p, r, f, count in rows
    ]


def confused_pairs(matrix: NDArray[np.int64], class_names: Sequence[str], most: int = 10) -> list[Row]:
    """The pairs of classes that are taken for each other most often: true, predicted, images, part of the true class.

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
    """One sentence that says whether the network knows its training images better than new ones.

    The gap in accuracy is told with its 95% interval (normal approximation of two independent proportions). It
    `overfits` where the interval lies above 2 points, `slightly` where it lies above 0.
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
