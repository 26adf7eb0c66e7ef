"""Figures and tables from predictions."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray


def write_confusion(matrix: NDArray[np.int64], class_names: Sequence[str], title: str, stem: Path) -> list[Path]:
    """Writes a confusion matrix as `stem`.png and `stem`.json.

    Shapes:
        matrix (N, N), counts; rows are the true classes, columns the predicted ones.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    picture, table = stem.with_suffix(".png"), stem.with_suffix(".json")
    confusion_figure(matrix, class_names, title).savefig(picture, dpi=100)
    content = {"class_names": list(class_names), "rows": "true", "columns": "predicted", "matrix": matrix.tolist()}
    table.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return [picture, table]


def class_scores(matrix: NDArray[np.int64], class_names: Sequence[str]) -> list[dict[str, str | float]]:
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


def write_class_scores(rows: Sequence[Mapping[str, str | float]], stem: Path) -> None:
    """Writes the table of `class_scores` as `stem`.csv and `stem`.json."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    with stem.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    stem.with_suffix(".json").write_text(json.dumps(list(rows), indent=2) + "\n", encoding="utf-8")


def write_predictions(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], class_names: Sequence[str], path: Path
) -> None:
    """Keeps predictions as a compressed npz of plain arrays: `probabilities`, `labels`, `class_names`.

    A row's number is the image's place in the data set, so that runs on the same images can be compared row by row.

    Shapes:
        probabilities (N, classes), after softmax; labels (N,).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, probabilities=probabilities, labels=labels, class_names=np.array(class_names))


def confusion_figure(matrix: NDArray[np.int64], class_names: Sequence[str], title: str) -> Figure:
    """Counts in the cells, each row's shares as the shade, so that classes of any size compare.

    The shades differ in lightness alone, which every kind of colour vision sees.
    """
    count = len(class_names)
    side = max(5.0, 0.62 * count + 2.2)  # inches
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(count), class_names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(count), class_names)
    axes.set(xlabel="Predicted", ylabel="True", title=title)
    for row, column in np.ndindex(count, count):
        colour = "white" if shares[row, column] > 0.5 else ("black" if matrix[row, column] else "silver")
        axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", color=colour)
    return figure


def samples_figure(images: NDArray[np.uint8], class_names: Sequence[str], title: str) -> Figure:
    """Rows of sample images, a row for each class.

    Shapes:
        images (N, samples, H, W), uint8, 0 is background.
    """
    classes, samples = images.shape[:2]
    figure = Figure(figsize=(1.6 + 0.62 * samples, 0.5 + 0.62 * classes), layout="constrained")
    figure.suptitle(title)
    grid = figure.subplots(classes, samples, squeeze=False)
    for row, name in enumerate(class_names):
        for column in range(samples):
            axes = grid[row, column]
            axes.imshow(images[row, column], cmap="gray_r", vmin=0, vmax=255)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        grid[row, 0].set_ylabel(name, rotation=0, ha="right", va="center")
    return figure
