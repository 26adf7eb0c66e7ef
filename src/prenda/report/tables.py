"""Tables as CSV, JSON and Markdown, and predictions as npz files."""

from __future__ import annotations

import csv
import html
import json
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prenda.report.page import Table
from prenda.scoring.metrics import Metric
from prenda.scoring.scores import Row


def score_table(metrics: Iterable[Metric], scores: Mapping[str, Mapping[str, float]]) -> Table:
    """Return a table with a row for each metric and a column for each part of the data.

    Args:
        metrics: Metrics in the order of the rows.
        scores: Values by part of the data and name of the metric.
    """
    rows = [(m.name, *(m.text(values[m.name]) for values in scores.values())) for m in metrics]
    return Table(("", *scores), rows)


def markdown_text(text: str) -> str:
    """Escape text for Markdown: one line, no HTML, and no `|` that ends a cell."""
    return html.escape(" ".join(text.split()), quote=False).replace("|", r"\|")


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table with escaped cells."""
    lines = [f"| {' | '.join(map(markdown_text, cells))} |" for cells in (columns, *rows)]
    return "\n".join([lines[0], "|---" * len(columns) + "|", *lines[1:]])


def write_json(content: Any, path: Path) -> None:
    """Write JSON, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_rows(rows: Sequence[Row], stem: Path) -> None:
    """Write rows of equal columns as `stem`.csv and `stem`.json."""
    write_json(list(rows), stem.with_suffix(".json"))
    with stem.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]) if rows else [])
        table.writeheader()
        table.writerows(rows)


def write_confusion(matrix: NDArray[np.int64], class_names: Sequence[str], path: Path) -> None:
    """Write a confusion matrix as JSON.

    Shapes:
        matrix (N, N), counts; rows are the true classes, columns the predicted ones.
    """
    content = {"class_names": list(class_names), "rows": "true", "columns": "predicted", "matrix": matrix.tolist()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class RecordedPredictions:
    """Predictions of a run on one split, in the order of the data set.

    Attributes:
        logits: (N, classes), float32.
        labels: (N,), the true classes.
        exact: Whether the run recorded logits. Version 0.1.0 recorded probabilities: logits are then their logarithms.
        rounded: Number of images whose true class has a recorded probability of 0, which counts as the smallest number.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    exact: bool = True
    rounded: int = 0


def write_predictions(
    logits: NDArray[np.float32], labels: NDArray[np.int64], class_names: Sequence[str], path: Path
) -> None:
    """Write predictions as a compressed npz of plain arrays: `logits`, `labels`, `class_names`.

    Rows are in the order of the data set, so that runs on the same images can be compared row by row. Probabilities
    would not do: where they saturate, they have lost the order of the classes and the loss.

    Shapes:
        logits (N, classes), float32; labels (N,).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, logits=logits, labels=labels, class_names=np.array(class_names))


# Errors of numpy, zipfile and zlib that `read_predictions` raises for a damaged file or another kind of file.
UNREADABLE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)


def read_predictions(path: Path) -> RecordedPredictions:
    """Return the predictions in a file of `write_predictions`; execute no code from it."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # numpy alone leaves a bad file open
        labels, names = arrays["labels"], tuple(map(str, arrays["class_names"]))
        if "logits" in arrays:
            return RecordedPredictions(arrays["logits"], labels, names)
        probabilities = arrays["probabilities"]
    rounded = int((probabilities[np.arange(len(labels)), labels] == 0).sum())
    logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)).astype(np.float32)
    return RecordedPredictions(logits, labels, names, exact=False, rounded=rounded)


def read_history(path: Path) -> dict[str, dict[int, float]]:
    """Return the values of each epoch, by metric, from a run's `metrics.csv`."""
    history: dict[str, dict[int, float]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and "/" in name:
                    history.setdefault(name, {})[int(row["step"])] = float(value)
    return history
