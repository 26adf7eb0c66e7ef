"""Where Lightning sends its figures. Apart from `runs`, which a sweep needs without waiting for Lightning."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from prenda.system.atomic_write import write_atomically
from prenda.tracking.journal import Journal

FOREIGN = re.compile("[^a-zA-Z0-9_/. -]+")  # characters that MLflow accepts in no name of a metric


class RunLogger(Logger):
    """Metrics and pictures of each epoch in the run's journal, whose delivery is the business of the run's record.

    An epoch that is repeated after an interruption adds nothing to what the journal holds of it.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._journal = Journal(folder)
        kept = [record for record in self._journal.records() if record["kind"] == "metrics"]
        self._known = {(name, record["step"]) for record in kept for name in record["metrics"]}

    @property
    def name(self) -> str:
        return "mlflow"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        named = {FOREIGN.sub("", name): float(value) for name, value in metrics.items()}
        new = {name: value for name, value in named.items() if (name, step or 0) not in self._known}
        if new:
            self._journal.append("metrics", step=step or 0, metrics=new)

    @rank_zero_only
    def log_picture(self, name: str, path: Path, step: int) -> None:
        """Add a picture of the run's folder to a series that MLflow's UI steps through."""
        relative = path.relative_to(self._journal.folder).as_posix()
        if not self._journal.holds("picture", name=name, step=step):
            self._journal.append("picture", name=name, path=relative, step=step)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run's record holds the configuration."""


class FileLogger(Logger):
    """Metrics of each epoch in a CSV file, as Lightning's CSVLogger writes them.

    A resumed run adds to its file, where CSVLogger would delete it. The row of an epoch that it trains again replaces
    the earlier one.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a row; a new metric adds a column."""
        new: dict[str, Any] = {**metrics, "step": step}
        rows = [*(row for row in self._rows() if _place(row) != _place(new)), new]
        table = io.StringIO()
        writer = csv.DictWriter(table, sorted(set().union(*rows)))
        writer.writeheader()
        writer.writerows(rows)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, table.getvalue())

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run's configuration lies in `config.yaml`."""

    def _rows(self) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


def _place(row: Mapping[str, Any]) -> tuple[str, frozenset[str]]:
    """Return the step of a row and the names of its metrics; empty cells are those of other rows."""
    return str(row["step"]), frozenset(name for name, value in row.items() if value not in ("", None))


def lightning_loggers(folder: Path) -> list[Logger]:
    """Where Lightning sends its figures: `metrics/metrics.csv` in the run's folder, and the run's journal."""
    return [FileLogger(folder / "metrics" / "metrics.csv"), RunLogger(folder)]
