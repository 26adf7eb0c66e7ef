"""Figures and tables from predictions."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
