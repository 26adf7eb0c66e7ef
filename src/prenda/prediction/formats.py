"""Formats of answers: CSV, JSON, JSON lines and Parquet."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from prenda.system.foreign_text import cell

Rows: TypeAlias = Iterable[Mapping[str, Any]]

SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")
ROWS = 10_000  # of a row group in Parquet, the most that are in memory


def write(path: Path, suffix: str, rows: Rows, top: int) -> None:
    """Write answers in the format of a suffix. All formats are written row by row, or in groups of rows.

    Args:
        path: The file.
        suffix: One of `SUFFIXES`.
        rows: Answers as plain types; see `Answer.as_plain`.
        top: Number of guesses, each of which has two columns in CSV.
    """
    match suffix:
        case ".csv":
            _write_csv(path, rows, top)
        case ".json":
            _write_json(path, rows)
        case ".jsonl":
            _write_jsonl(path, rows)
        case ".parquet":
            _write_parquet(path, rows)
        case _:
            raise AssertionError(suffix)


def line(row: Mapping[str, Any]) -> bytes:
    """Return an answer as a line of JSON."""
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _write_csv(path: Path, rows: Rows, top: int) -> None:
    guesses = [f"{name}_{number}" for number in range(1, top + 1) for name in ("guess", "confidence")]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["photo", "garment", "confidence", "unsure", *guesses, "warnings", "error"])
        for row in rows:
            pairs = [value for guess in row["guesses"] for value in (guess["garment"], guess["confidence"])]
            pairs += [None] * (2 * top - len(pairs))
            cells = [row["photo"], row["garment"], row["confidence"], row["unsure"], *pairs]
            writer.writerow(map(cell, [*cells, "; ".join(row["warnings"]), row["error"]]))


def _write_jsonl(path: Path, rows: Rows) -> None:
    with path.open("wb") as file:
        file.writelines(map(line, rows))


def _write_json(path: Path, rows: Rows) -> None:
    with path.open("wb") as file:
        file.write(b"[\n")
        for number, row in enumerate(rows):
            file.write((b",\n" if number else b"") + line(row).rstrip(b"\n"))
        file.write(b"\n]\n")


def _write_parquet(path: Path, rows: Rows) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    guess = pa.struct([("garment", pa.string()), ("confidence", pa.float64())])
    schema = pa.schema(
        [
            ("photo", pa.string()),
            ("garment", pa.string()),
            ("confidence", pa.float64()),
            ("unsure", pa.string()),
            ("guesses", pa.list_(guess)),
            ("warnings", pa.list_(pa.string())),
            ("error", pa.string()),
        ]
    )
    iterator = iter(rows)
    with pq.ParquetWriter(path, schema) as writer:
        while group := list(itertools.islice(iterator, ROWS)):
            writer.write_table(pa.Table.from_pylist(group, schema))
