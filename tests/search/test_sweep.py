"""Sweeps as their users run them, and what happens to them."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from optuna.trial import TrialState

from prenda.cli import main
from prenda.errors import ConfigError
from prenda.report.tables import read_history
from prenda.tracking.store import connect
from prenda.training import checkpoints
from tests.search.conftest import Sweeps
from tests.training.test_train import wait_for

LONG = "trainer.epochs=60"
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


def test_a_grid_is_run_recorded_and_not_run_again(sweeps: Sweeps):
    command = ("optimizer.lr=1e-3,1e-2", "seed=range(2)", *MLFLOW)
    printed = sweeps.run(*command)
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


@pytest.mark.parametrize("moment", ["count", "first epoch", "between", "any"])
def test_a_killed_driver_loses_nothing(sweeps: Sweeps, moment):
    """SIGKILL once at a moment that is looked for; `any`: three times, whenever it happens to be."""
    command = ("seed=range(3)", "trainer.epochs=25", *MLFLOW)
    for _ in range(3 if moment == "any" else 1):
        with sweeps.start(*command) as process:
            try:
                if moment == "any":
                    time.sleep(random.uniform(4, 20))
                else:
                    look = {
                        "count": lambda: list(sweeps.home.rglob("study.db")),
                        "first epoch": lambda: list(sweeps.home.rglob("last.ckpt")),
                        "between": lambda: list(sweeps.home.rglob("scores.json")),
                    }[moment]
                    wait_for(look, process)
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


def test_workers_go_with_their_driver_and_the_trial_goes_on(sweeps: Sweeps):
    command = ("seed=0", "trainer.epochs=400")
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
    assert "Epoch 400/400" not in log.read_text()
    sweeps.run(*command)
    printed = log.read_text()
    assert printed.count("Epoch 1/400") == 1  # the second process did not start from the beginning
    assert printed.count("Epoch 400/400") == 1


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


def test_a_lost_trial_is_tried_again_if_asked(sweeps: Sweeps):
    printed = with_a_killed_worker(sweeps, "seed=0", LONG, "search.retries=1", code=0)
    assert "trial 0 resumes: its process was ended by SIGKILL" in printed
    assert sweeps.states() == ["finished"]


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


def test_a_sweep_gives_up_after_max_failures(sweeps: Sweeps):
    arguments = ("optimizer=sgd", "optimizer.lr=1e30", "seed=range(6)", "search.max_failures=2")
    printed = sweeps.run(*arguments, code=1)
    assert sweeps.states() == ["failed", "failed"]
    assert "search.max_failures was reached: fix the error, then run the same command" in printed


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


def test_a_search_has_a_total_and_goes_on_to_a_larger_one(sweeps: Sweeps):
    command = ("search=optimizer", "search/pruner=none", "workers=2")
    sweeps.run(*command, "search.n_trials=3")
    assert len(sweeps.trials()) == 3
    sweeps.run(*command, "search.n_trials=5")
    assert [trial.number for trial in sweeps.study().trials] == [0, 1, 2, 3, 4]
    drawn = [tuple(sorted(trial.params.items())) for trial in sweeps.study().trials]
    assert len(set(drawn)) == 5  # the draws went on instead of beginning again


def test_a_search_may_be_given_hours(sweeps: Sweeps):
    command = ("search=optimizer", "search/pruner=none", "search.n_trials=null", "search.hours=0.001")  # 3.6 s
    assert "any number of trials" in sweeps.run(*command)
    ended = len(sweeps.trials())
    assert ended >= 1
    sweeps.run(*command)
    assert len(sweeps.trials()) == ended  # the hours are those of all starts together


def test_settings_that_were_tried_are_not_run_again(sweeps: Sweeps):
    printed = sweeps.run("search=seeds", "search.n_trials=4", "search/sampler=random", "seed=range(2)")
    states = Counter(sweeps.states())
    assert states["finished"] <= 2
    assert states["finished"] + states["skipped"] == 4
    assert "the same settings as trial" in printed
    assert len(list((sweeps.folder / "trials").iterdir())) == states["finished"]


def test_a_changed_space_is_refused_with_the_difference(sweeps: Sweeps):
    sweeps.run("seed=0,1", "search.name=mine")
    before = {path: path.stat().st_mtime_ns for path in (sweeps.folder / "trials").rglob("*")}
    printed = sweeps.run("seed=0,1,2", "search.name=mine", code=2)
    assert "space seed: 'choice(0, 1)' recorded, 'choice(0, 1, 2)' given" in printed
    printed = sweeps.run("seed=0,1", "search.name=mine", "optimizer.lr=0.5", code=2)
    assert "optimizer.lr: 0.005 recorded, 0.5 given" in printed
    assert "search.name=…" in printed
    assert before == {path: path.stat().st_mtime_ns for path in (sweeps.folder / "trials").rglob("*")}


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


def test_two_drivers_of_one_sweep_are_one_too_many(sweeps: Sweeps):
    with sweeps.start("seed=0", LONG) as process:
        try:
            wait_for(lambda: list(sweeps.home.rglob("last.ckpt")), process)
            assert "Another process runs the sweep in" in sweeps.run("seed=0", LONG, code=2)
        finally:
            kill(process)


def test_a_data_parallel_trainer_works_inside(sweeps: Sweeps):
    sweeps.run("trainer=ddp_cpu", "trainer.epochs=2", "optimizer.lr=1e-3,1e-2")
    assert sweeps.states() == ["finished"] * 2
    assert len(list((sweeps.home / "outputs/sweeps").iterdir())) == 1
    assert not (sweeps.home / "outputs/runs").exists()


def test_each_worker_gets_its_share_of_the_cores(sweeps: Sweeps):
    sweeps.run("seed=range(2)", "workers=2", "trainer.threads=null")
    cores = len(os.sched_getaffinity(0))
    for config in (sweeps.folder / "trials").glob("*/config.yaml"):
        assert f"threads: {max(1, cores // 2)}\n" in config.read_text()


def test_two_objectives_give_a_front(sweeps: Sweeps):
    sweeps.run("search=architecture", "search/sampler=nsga2", "search.n_trials=3", "backbone=dense", "workers=2")
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
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "told"), REFUSED, ids=[told[:30] for _, told in REFUSED])
def test_what_cannot_work_is_told_before_the_first_trial(sweeps: Sweeps, arguments, told):
    printed = sweeps.run(*arguments, code=2)
    assert told in printed
    assert not list(sweeps.home.rglob("trials"))


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
