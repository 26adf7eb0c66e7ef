from __future__ import annotations

import builtins
import io
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from prenda.config.convert import as_plain
from prenda.report.tables import read_history
from prenda.search import trial
from prenda.search.job import LOG, Job, Problem
from prenda.search.launchers.base import ready_processes
from prenda.search.outcome import read_outcome
from prenda.tracking.run_folder import STATUS, status
from prenda.tracking.store import connect
from tests.conftest import TINY, configured
from tests.tracking.test_run_folder import held


def run_until(job: Job, name: str) -> None:
    """Runs the trial in a process that is killed when it has opened a file of this name for writing."""
    whole = io.open

    def opened(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        found = whole(file, mode, *rest, **options)
        if "w" in mode and Path(str(file)).name.startswith(name):
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    io.open = builtins.open = opened
    trial.run(job)


def job_in(folder: Path, *overrides: str) -> Job:
    config = as_plain(configured(*TINY, "backbone=dense", "backbone.units=[16]", "trainer.epochs=2", *overrides))
    return Job(0, folder, {name: config[name] for name in config.keys() - {"search", "workers"}})


@pytest.mark.slow
def test_a_trial_goes_on_from_whichever_file_it_was_killed_in(tmp_path):
    """Half a configuration would look like that of another run; half a run id like a run that is not there."""
    store = f"sqlite:///{tmp_path}/mlflow.db"
    connect(store)
    job = job_in(tmp_path / "trial", "tracking=mlflow", f"tracking.uri={store}", "tracking.system_metrics=false")
    for name in ("config.yaml", ".run_id", "metrics.csv", "best.ckpt", "last.ckpt", "scores.json", ".status"):
        process = ready_processes().Process(target=run_until, args=(job, name))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL, (name, (job.folder / LOG).read_text())
    trial.run(job)
    assert status(job.folder) == "FINISHED"
    assert set(read_history(job.folder / "metrics/metrics.csv")["train/loss"]) == {1, 2}
    runs = connect(store).search_runs(["1"])
    assert [run.info.run_id for run in runs if run.info.status == "FINISHED"] == [
        (job.folder / ".run_id").read_text(encoding="utf-8")
    ]


def test_a_failure_is_told_though_the_trial_had_been_stopped_before(tmp_path):
    (tmp_path / STATUS).write_text("KILLED")
    OmegaConf.save(job_in(tmp_path, "seed=1").config, tmp_path / "config.yaml")
    trial.run(job_in(tmp_path))
    outcome = read_outcome(tmp_path, ["val/accuracy"])
    assert outcome.state == "failed"
    assert "holds a run of other settings (seed: 1 recorded, 0 given)" in outcome.note


@pytest.mark.slow
def test_a_rehearsal_tells_settings_from_bugs(tmp_path, monkeypatch):
    (tmp_path / "a_net.py").write_text("def net(image_shape, num_classes):\n    return {}['a']\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PRENDA_TRUSTED_TARGETS", "a_net.*")
    wrong, buggy, fine = (
        as_plain(configured(*TINY, "backbone=dense", *more))
        for more in (["backbone.dropout=2"], ["data.limit_train=100"], [])
    )
    buggy["backbone"] = {"_target_": "a_net.net"}
    setting, bug, nothing = trial.rehearse([wrong, buggy, fine])
    assert setting == Problem("backbone.dropout is 2: it must be a number, at least 0 and less than 1.")
    assert bug is not None
    assert bug.text == "KeyError: 'a'"
    assert "a_net.py" in bug.traceback
    assert nothing is None


@pytest.mark.slow
def test_a_trial_waits_for_another_process_that_writes_to_its_folder(tmp_path, capsys):
    job = job_in(tmp_path / "trial")
    with held(job.folder) as process:
        threading.Timer(1, process.kill).start()
        trial.run(job)
    assert f"Waiting for process {process.pid} on " in capsys.readouterr().out
    assert status(job.folder) == "FINISHED"
