"""Tables as CSV, JSON and Markdown, and predictions as npz files."""

from __future__ import annotations

import csv
import io
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
from prenda.system.atomic_write import replacing, write_atomically
from prenda.system.foreign_text import cell, markdown_text


def score_table(metrics: Iterable[Metric], scores: Mapping[str, Mapping[str, float]]) -> Table:
    """Return a table with a row for each metric and a column for each part of the data.

    Args:
        metrics: Metrics in the order of the rows.
        scores: Values by part of the data and name of the metric.
    """
    rows = [(m.name, *(m.text(values[m.name]) for values in scores.values())) for m in metrics]
    return Table(("", *scores), rows)


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table with escaped cells."""
    lines = [f"| {' | '.join(map(markdown_text, cells))} |" for cells in (columns, *rows)]
    return "\n".join([lines[0], "|---" * len(columns) + "|", *lines[1:]])


def write_json(content: Any, path: Path) -> None:
    """Write JSON, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_rows(rows: Sequence[Row], stem: Path) -> None:
    """Write rows of equal columns as `stem`.csv and `stem`.json."""
    write_json(list(rows), stem.with_suffix(".json"))
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]) if rows else [])
    table.writeheader()
    table.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    write_atomically(stem.with_suffix(".csv"), text.getvalue())


def write_confusion(matrix: NDArray[np.int64], class_names: Sequence[str], path: Path) -> None:
    """Write a confusion matrix as JSON.

    Shapes:
        matrix (N, N), counts; rows are the true classes, columns the predicted ones.
    """
    content = {"class_names": list(class_names), "rows": "true", "columns": "predicted", "matrix": matrix.tolist()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(content, ensure_ascii=False) + "\n")


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
    with replacing(path) as file:
        np.savez_compressed(file, logits=logits, labels=labels, class_names=np.array(class_names))


# Errors of numpy, zipfile and zlib that `read_predictions` raises for a damaged file or another kind of file: among
# them that of an array whose shape is larger than the memory, and that of a password (RuntimeError).
UNREADABLE = (OSError, EOFError, ValueError, KeyError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)
LARGEST = 2**30  # bytes of all arrays of a file; logits of a million images in ten classes have 4% of that


def read_predictions(path: Path) -> RecordedPredictions:
    """Return the predictions in a file of `write_predictions`; execute no code from it.

    Raises:
        Exception: One of UNREADABLE, if the file is damaged or holds no predictions.
    """
    with zipfile.ZipFile(path) as archive:
        if (size := sum(member.file_size for member in archive.infolist())) > LARGEST:
            raise ValueError(f"its arrays have {size:,} bytes, more than {LARGEST:,}")
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # numpy alone leaves a bad file open
        exact = "logits" in arrays
        values, labels, listed = arrays["logits" if exact else "probabilities"], arrays["labels"], arrays["class_names"]
    _check_predictions(values, labels, listed)
    names = tuple(map(str, listed))
    if exact:
        return RecordedPredictions(values, labels, names)
    probabilities = values
    rounded = int((probabilities[np.arange(len(labels)), labels] == 0).sum())
    logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)).astype(np.float32)
    return RecordedPredictions(logits, labels, names, exact=False, rounded=rounded)


def _check_predictions(values: NDArray[Any], labels: NDArray[Any], names: NDArray[Any]) -> None:
    """Raise ValueError unless the arrays are (N, classes) numbers, (N,) classes, and (classes,) names."""
    if values.dtype.kind != "f" or labels.dtype.kind not in "iu" or values.shape != labels.shape + names.shape:
        raise ValueError(
            f"{values.dtype} of shape {values.shape} with {labels.dtype} labels of shape {labels.shape} are no "
            f"predictions of classes of shape {names.shape}"
        )
    if values.ndim != 2 or not ((labels >= 0) & (labels < len(names))).all():
        raise ValueError(f"its labels are not those of {names.size} classes")


def read_history(path: Path) -> dict[str, dict[int, float]]:
    """Return the values of each epoch, by metric, from a run's `metrics.csv`."""
    history: dict[str, dict[int, float]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and "/" in name:
                    history.setdefault(name, {})[int(row["step"])] = float(value)
    return history
