"""Figures as files that other programs read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prenda.report.page import Table
from prenda.scoring.metrics import Metric
from prenda.scoring.scores import Row


def score_table(metrics: Iterable[Metric], scores: Mapping[str, Mapping[str, float]]) -> Table:
    """A row for each metric, a column for each part of the data: further metrics make no table too wide.

    Args:
        metrics: In their order.
        scores: By part of the data and name of the metric.
    """
    rows = [(m.name, *(m.text(values[m.name]) for values in scores.values())) for m in metrics]
    return Table(("", *scores), rows)


def write_json(content: Any, path: Path) -> None:
    """Writes JSON, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_rows(rows: Sequence[Row], stem: Path) -> None:
    """Writes rows of equal columns as `stem`.csv and `stem`.json."""
    write_json(list(rows), stem.with_suffix(".json"))
    with stem.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]) if rows else [])
        table.writeheader()
        table.writerows(rows)


def write_confusion(matrix: NDArray[np.int64], class_names: Sequence[str], path: Path) -> None:
    """Writes a confusion matrix as JSON.

    Shapes:
        matrix (N, N), counts; rows are the true classes, columns the predicted ones.
    """
    content = {"class_names": list(class_names), "rows": "true", "columns": "predicted", "matrix": matrix.tolist()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


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


def read_predictions(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64], tuple[str, ...]]:
    """Probabilities, labels and class names, as `write_predictions` kept them. Runs no code of the file."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:  # numpy alone leaves a bad file open
        return kept["probabilities"], kept["labels"], tuple(map(str, kept["class_names"]))


def read_history(path: Path) -> dict[str, dict[int, float]]:
    """The figures of each epoch, by name, from the run's `metrics.csv`."""
    history: dict[str, dict[int, float]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and "/" in name:
                    history.setdefault(name, {})[int(row["step"])] = float(value)
    return history
