"""The engines themselves, with work that says nothing about prenda: what other tests may build on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from .host import needs
from .postgres import Postgres
from .ray_nodes import RayNodes
from .slurm import Slurm

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

SPREAD = """
import json, sys, time, ray

@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
def node() -> str:
    time.sleep(1)
    return ray.get_runtime_context().get_node_id()

ray.init(address=sys.argv[1], log_to_driver=False)
print(json.dumps(ray.get([node.remote(), node.remote()], timeout=60)))
"""
OUTLIVED = """
import pathlib, sys, time, ray

@ray.remote(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")
def sleep(started: str) -> None:
    pathlib.Path(started).touch()
    time.sleep(120)

ray.init(address=sys.argv[1], log_to_driver=False)
started = [pathlib.Path(sys.argv[2], name) for name in ("first", "second")]
tasks = [sleep.remote(str(path)) for path in started]
while not all(path.exists() for path in started):
    time.sleep(0.1)
print("both run", flush=True)
ended, _ = ray.wait(tasks, timeout=60)
try:
    ray.get(ended)
except ray.exceptions.NodeDiedError as error:
    print(type(error).__name__)
"""


def test_slurm_runs_a_submitit_job_on_each_node(slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    executor = submitit_executor(slurm, tmp_path, monkeypatch)
    jobs = []
    for node in ("n1", "n2"):
        executor.update_parameters(slurm_nodelist=node)
        jobs.append(executor.submit(os.getenv, "SLURMD_NODENAME"))
    assert [job.result() for job in jobs] == ["n1", "n2"]


def test_a_killed_slurm_job_is_reported(slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from submitit.core.utils import UncompletedJobError

    job = submitit_executor(slurm, tmp_path, monkeypatch).submit(time.sleep, 300)
    slurm.kill_job(job.job_id)
    killed = time.monotonic()
    with pytest.raises(UncompletedJobError, match="FAILED"):
        job.result()
    assert time.monotonic() - killed < 60
    assert job.job_id not in slurm.jobs()


def submitit_executor(slurm: Slurm, folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Submitit asks the environment of its own process where Slurm is."""
    needs("submitit")
    import submitit

    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    executor = submitit.AutoExecutor(folder, cluster="slurm")
    executor.update_parameters(timeout_min=5, cpus_per_task=1)
    return executor


def test_postgres_makes_databases_of_its_own(postgres: Postgres):
    names = ("first", "second")
    for name in names:
        assert postgres.database(name).endswith(f"/{name}")
    for name in names:
        with closing(postgres.connect(name)) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE numbers AS SELECT 42 AS number")
            cursor.execute("SELECT current_database(), number FROM numbers")
            assert cursor.fetchone() == (name, 42)


def test_the_mlflow_server_keeps_runs_and_artifacts(mlflow_server: str):
    from mlflow import MlflowClient

    client = MlflowClient(mlflow_server)
    run = client.create_run(client.create_experiment("engines"))
    client.log_text(run.info.run_id, "kept", "note.txt")
    assert client.get_experiment_by_name("engines").experiment_id == run.info.experiment_id
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["note.txt"]


def test_ray_runs_a_task_on_each_node(ray_nodes: RayNodes, tmp_path: Path):
    with ray_driver(ray_nodes, tmp_path, SPREAD) as driver:
        printed, _ = driver.communicate(timeout=120)
    assert len(set(json.loads(printed))) == 2


def test_a_killed_ray_node_is_noticed(ray_nodes: RayNodes, tmp_path: Path):
    with ray_driver(ray_nodes, tmp_path, OUTLIVED) as driver:
        assert driver.stdout.readline() == "both run\n"
        ray_nodes.kill_worker_node()
        try:
            printed, _ = driver.communicate(timeout=60)
        finally:
            ray_nodes.start_worker_node()
    assert printed == "NodeDiedError\n"


@contextmanager
def ray_driver(ray_nodes: RayNodes, folder: Path, script: str) -> Iterator[subprocess.Popen[str]]:
    """A process of its own, for Ray's client lives as long as its process; ended where a test gave up."""
    command = [sys.executable, "-c", script, ray_nodes.address, str(folder)]
    environment = os.environ | ray_nodes.environment
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as driver:
        try:
            yield driver
        finally:
            driver.kill()


@pytest.mark.parametrize(("demanded", "outcome"), [("1", pytest.fail.Exception), ("0", pytest.skip.Exception)])
def test_a_missing_engine_is_a_failure_only_where_it_is_demanded(demanded, outcome, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PRENDA_CLUSTER", demanded)
    with pytest.raises(outcome, match="no_such_package"):
        needs("no_such_package")
