from __future__ import annotations

from pathlib import Path

import pytest
from pytorch_lightning.loggers import CSVLogger

from prenda.tracking.loggers import FileLogger

ROWS = [
    ({"val/loss": 0.25, "train/loss": 1 / 3, "epoch": 0}, 1),
    ({"val/loss": 0.125, "train/loss": 1e-7, "epoch": 1}, 2),
    ({"val/loss": float("nan"), "a/new": 1.0, "epoch": 2}, 3),
]


def logged(path: Path) -> Path:
    for metrics, step in ROWS:
        FileLogger(path).log_metrics(metrics, step)  # each as if the run had been resumed
    return path


def test_the_file_is_the_one_that_lightning_writes_also_where_it_is_resumed(tmp_path):
    lightnings = CSVLogger(tmp_path, name="metrics", version="")
    for metrics, step in ROWS:
        lightnings.log_metrics(metrics, step)
        lightnings.save()
    ours = logged(tmp_path / "new" / "metrics.csv")
    assert ours.read_bytes() == (tmp_path / "metrics" / "metrics.csv").read_bytes()


def test_a_file_that_lightning_wrote_goes_on(tmp_path):
    lightnings = CSVLogger(tmp_path, name="metrics", version="")
    lightnings.log_metrics(*ROWS[0])
    lightnings.save()
    for metrics, step in ROWS[1:]:
        FileLogger(tmp_path / "metrics" / "metrics.csv").log_metrics(metrics, step)
    assert (tmp_path / "metrics" / "metrics.csv").read_bytes() == logged(tmp_path / "other.csv").read_bytes()


def test_a_row_that_cannot_be_written_leaves_the_others(tmp_path, monkeypatch):
    path = logged(tmp_path / "metrics.csv")
    before = path.read_bytes()

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left on device"):
        FileLogger(path).log_metrics({"val/loss": 1.0}, 4)
    assert path.read_bytes() == before
