"""Sweeps as their users run them, and what happens to them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from optuna.trial import TrialState

from prenda.cli import main
from prenda.config.recorded import load
from prenda.errors import ConfigError
from prenda.report.tables import read_history
from prenda.search import driver, running_time
from prenda.search.running_time import RunningTime
from prenda.tracking.store import connect, local_store
from prenda.training import checkpoints
from tests.search.conftest import Sweeps
from tests.training.test_train import wait_for

LONG, SHORT = "trainer.epochs=40", "trainer.epochs=20"
MLFLOW = ("tracking=mlflow", "tracking.system_metrics=false")


def runs(home: Path) -> list:
    return connect(f"sqlite:///{home}/mlruns/mlflow.db").search_runs(["1"])


def kill(process, signum: int = signal.SIGKILL) -> None:
    """Ends the driver alone, as an out-of-memory killer does."""
    os.kill(process.pid, signum)
    process.communicate(timeout=60)


def workers(home: Path) -> list[psutil.Process]:
    """The processes that train a trial: those that hold a trial's log open."""
    found = []
    for process in psutil.process_iter():
        try:
            opened = [file.path for file in process.open_files()]
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
        if any(path.startswith(str(home)) and path.endswith("log.txt") for path in opened):
            found.append(process)
    return found


@pytest.mark.slow
def test_a_grid_is_run_recorded_and_not_run_again(sweeps: Sweeps):
    command = ("optimizer.lr=1e-3,1e-2", "seed=range(2)", *MLFLOW)
    printed = sweeps.run(*command, pictures=True)
    assert "4 trials, 0 done, 1 at a time" in printed
    assert "experiment=best_trial" in printed
    assert sweeps.states() == ["finished"] * 4
    assert {(row["optimizer.lr"], row["seed"]) for row in sweeps.trials()} == {
        (a, b) for a in (1e-3, 1e-2) for b in (0, 1)
    }
    for name in ("sweep.html", "history.png", "parallel.png", "trials.csv", "experiment/best_trial.yaml", "sweep.yaml"):
        assert (sweeps.folder / "summary" / name).is_file(), name
    recorded = runs(sweeps.home)
    (parent,) = (run for run in recorded if run.data.tags.get("prenda.kind") == "sweep")
    children = [run for run in recorded if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.info.status for run in recorded} == {"FINISHED"}
    assert parent.data.params["space/optimizer.lr"] == "choice(0.001, 0.01)"
    assert parent.data.tags["prenda.command"].startswith("prenda train -m")
    best = max(row["val/accuracy"] for row in sweeps.trials())
    assert parent.data.metrics["best/val/accuracy"] == pytest.approx(best)
    assert "best/optimizer.lr" in parent.data.tags
    assert main(["compare", "--experiment", "prenda", "--no-record"]) == 0  # the trials; their parent trained nothing

    stamps = {path: path.stat().st_mtime_ns for path in (sweeps.folder / "trials").rglob("*")}
    printed = sweeps.run(*command)
    assert "4 trials, 4 done" in printed
    assert {path: path.stat().st_mtime_ns for path in (sweeps.folder / "trials").rglob("*")} == stamps
    assert len(runs(sweeps.home)) == 5


