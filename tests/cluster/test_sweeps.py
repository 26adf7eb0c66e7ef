"""Sweeps and one large run on several machines, each of them a part of this one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from prenda.report.tables import read_history
from prenda.training.train import train
from tests.conftest import TINY, configured
from tests.search.conftest import Sweeps

from .postgres import Postgres
from .ray_nodes import RayNodes
from .slurm import Slurm

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(800)]
LONG = "trainer.epochs=60"
SLURM = ("hydra/launcher=slurm", "hydra.launcher.timeout_min=10", "workers=2")


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str], seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.2)


@pytest.fixture
def shared(postgres: Postgres, mlflow_server: str, tmp_path: Path) -> tuple[str, ...]:
    """Settings of a sweep whose count and record are on servers."""
    database = postgres.database(f"study_{os.urandom(4).hex()}")
    return (
        f"search.storage={database}",
        "tracking=server",
        f"tracking.uri={mlflow_server}",
        f"tracking.experiment={tmp_path.name}",
        "tracking.system_metrics=false",
    )


def statuses(uri: str, experiment: str) -> Counter[str]:
    """Of the children of the experiment's one sweep, whose own must be FINISHED."""
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = client.search_runs([found.experiment_id])
    (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    assert parent.info.status == "FINISHED"
    assert {run.data.tags["mlflow.parentRunId"] for run in runs if run is not parent} == {parent.info.run_id}
    assert "summary" not in parent.data.tags
    return Counter(run.info.status for run in runs if run is not parent)


def test_a_ray_cluster_loses_a_node(sweeps: Sweeps, ray_nodes: RayNodes, shared, mlflow_server: str, monkeypatch):
    """Its trial goes on elsewhere, from its last epoch."""
    for name, value in ray_nodes.environment.items():
        monkeypatch.setenv(name, value)
    address = f"hydra.launcher.init.address={ray_nodes.address}"
    command = ("hydra/launcher=ray", address, "workers=2", "seed=range(3)", "search.retries=1", LONG, *shared)
    with sweeps.start(*command) as process:
        try:
            wait_for(lambda: len(list(sweeps.home.rglob("last.ckpt"))) >= 2, process)
            ray_nodes.kill_worker_node()
            printed, _ = process.communicate(timeout=400)
        finally:
            process.kill()
            ray_nodes.start_worker_node()
    assert process.returncode == 0, printed
    assert "resumes: Ray: " in printed
    assert sweeps.states() == ["finished"] * 3
    assert statuses(mlflow_server, sweeps.home.parent.name) == {"FINISHED": 3}
    logs = [log.read_text() for log in sweeps.home.rglob("log.txt")]
    assert [log.count("Epoch 1/60 ") for log in logs] == [1, 1, 1]


def test_a_slurm_cluster_loses_a_job(sweeps: Sweeps, slurm: Slurm, shared, mlflow_server: str, monkeypatch):
    """It counts as failed, and the others go on; asked to, the same command makes it finish."""
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    command = (*SLURM, "seed=range(3)", LONG, *shared)
    with sweeps.start(*command) as process:
        try:
            wait_for(lambda: len(list(sweeps.home.rglob("last.ckpt"))) >= 2, process)
            running = sorted(job for job, state in slurm.jobs().items() if state == "RUNNING")
            slurm.kill_job(running[0])
            printed, _ = process.communicate(timeout=400)
        finally:
            process.kill()
    assert process.returncode == 1, printed
    assert Counter(sweeps.states()) == {"finished": 2, "failed": 1}
    assert "Slurm job" in printed
    assert statuses(mlflow_server, sweeps.home.parent.name) == {"FINISHED": 2, "FAILED": 1}
    sweeps.run(*command, "search.retry_failed=true")
    assert statuses(mlflow_server, sweeps.home.parent.name) == {"FINISHED": 3}


def test_pruned_on_a_cluster(sweeps: Sweeps, slurm: Slurm, shared, mlflow_server: str, monkeypatch):
    """Jobs on other nodes ask the study in PostgreSQL, and no password is recorded."""
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    command = (
        *SLURM, "search=optimizer", "search/sampler=grid", "optimizer=sgd",
        "scheduler=constant", "data.batch_size=64", "label_smoothing=0", "search.variables.sgd_lr=0.1,1e-7,2e-7",
        "search.pruner.n_startup_trials=1", "trainer.epochs=8",
    )  # fmt: skip
    sweeps.run(*command, *shared)
    states = Counter(sweeps.states())
    assert states["pruned"] >= 1
    assert states["failed"] == 0
    password = shared[0].rpartition("@")[0].rpartition(":")[2]
    recorded = [path for path in sweeps.folder.rglob("*") if path.suffix in (".yaml", ".html", ".csv", ".json", ".txt")]
    assert [path for path in recorded if password in path.read_text()] == []


def test_a_job_that_slurm_refuses_is_told(sweeps: Sweeps, slurm: Slurm, monkeypatch):
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    printed = sweeps.run(*SLURM, "seed=0", "hydra.launcher.slurm_partition=nowhere", code=2)
    assert "Slurm refuses the job (" in printed
    assert "correct hydra.launcher.slurm_partition" in printed
    sweeps.run(*SLURM, "seed=0")


def test_one_run_on_two_machines_by_torchrun(tmp_path: Path):
    """Gives what two processes of one machine give, to the bit, and one record."""
    settings = (*TINY, "backbone=dense", "backbone.units=[16]", "trainer.epochs=3", "trainer.threads=1")
    whole = train(configured(*settings, "trainer=ddp_cpu"), tmp_path / "whole")
    launch = [
        sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1",
        "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:29417", "--rdzv-id", "two", "--local-addr", "127.0.0.1",
    ]  # fmt: skip
    command = ["-m", "prenda", "train", *settings, f"hydra.run.dir={tmp_path / 'run'}"]
    nodes = [
        subprocess.Popen(
            [*launch, "--node-rank", str(rank), *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for rank in (0, 1)
    ]
    try:
        printed = [node.communicate(timeout=400)[0] for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    assert [node.returncode for node in nodes] == [0, 0], printed
    assert read_history(tmp_path / "run/metrics/metrics.csv") == read_history(whole.folder / "metrics/metrics.csv")
    assert (tmp_path / "run/scores.json").is_file()


def test_torchrun_needs_a_folder_that_all_see(tmp_path: Path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
    done = subprocess.run([*launch, "-m", "prenda", "train", *TINY], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "give hydra.run.dir=/a/folder/that/all/of/them/see" in done.stdout + done.stderr
