"""Where Lightning sends its figures. Apart from `runs`, which a sweep needs without waiting for Lightning."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from prenda.system.signals import held


class RunLogger(MLFlowLogger):
    """Lightning's logger on a run that we opened: `recorded` ends it, which knows more than Lightning does."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        with held():
            super().log_metrics(metrics, step)

    def log_picture(self, name: str, path: Path, step: int) -> None:
        """Adds a picture to a series that MLflow's UI steps through."""
        assert self.run_id is not None
        with held():
            self.experiment.log_image(self.run_id, Image.open(path), key=name, step=step)

    def finalize(self, status: str = "success") -> None:
        """Leaves the run open: after training comes scoring."""


class _Writer(ExperimentWriter):
    """Goes on in the file of a run that is continued, where Lightning's would delete it."""

    def _check_log_dir_exists(self) -> None:
        path = Path(self.metrics_file_path)
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                self.metrics_keys = next(csv.reader(file), [])


class _FileLogger(CSVLogger):
    """Figures of each epoch in `metrics/metrics.csv` of the run's folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, name="metrics", version="")
        self._experiment: ExperimentWriter = _Writer(self.log_dir)


def lightning_loggers(folder: Path, uri: str | None, run_id: str | None) -> list[Logger]:
    """Where Lightning sends its figures: `metrics/metrics.csv` in the run's folder, and the run in MLflow."""
    loggers: list[Logger] = [_FileLogger(folder)]
    if run_id is not None:
        loggers.append(RunLogger(tracking_uri=uri, run_id=run_id))
    return loggers