@pytest.mark.slow
def test_the_best_trial_comes_again_to_the_bit(sweeps: Sweeps, prenda):
    sweeps.run("optimizer.lr=1e-3,1e-2", "trainer.epochs=3", "shifted_scoring=1", "workers=2")
    (number,) = {row["number"] for row in sweeps.trials()} & {sweeps.study().best_trial.number}
    (trial,) = (sweeps.folder / "trials").glob(f"{number:04d}-*")
    again = sweeps.home / "again"
    done = prenda(
        "train", "--config-dir", str(sweeps.folder / "summary"), "experiment=best_trial", "tracking=offline",
        f"hydra.run.dir={again}", "report=none",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert read_history(again / "metrics/metrics.csv") == read_history(trial / "metrics/metrics.csv")
    first, second = (checkpoints.read(run / "checkpoints/best.ckpt")["state_dict"] for run in (again, trial))
    assert all(value.equal(second[key]) for key, value in first.items())


@pytest.mark.slow
@pytest.mark.parametrize("file", ["study.db", "last.ckpt", "scores.json"])
def test_a_killed_driver_loses_nothing(sweeps: Sweeps, file):
    """SIGKILL once a file is there; tests/reliability kills at random moments."""
    command = ("seed=range(3)", "trainer.epochs=25", *MLFLOW)
    with sweeps.start(*command) as process:
        try:
            wait_for(lambda: list(sweeps.home.rglob(file)), process)
            kill(process)
        finally:
            process.kill()
    sweeps.run(*command)
    assert sweeps.states() == ["finished"] * 3
    assert [row["seed"] for row in sorted(sweeps.trials(), key=lambda row: row["number"])] == [0, 1, 2]
    assert len(list((sweeps.folder / "trials").iterdir())) == 3
    children = [run for run in runs(sweeps.home) if "mlflow.parentRunId" in run.data.tags]
    assert Counter(run.info.status for run in children) == {"FINISHED": 3}
    for trial in (sweeps.folder / "trials").iterdir():
        assert set(read_history(trial / "metrics/metrics.csv")["train/loss"]) == set(range(1, 26))


@pytest.mark.slow
def test_workers_go_with_their_driver_and_the_trial_goes_on(sweeps: Sweeps):
    command = ("seed=0", "trainer.epochs=60")
    with sweeps.start(*command) as process:
        try:
            wait_for(lambda: list(sweeps.home.rglob("last.ckpt")), process)
            kill(process)
        finally:
            process.kill()
    until = time.monotonic() + 30
    while workers(sweeps.home) and time.monotonic() < until:
        time.sleep(0.2)
    assert workers(sweeps.home) == []
    (log,) = sweeps.home.rglob("log.txt")
    assert "Epoch 60/60" not in log.read_text()
    sweeps.run(*command)
    printed = log.read_text()
    assert printed.count("Epoch 1/60") == 1  # the second process did not start from the beginning
    assert printed.count("Epoch 60/60") == 1


def with_a_killed_worker(sweeps: Sweeps, *arguments: str, code: int) -> str:
    """Runs a sweep whose first trial loses its process once it has kept an epoch; returns what was printed."""
    with sweeps.start(*arguments) as process:
        try:
            wait_for(lambda: list(sweeps.home.rglob("last.ckpt")), process)
            (worker,) = workers(sweeps.home)
            worker.kill()
            printed, _ = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == code, printed
    return printed


@pytest.mark.slow
def test_a_killed_worker_is_a_failed_trial_and_the_sweep_goes_on(sweeps: Sweeps):
    printed = with_a_killed_worker(sweeps, "seed=range(2)", LONG, *MLFLOW, code=1)
    assert sweeps.states() == ["failed", "finished"]
    assert "ended by SIGKILL (out of memory?)" in printed
    failed = next(run for run in runs(sweeps.home) if run.info.status == "FAILED")
    assert "mlflow.parentRunId" in failed.data.tags
    (error,) = (sweeps.folder / "trials").glob("0000-*/error.txt")
    assert "SIGKILL" in error.read_text()

    printed = sweeps.run("seed=range(2)", LONG, *MLFLOW, "search.retry_failed=true")
    assert sorted(sweeps.states()) == ["finished", "finished"]
    assert {run.info.status for run in runs(sweeps.home)} == {"FINISHED"}
    assert len(list((sweeps.folder / "trials").iterdir())) == 2


@pytest.mark.slow
def test_a_lost_trial_is_tried_again_if_asked(sweeps: Sweeps):
    printed = with_a_killed_worker(sweeps, "seed=0", LONG, "search.retries=1", code=0)
    assert "trial 0 resumes: its process was ended by SIGKILL" in printed
    assert sweeps.states() == ["finished"]


@pytest.mark.slow
def test_a_bad_trial_is_recorded_with_its_traceback(sweeps: Sweeps):
    """A rate that lets training diverge is found by no check before it."""
    printed = sweeps.run("optimizer=sgd", "optimizer.lr=1e30,0.01", *MLFLOW, code=1)
    assert sweeps.states() == ["failed", "finished"]
    assert "training diverged" in printed
    assert "│ 1        │ 0      │ 1      │" in printed
    failed = next(run for run in runs(sweeps.home) if run.info.status == "FAILED")
    (error,) = (sweeps.folder / "trials").glob("0000-*/error.txt")
    assert "Traceback" in error.read_text()
    artifacts = connect(f"sqlite:///{sweeps.home}/mlruns/mlflow.db").list_artifacts(failed.info.run_id)
    assert "error.txt" in {artifact.path for artifact in artifacts}


@pytest.mark.slow
def test_a_sweep_gives_up_after_max_failures(sweeps: Sweeps):
    arguments = ("optimizer=sgd", "optimizer.lr=1e30", "seed=range(6)", "search.max_failures=2")
    printed = sweeps.run(*arguments, code=1)
    assert sweeps.states() == ["failed", "failed"]
    assert "search.max_failures was reached: fix the error, then run the same command" in printed


@pytest.mark.slow
def test_bad_trials_are_pruned_and_that_is_no_failure(sweeps: Sweeps):
    """The pruner's own rule is Optuna's; that ours asks it, obeys, and records it, is looked at here."""
    arguments = (
        "search=optimizer", "search.n_trials=8", "optimizer=sgd", "scheduler=constant", "data.batch_size=64",
        "label_smoothing=0", "optimizer.lr=0.05,1e-6", "trainer.epochs=8", "search/sampler=random",
        "search.pruner.n_startup_trials=1", "seed=range(100)",
    )  # fmt: skip
    sweeps.run(*arguments, *MLFLOW)
    states = Counter(sweeps.states())
    assert states["pruned"] >= 1
    assert states["failed"] == 0
    pruned = [run for run in runs(sweeps.home) if "pruned" in run.data.tags]
    assert len(pruned) == states["pruned"]
    assert {run.info.status for run in pruned} == {"KILLED"}
    assert "is not enough for the MedianPruner" in pruned[0].data.tags["pruned"]
    assert all(len(row.intermediate_values) < 8 for row in sweeps.study().get_trials(states=[TrialState.PRUNED]))


@pytest.mark.slow
def test_a_search_has_a_total_and_goes_on_to_a_larger_one(sweeps: Sweeps):
    command = ("search=optimizer", "search/pruner=none", "workers=2")
    sweeps.run(*command, "search.n_trials=3")
    assert len(sweeps.trials()) == 3
    sweeps.run(*command, "search.n_trials=5")
    assert [trial.number for trial in sweeps.study().trials] == [0, 1, 2, 3, 4]
    drawn = [tuple(sorted(trial.params.items())) for trial in sweeps.study().trials]
    assert len(set(drawn)) == 5  # the draws went on instead of beginning again


@pytest.mark.slow
def test_a_search_may_be_given_hours(sweeps: Sweeps):
    command = ("search=optimizer", "search/pruner=none", "search.n_trials=null", "search.hours=0.001")  # 3.6 s
    assert "any number of trials" in sweeps.run(*command)
    ended = len(sweeps.trials())
    assert ended >= 1
    sweeps.run(*command)
    assert len(sweeps.trials()) == ended  # the hours are those of all starts together


@pytest.mark.slow
@pytest.mark.parametrize("end", ["search.n_trials=40", "search.hours=1"])
def test_a_search_ends_when_all_of_its_space_was_tried(sweeps: Sweeps, end):
    command = ("search=seeds", "search.n_trials=null", "search/sampler=random", "seed=range(3)", end)
    printed = sweeps.run(*command)
    states = Counter(sweeps.states())
    assert states["finished"] == 3
    assert states["skipped"] < 37
    assert ("the same settings as trial" in printed) == (states["skipped"] > 0)
    assert "The search ends: all combinations of its space have been tried." in printed
    assert f"│ 3        │ 0      │ 0      │ {states['skipped']:<7} │ 0    │" in printed
    assert len(list((sweeps.folder / "trials").iterdir())) == 3
    assert "The search ends" in sweeps.run(*command)
    assert Counter(sweeps.states()) == states


@pytest.mark.slow
def test_a_search_ends_when_it_draws_nothing_new(sweeps: Sweeps, monkeypatch):
    """The space is too large to be counted, but its sampler draws the same again."""
    monkeypatch.setattr(driver, "MOST_LISTED", 1)
    monkeypatch.setattr(driver, "MOST_DUPLICATES", 20)
    printed = sweeps.run("search=seeds", "search.hours=1", "search/sampler=random", "seed=range(2)", "workers=2")
    assert "The search ends: the last 20 drawn combinations of its space have been tried." in printed
    assert Counter(sweeps.states())["finished"] == 2


@pytest.mark.slow
def test_a_grid_sampler_runs_every_combination(sweeps: Sweeps):
    command = ("search=augment", "search/sampler=grid", "search/pruner=none", "augment.erase=0.0", "augment.shift=0,1")
    printed = sweeps.run(*command, "search.n_trials=1")
    assert "1 trial (search.n_trials) and 3 combinations left out, 0 done" in printed
    assert sweeps.states() == ["finished"]
    assert ": 4 trials, 1 done" in sweeps.run(*command)
    assert sweeps.states() == ["finished"] * 4


@pytest.mark.slow
def test_typed_values_are_trained_with_all_their_digits(sweeps: Sweeps):
    sweeps.run("optimizer.lr=0.00312345678,0.00312345612")
    assert sweeps.states() == ["finished"] * 2
    assert {row["optimizer.lr"] for row in sweeps.trials()} == {0.00312345678, 0.00312345612}
    configs = [path.read_text() for path in sorted(sweeps.folder.glob("trials/*/config.yaml"))]
    assert ["lr: 0.00312345678\n" in config for config in configs] == [True, False]


@pytest.mark.slow
def test_a_grid_is_extended_under_its_name(sweeps: Sweeps):
    command = ("search.name=mine", *MLFLOW)
    sweeps.run("seed=0,1", "optimizer.lr=1e-3", *command)
    before = {path: path.stat().st_mtime_ns for path in (sweeps.folder / "trials").rglob("*")}
    printed = sweeps.run("seed=0,2,1", "optimizer.lr=1e-3", *command)
    assert "3 trials, 2 done" in printed
    assert [row["seed"] for row in sorted(sweeps.trials(), key=lambda row: row["number"])] == [0, 1, 2]
    after = {path: path.stat().st_mtime_ns for path in (sweeps.folder / "trials").rglob("*")}
    assert before.items() <= after.items()
    assert len(runs(sweeps.home)) == 4
    assert "3 trials, 3 done" in sweeps.run("seed=0,2,1", "optimizer.lr=1e-3", *command)
    assert len(sweeps.studies()) == 1
    assert "space seed: 'choice(0, 2, 1)' recorded" in sweeps.run("seed=0,1", "optimizer.lr=1e-3", *command, code=2)


@pytest.mark.slow
def test_an_interrupted_grid_can_be_extended(sweeps: Sweeps):
    with sweeps.start("seed=0,1", SHORT, "search.name=mine") as process:
        try:
            wait_for(lambda: list(sweeps.home.rglob("last.ckpt")), process)
            kill(process)
        finally:
            process.kill()
    sweeps.run("seed=0,1,2", SHORT, "search.name=mine")
    assert sweeps.states() == ["finished"] * 3
    assert [row["seed"] for row in sorted(sweeps.trials(), key=lambda row: row["number"])] == [0, 1, 2]
    (log,) = (sweeps.folder / "trials").glob("0000-*/log.txt")
    assert log.read_text().count("Epoch 1/20") == 1


@pytest.mark.slow
def test_a_shuffled_grid_goes_on(sweeps: Sweeps):
    command = ("seed=shuffle(range(4))",)
    sweeps.run(*command, "search.n_trials=1")
    assert "4 trials, 1 done" in sweeps.run(*command)
    assert sorted(row["seed"] for row in sweeps.trials()) == [0, 1, 2, 3]


@pytest.mark.slow
def test_a_deleted_record_is_recorded_again(sweeps: Sweeps):
    command = ("search=optimizer", "search/pruner=none", *MLFLOW)
    sweeps.run(*command, "search.n_trials=1")
    store = connect(f"sqlite:///{sweeps.home}/mlruns/mlflow.db")
    for run in runs(sweeps.home):
        store.delete_run(run.info.run_id)
    printed = sweeps.run(*command, "search.n_trials=2")
    assert re.search(r"sqlite:///.* does not hold MLflow run \w+ any more: a new run takes its place\.", printed)
    kinds = Counter(run.data.tags.get("prenda.kind", "run") for run in runs(sweeps.home))
    assert kinds == {"sweep": 1, "run": 1}
    assert {run.info.status for run in runs(sweeps.home)} == {"FINISHED"}


@pytest.mark.slow
def test_a_sweep_goes_on_in_another_store(sweeps: Sweeps, tmp_path: Path):
    sweeps.run("seed=0,1", "search.name=mine", "search.n_trials=1", *MLFLOW)
    other = f"sqlite:///{tmp_path}/other/mlflow.db"
    sweeps.run("seed=0,1", "search.name=mine", *MLFLOW, f"tracking.uri={other}")
    assert sweeps.states() == ["finished"] * 2
    recorded = connect(other).search_runs(["1"])
    assert {run.info.status for run in recorded} == {"FINISHED"}
    assert Counter(run.data.tags.get("prenda.kind", "run") for run in recorded) == {"sweep": 1, "run": 1}


@pytest.mark.slow
def test_a_sweep_whose_trial_folders_were_removed_goes_on(sweeps: Sweeps, prenda):
    command = ("search=optimizer", "search/pruner=none")
    sweeps.run(*command, "search.n_trials=2")
    for removed in ("trials", "summary"):
        shutil.rmtree(sweeps.folder / removed)
    printed = sweeps.run(*command, "search.n_trials=3")
    assert sweeps.states() == ["finished"] * 3
    (again,) = (line for line in printed.splitlines() if line.startswith("Again"))
    done = prenda(*shlex.split(again.removeprefix("Again"))[1:], "tracking=offline", "report=none")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_study_that_is_gone_is_told(sweeps: Sweeps):
    sweeps.run("seed=0,1")
    (sweeps.folder / "study.db").unlink()
    printed = sweeps.run("seed=0,1", code=2)
    assert "in another database than sqlite:///" in printed
    assert "give the search.storage that it was started with, or start another sweep with search.name=…" in printed


@pytest.mark.slow
def test_hours_are_recorded_while_trials_run(sweeps: Sweeps, monkeypatch):
    """A driver that is killed records nothing at its end."""
    recorded: list[float] = []
    monkeypatch.setattr(running_time, "INTERVAL", 0.0)
    monkeypatch.setattr(RunningTime, "record", lambda clock: recorded.append(clock.seconds))
    sweeps.run("seed=0")
    assert len(recorded) > 1
    monkeypatch.undo()
    sweeps.study().set_user_attr("seconds", 3600.0)
    assert RunningTime(sweeps.study()).seconds >= 3600


@pytest.mark.slow
def test_groups_of_ones_own_can_be_trained_again(sweeps: Sweeps, tmp_path: Path, prenda, monkeypatch):
    """In folders that a shell and an address would read: the printed command is pasted in another folder."""
    sweeps.home = tmp_path / "my home%41{a}?x=1"
    mine = tmp_path / "my conf/optimizer/mine.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("_target_: torch.optim.SGD\n_partial_: true\nlr: 0.01\nmomentum: 0.5\n")
    monkeypatch.setenv("PRENDA_HOME", str(sweeps.home))
    printed = sweeps.run("--config-dir", str(mine.parents[1]), "optimizer=mine", "seed=0,1", *MLFLOW)
    assert [path.name for path in tmp_path.iterdir() if "my home" in path.name] == [sweeps.home.name]
    (again,) = (line for line in printed.splitlines() if line.startswith("Again"))
    done = prenda(*shlex.split(again.removeprefix("Again"))[1:], "tracking=offline", "report=none")
    assert done.returncode == 0, done.stderr
    (config,) = sweeps.home.glob("outputs/runs/*/*/config.yaml")
    assert "momentum: 0.5" in config.read_text()
    recorded = connect(local_store()).search_runs(["1"])
    commands = [run.data.tags["prenda.command"] for run in recorded if "prenda.command" in run.data.tags]
    assert [shlex.split(command)[:5] for command in commands] == [
        ["prenda", "train", "-m", "--config-dir", str(mine.parents[1])]
    ]
    (trial, _) = sweeps.folder.glob("trials/*/config.yaml")
    command = shlex.split(load(trial).tracking.command)
    assert command[:4] == ["prenda", "train", "--config-dir", str(mine.parents[1])]
    assert "optimizer=mine" in command


@pytest.mark.slow
def test_a_changed_space_is_refused_with_the_difference(sweeps: Sweeps):
    sweeps.run("seed=0,1", "search.name=mine")
    before = {path: path.stat().st_mtime_ns for path in (sweeps.folder / "trials").rglob("*")}
    printed = sweeps.run("seed=0,2", "search.name=mine", code=2)
    assert "space seed: 'choice(0, 1)' recorded, 'choice(0, 2)' given" in printed
    assert "A grid may be extended by more values of its settings." in printed
    printed = sweeps.run("seed=0,1", "search.name=mine", "optimizer.lr=0.5", code=2)
    assert "optimizer.lr: 0.005 recorded, 0.5 given" in printed
    assert "search.name=…" in printed
    assert before == {path: path.stat().st_mtime_ns for path in (sweeps.folder / "trials").rglob("*")}


@pytest.mark.slow
def test_a_sweep_of_another_results_version_is_refused_with_version_and_command(sweeps: Sweeps):
    sweeps.run("seed=0,1")
    path = sweeps.folder / "sweep.yaml"
    path.write_text(path.read_text().replace("    results_version: 2\n", ""))  # as version 1 wrote it
    told = sweeps.run("seed=0,1", code=2)
    assert f"{sweeps.folder} holds a sweep of results version 1, but this prenda has results version 2" in told
    assert "start it again with another search.name=… (prenda train -m " in told
    assert "resume it with the prenda that started it" in told


@pytest.mark.slow
def test_a_file_that_is_edited_meanwhile_changes_no_trial(sweeps: Sweeps, tmp_path: Path):
    mine = tmp_path / "conf/optimizer/mine.yaml"
    mine.parent.mkdir(parents=True)
    settings = "_target_: torch.optim.SGD\n_partial_: true\nlr: "
    mine.write_text(f"{settings}0.01\n")
    command = ("--config-dir", str(tmp_path / "conf"), "optimizer=sgd,mine", LONG)
    with sweeps.start(*command) as process:
        try:
            wait_for(lambda: list(sweeps.home.rglob("last.ckpt")), process)
            mine.write_text(f"{settings}0.5\n")
            process.communicate(timeout=120)
        finally:
            process.kill()
    assert sweeps.states() == ["finished"] * 2
    configs = [path.read_text() for path in sorted(sweeps.folder.glob("trials/*/config.yaml"))]
    assert ["lr: 0.01\n" in config for config in configs] == [False, True]
    assert "optimizer.lr with optimizer=mine: 0.01 recorded, 0.5 given" in sweeps.run(*command, code=2)


@pytest.mark.slow
def test_ctrl_c_ends_in_order_and_says_how_to_go_on(sweeps: Sweeps):
    with sweeps.start("seed=range(2)", LONG, "workers=2", *MLFLOW) as process:
        try:
            wait_for(lambda: len(list(sweeps.home.rglob("last.ckpt"))) == 2, process)
            os.killpg(process.pid, signal.SIGINT)
            printed, _ = process.communicate(timeout=90)
        finally:
            process.kill()
    assert process.returncode == 128 + signal.SIGINT, printed
    assert "run the same command again to resume the sweep" in printed
    assert {run.info.status for run in runs(sweeps.home)} == {"KILLED"}
    assert {trial.state for trial in sweeps.study().trials} == {TrialState.RUNNING}
    sweeps.run("seed=range(2)", LONG, "workers=2", *MLFLOW)
    assert {run.info.status for run in runs(sweeps.home)} == {"FINISHED"}
    assert len(runs(sweeps.home)) == 3


@pytest.mark.slow
def test_a_stop_while_the_bounds_are_validated_claims_no_record(sweeps: Sweeps):
    with sweeps.start("seed=range(2)", *MLFLOW) as process:
        try:
            assert process.stdout is not None
            assert "Validating the bounds" in process.stdout.readline()
            os.killpg(process.pid, signal.SIGINT)
            printed, _ = process.communicate(timeout=90)
        finally:
            process.kill()
    assert process.returncode == 128 + signal.SIGINT, printed
    assert printed == "prenda: stopped by SIGINT; nothing was recorded yet: give the same command again.\n"
    assert not list(sweeps.home.glob("outputs/sweeps/*"))


@pytest.mark.slow
def test_two_drivers_of_one_sweep_are_one_too_many(sweeps: Sweeps):
    """Also before the first one has written anything, which is when its folder looks unused."""
    with sweeps.start("seed=0", "trainer.epochs=60") as process:
        try:
            wait_for(lambda: list(sweeps.home.rglob(".driver")), process)
            told = f"{sweeps.folder} is in use: process {process.pid} on {socket.gethostname()} runs this sweep."
            assert told in sweeps.run("seed=0", "trainer.epochs=60", code=2)
            assert (sweeps.folder / ".lock").is_file()
            process.communicate(timeout=200)
        finally:
            process.kill()
    assert process.returncode == 0
    assert sweeps.states() == ["finished"]


@pytest.mark.slow
def test_a_data_parallel_trainer_works_inside(sweeps: Sweeps):
    sweeps.run("trainer=ddp_cpu", "trainer.epochs=2", "seed=0")
    assert sweeps.states() == ["finished"]
    assert len(list((sweeps.home / "outputs/sweeps").iterdir())) == 1
    assert not (sweeps.home / "outputs/runs").exists()


@pytest.mark.slow
def test_each_worker_gets_its_share_of_the_cores(sweeps: Sweeps):
    sweeps.run("seed=range(2)", "workers=2", "trainer.threads=null")
    cores = len(os.sched_getaffinity(0))
    for config in (sweeps.folder / "trials").glob("*/config.yaml"):
        assert f"threads: {max(1, cores // 2)}\n" in config.read_text()


@pytest.mark.slow
def test_two_objectives_give_a_front(sweeps: Sweeps):
    searched = ("search=architecture", "search/sampler=nsga2", "search.n_trials=3", "backbone=dense", "workers=2")
    sweeps.run(*searched, pictures=True)
    assert (sweeps.folder / "summary/pareto.png").is_file()
    assert all({"val/accuracy", "parameters"} <= row.keys() for row in sweeps.trials())


REFUSED = [
    (["backbone.unitz=1,2"], "There is no setting backbone.unitz (backbone.unitz=1). Did you mean backbone.units?"),
    (["+nothing=1,2"], "There is no setting nothing. Settings and groups: "),
    (["trainer.epochs=1,many"], "trainer.epochs is 'many': it must be a whole number, such as trainer.epochs=12."),
    (["seed=1,2", "data.name=${nope}"], "data.name refers to a value that does not exist (Interpolation key 'nope'"),
    (["+hydra.launcher.speed=3"], "hydra.launcher.speed is 3, but prenda.search.launchers.local.LocalLauncher takes"),
    (["seed=1,2", "hydra/sweeper=basic"], "ray and slurm need hydra/sweeper=prenda: leave hydra/sweeper as it is."),
    (["optimizer.lr=1e-3,-1"], "optimizer.lr is -1: it must be a number, more than 0."),
    (["backbone.dropout=0.1,1.5"], "Found before the first trial, with backbone.dropout=1.5."),
    (["optimizer.lr=interval(0.1,1)"], "optimizer.lr is an interval, which a grid cannot list"),
    (["hydra/launcher=basic", "seed=1,2"], "choose local, ray or slurm"),
    (["seed=1,2", "search.storage=postgresql+psycopg2://127.0.0.1:1/x"], "start the database or fix the address"),
    (["search=optimizer", "search.n_trials=null"], "give the search an end by one of them"),
    (["seed=1", "workers=0"], "workers is 0: it must be a number, at least 1"),
    (["seed=1", "search.objectives=[test/accuracy]"], "search.objectives has 'test/accuracy': choose among val/"),
    (["search=architecture", "search.objectives=[val/loss,parameters]"], "search.pruner needs one objective, but"),
    (["search=architecture", "search.objectives=[parameters]"], "'parameters', which is known only at the end of a"),
    (["search=architecture", "search.objectives=[]"], "search.objectives is []: name at least one of val/accuracy"),
    (["seed=1", "search.objectives=[val/loss,val/loss]"], "search.objectives is [val/loss, val/loss]: name each score"),
    (["seed=1,2", "search.name=.."], "search.name is '..': it names a folder, so give at most 100 characters"),
    (["seed=1,2", "search.name=a/b"], "search.name is 'a/b': it names a folder"),
    (["seed=1,2", "search.name=''"], "search.name is '': it names a folder"),
    (
        ["search=augment", "augment.shift=interval(0,4)"],
        "such as augment.shift=0. An interval has real numbers; int(interval(0,4)) has whole ones.",
    ),
    (["+search.space.optimizer.lr=choice(1,2)"], "its values, without search.space: 'optimizer.lr=choice(1,2)'."),
    (["seed=1,2", "+search.space.optimizer.lr=0.1"], "its values, without search.space: optimizer.lr=0.1."),
    (["search.space.seed=1,2"], "search.space.seed=1,2 is written inside the search space: give the setting itself"),
    (["seed=1,2", "search.n_trials=3,4"], "search.n_trials=3,4 has several values, but all trials of a sweep share"),
    (["+search.when.seed=choice(1,2)"], "+search.when.seed=choice(1,2) has several values, but all trials of a sweep"),
    (["search=optimizer", "search/sampler=tpe,random"], "search/sampler=tpe,random has several values, but all trials"),
    (["+tracking.place=choice(1,2)"], "+tracking.place=choice(1,2) has several values, but all trials of a sweep"),
    (["tracking=offline,mlflow"], "tracking=offline,mlflow has several values, but all trials of a sweep share this"),
    (["workers=1,2"], "workers=1,2 has several values, but all trials of a sweep share this setting: give one value"),
    (["seed=1", "--cfg", "job"], "--cfg shows the settings of one run, and -m starts several: leave -m out, and give"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "told"), REFUSED, ids=[told[:30] for _, told in REFUSED])
def test_what_cannot_work_is_told_before_the_first_trial(sweeps: Sweeps, arguments, told):
    printed = sweeps.run(*arguments, code=2)
    assert told in printed
    assert not [path for path in sweeps.home.glob("outputs/sweeps/*") if path.is_dir()]


CONDITIONS = {
    "optimizr=adamw": "'optimizr=adamw', but there is no setting optimizr (did you mean optimizer?).",
    "optimizer=adamww": "never 'adamww' (did you mean adamw?). Its values are adam, adamw, muon, rmsprop, sgd.",
    "trainer.deterministic=yes": "but trainer.deterministic is never 'yes'. Its values are true, false.",
    "seed=1,4": "but seed is never '4'. Its values are 1, 2, 3.",
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_that_never_holds_is_refused(sweeps: Sweeps, tmp_path: Path, condition):
    mine = tmp_path / "conf/search/mine.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text(f"space:\n  seed: range(1, 4)\nwhen:\n  {condition}:\n    label_smoothing: 0.0,0.1\n")
    printed = sweeps.run("--config-dir", str(tmp_path / "conf"), "search=mine", "seed=1,2", code=2)
    assert f"search.when has {condition!r}, " in printed
    assert CONDITIONS[condition] in printed
    assert not list(sweeps.home.glob("outputs/sweeps/*"))


@pytest.mark.parametrize(("launcher", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_launcher_without_its_package_says_which(launcher, package, monkeypatch):
    from prenda.search.launchers import base, ray, slurm

    monkeypatch.setattr(base.importlib.util, "find_spec", lambda _: None)
    make = {
        "ray": lambda: ray.RayLauncher(1, 1, 0, {}),
        "slurm": lambda: slurm.SlurmLauncher(1, 1),
    }[launcher]
    with pytest.raises(
        ValueError, match=f"needs the package {package}, which is not installed: run pip install 'prenda"
    ):
        make()


def test_ray_without_a_cluster_says_how_to_start_one(tmp_path):
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    from prenda.search.launchers.ray import RayLauncher

    told = (
        r"hydra.launcher.init is {'address': 'auto'}, where no Ray cluster can be used \(.*\): start one with `ray st"
    )
    with pytest.raises(ConfigError, match=told):
        RayLauncher(1, 1, 0, {"address": "auto"}).open(tmp_path)


@pytest.mark.skipif(shutil.which("sinfo") is not None, reason="this machine has Slurm")
def test_slurm_elsewhere_says_where_it_works(tmp_path):
    pytest.importorskip("submitit", reason="the extra `slurm` is not installed")
    from prenda.search.launchers.slurm import SlurmLauncher

    told = (
        r"hydra/launcher=slurm cannot be used here \(.*sinfo.*\): run it where sbatch works, with parameters of conf/"
    )
    with pytest.raises(ConfigError, match=told):
        SlurmLauncher(1, 1).open(tmp_path)
