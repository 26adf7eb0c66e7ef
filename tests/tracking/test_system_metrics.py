from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from prenda.tracking.system_metrics import Monitor


def test_the_load_of_the_machine_is_measured_until_the_end(caplog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    measured: list[tuple[Mapping[str, float], int]] = []
    once = threading.Event()

    def log(metrics: Mapping[str, float], step: int) -> None:
        measured.append((metrics, step))
        once.set()

    monitor = Monitor(log, first_step=7)  # after the samples of an interrupted start
    monitor.sampling_interval = 0.01
    monitor.start()
    assert once.wait(30)
    monitor.finish()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    metrics, step = measured[0]
    assert step == 7
    assert not list(tmp_path.iterdir())  # MLflow would create a database in the current folder
    assert metrics["system/cpu_utilization_percentage"] >= 0
    assert not any(thread.name.startswith("SystemMetrics") for thread in threading.enumerate())
