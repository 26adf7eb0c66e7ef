"""Where Lightning sends its figures. Apart from `runs`, which a sweep needs without waiting for Lightning."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from pytorch_lightning.loggers import Logger, MLFlowLogger
from pytorch_lightning.utilities import rank_zero_only

from prenda.system.atomic_write import write_atomically
from prenda.system.signals import stop_deferred


class RunLogger(MLFlowLogger):
    """Lightning's logger on a run that we opened: `recorded` ends it, which knows more than Lightning does."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        with stop_deferred():
            super().log_metrics(metrics, step)

    def log_picture(self, name: str, path: Path, step: int) -> None:
        """Add a picture to a series that MLflow's UI steps through."""
        assert self.run_id is not None
        with stop_deferred():
            self.experiment.log_image(self.run_id, Image.open(path), key=name, step=step)

    def finalize(self, status: str = "success") -> None:
        """Leaves the run open: after training comes scoring."""


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


def lightning_loggers(folder: Path, uri: str | None, run_id: str | None) -> list[Logger]:
    """Where Lightning sends its figures: `metrics/metrics.csv` in the run's folder, and the run in MLflow."""
    loggers: list[Logger] = [FileLogger(folder / "metrics" / "metrics.csv")]
    if run_id is not None:
        loggers.append(RunLogger(tracking_uri=uri, run_id=run_id))
    return loggers
