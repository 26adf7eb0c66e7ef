"""Where trials run: processes of this machine, a Ray cluster, a Slurm cluster. Chosen by `hydra/launcher`.

Unlike Hydra's own launchers they take one job at a time and tell when any of them has ended, so that no worker waits
for the slowest of a batch.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from prenda.search.job import Job

PATIENCE = 60  # seconds that trials have to close their records when a sweep is stopped
POLL = 2  # seconds between two questions to a cluster


@dataclass(frozen=True)
class Ended:
    """A trial whose process has ended; `lost` says how, where it did not end by itself."""

    number: int
    lost: str | None = None


class TrialLauncher(Launcher):
    """Runs trials side by side.

    Attributes:
        workers: The most that run at a time.
        cores: Of each; they become `trainer.threads`.
    """

    workers: int
    cores: int

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Everything is in the configuration of each trial."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Raises: ValueError: Always; only `hydra/sweeper=prenda` knows how to use these launchers."""
        raise ValueError("hydra/launcher local, ray and slurm need hydra/sweeper=prenda: leave hydra/sweeper as it is.")

    def open(self, folder: Path) -> None:
        """Makes ready; files of the engine go below the sweep's folder."""

    @abstractmethod
    def start(self, job: Job) -> None:
        """Starts a trial; there is room for one."""

    @abstractmethod
    def ended(self, seconds: float) -> list[Ended]:
        """The trials that have ended since the last call; waits so long for the first."""

    @abstractmethod
    def close(self) -> None:
        """Ends what still runs, in order where that is possible, and lets everything go."""


@dataclass(frozen=True)
class _Running:
    job: Job
    process: BaseProcess
    alive: Connection  # closes with this process, however that ends


class LocalLauncher(TrialLauncher):
    """Processes of this machine, each with its share of the cores, and with a GPU of its own where there are several.

    They are forked from a process that has imported everything and run nothing: a trial starts in a moment, and what it
    took goes with it.
    """

    def __init__(self, workers: int) -> None:
        super().__init__()
        available = _cores()
        self.workers = workers
        self.cores = max(1, len(available) // workers)
        self._shares = [available[slot * self.cores % len(available) :][: self.cores] for slot in range(workers)]
        self._running: dict[int, _Running] = {}  # by slot

    def start(self, job: Job) -> None:
        slot = min(set(range(self.workers)) - self._running.keys())
        gpus = _gpus()
        gpu = gpus[slot % len(gpus)] if len(gpus) > 1 else None
        context = ready_processes()
        theirs, ours = context.Pipe(duplex=False)
        process = context.Process(target=_run_here, args=(job, self._shares[slot], gpu, theirs))
        process.start()
        theirs.close()
        self._running[slot] = _Running(job, process, ours)

    def ended(self, seconds: float) -> list[Ended]:
        wait([running.process.sentinel for running in self._running.values()], timeout=seconds)
        gone = {slot: running for slot, running in self._running.items() if not running.process.is_alive()}
        for slot, running in gone.items():
            running.alive.close()
            del self._running[slot]
        return [Ended(running.job.number, _how(running.process.exitcode)) for running in gone.values()]

    def close(self) -> None:
        processes = [running.process for running in self._running.values()]
        for process in processes:
            process.terminate()
        until = time.monotonic() + PATIENCE
        for process in processes:
            process.join(max(0, until - time.monotonic()))
            process.kill()
            process.join()


class RayLauncher(TrialLauncher):
    """Tasks of a Ray cluster, one process each; the sweep's folder must be on a disk that all nodes see."""

    def __init__(self, workers: int, cpus_per_trial: int, gpus_per_trial: float, init: dict[str, Any]) -> None:
        super().__init__()
        _needs("ray", "ray")
        self.workers, self.cores = workers, cpus_per_trial
        self._gpus, self._init = gpus_per_trial, init
        self._running: dict[Any, int] = {}

    def open(self, folder: Path) -> None:
        """Raises: ValueError: If no cluster answers."""
        import ray

        given = {name: value for name, value in os.environ.items() if name.startswith(("PRENDA_", "MLFLOW_"))}
        try:
            ray.init(**{"runtime_env": {"env_vars": given}, **self._init})
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"hydra.launcher.init is {dict(self._init)!r}, where no Ray cluster can be used ({error}): start one "
                "with `ray start --head`, or give hydra.launcher.init.address=HOST:PORT."
            ) from error
        # One call a process: what a trial took goes with it. A lost one is for the sweep to judge.
        self._run = ray.remote(num_cpus=self.cores, num_gpus=self._gpus, max_calls=1, max_retries=0)(_run)

    def start(self, job: Job) -> None:
        self._running[self._run.remote(job)] = job.number

    def ended(self, seconds: float) -> list[Ended]:
        import ray

        ready, _ = ray.wait(list(self._running), num_returns=1, timeout=seconds)
        return [Ended(self._running.pop(task), _ray_error(task)) for task in ready]

    def close(self) -> None:
        import ray

        for task in self._running:
            ray.cancel(task)  # Ctrl-C in its process
        if self._running:
            ray.wait(list(self._running), num_returns=len(self._running), timeout=PATIENCE)
        ray.shutdown()


class SlurmLauncher(TrialLauncher):
    """Jobs of a Slurm cluster through submitit; the sweep's folder must be on a disk that all nodes see.

    A job that Slurm preempts or stops at its time limit is queued again, and goes on from its last epoch.
    """

    def __init__(self, workers: int, cpus_per_trial: int, **parameters: Any) -> None:
        super().__init__()
        _needs("submitit", "slurm")
        self.workers, self.cores = workers, cpus_per_trial
        self._parameters = {name: value for name, value in parameters.items() if value is not None}
        self._running: dict[int, Any] = {}

    def open(self, folder: Path) -> None:
        """Raises: ValueError: If this machine has no Slurm, or a parameter is none of its."""
        import submitit

        try:
            subprocess.run(["sinfo", "--noheader"], capture_output=True, text=True, check=True)
            self._executor = submitit.AutoExecutor(folder / "slurm", cluster="slurm")
            self._executor.update_parameters(cpus_per_task=self.cores, **self._parameters)
        except (OSError, subprocess.CalledProcessError, RuntimeError, ValueError, NameError) as error:
            reason = str(getattr(error, "stderr", "") or error).strip().splitlines()[0]
            raise ValueError(
                f"hydra/launcher=slurm cannot be used here ({reason}): run it where sbatch works, with parameters of "
                "conf/hydra/launcher/slurm.yaml."
            ) from error

    def start(self, job: Job) -> None:
        from submitit.core.utils import FailedJobError

        try:
            self._running[job.number] = self._executor.submit(_Requeued(), job)
        except FailedJobError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(
                f"Slurm refuses the job ({reason}): correct hydra.launcher.slurm_partition, or whichever of its "
                "settings this names; then the same command goes on."
            ) from error

    def ended(self, seconds: float) -> list[Ended]:
        until = time.monotonic() + seconds
        while True:
            done = [number for number, job in self._running.items() if job.done()]
            if done or time.monotonic() >= until:
                return [Ended(number, _slurm_error(self._running.pop(number))) for number in done]
            time.sleep(min(POLL, max(0.0, until - time.monotonic())))

    def close(self) -> None:
        for job in self._running.values():
            job.cancel()


def ready_processes() -> multiprocessing.context.ForkServerContext:
    """Makes processes that have imported what a trial needs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["prenda.search.trial", "mlflow.store.tracking.sqlalchemy_store"])
    return context


def rehearsed(configs: Sequence[dict[str, Any]]) -> list[str | None]:
    """`trial.rehearse` in a process of its own."""
    context = ready_processes()
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_rehearse, args=(there, configs))
    process.start()
    there.close()
    try:
        told: list[str | None] = here.recv()
    except EOFError as error:
        process.join()
        raise RuntimeError(f"trying the settings ended early: {_how(process.exitcode)}") from error
    process.join()
    return told


class _Requeued:
    """A call that submitit may make again in another job, where it goes on."""

    def __call__(self, job: Job) -> None:
        _run(job)

    def checkpoint(self, job: Job) -> Any:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, job)


def _run(job: Job) -> None:
    from prenda.search.trial import run

    run(job)


def _run_here(job: Job, cores: Sequence[int], gpu: str | None, driver: Connection) -> None:
    """Takes its share of the machine, and goes when the driver goes, even if that is killed."""
    threading.Thread(target=_go_with, args=(driver,), daemon=True).start()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    _run(job)


def _go_with(driver: Connection) -> None:
    with suppress(EOFError, OSError):
        driver.recv_bytes()  # nothing is ever sent: it ends when the other end is closed
    os.kill(os.getpid(), signal.SIGTERM)


def _rehearse(pipe: Connection, configs: Sequence[dict[str, Any]]) -> None:
    from prenda.search.trial import rehearse

    pipe.send(rehearse(configs))


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA names them; asked of the driver, without torch."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    try:
        import pynvml

        pynvml.nvmlInit()
        return [str(number) for number in range(pynvml.nvmlDeviceGetCount())]
    except Exception:  # no package, no driver, no GPU
        return []


def _how(code: int | None) -> str | None:
    if code == 0:
        return None
    if code is None or code > 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name
    return f"its process was ended by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"


def _ray_error(task: Any) -> str | None:
    import ray

    try:
        ray.get(task)
    except Exception as error:  # of the node, the process, or the task
        return f"Ray: {type(error).__name__}: {str(error).strip().splitlines()[-1] if str(error) else ''}"
    return None


def _slurm_error(job: Any) -> str | None:
    try:
        error = job.exception()
    except Exception as unknown:  # the job left no answer
        error = unknown
    return None if error is None else f"Slurm job {job.job_id} {job.state}: {str(error).strip().splitlines()[-1]}"


def _needs(module: str, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise ValueError(
            f"hydra/launcher={extra} needs the package {module}, which is not installed: "
            f"run pip install 'prenda[{extra}]' (in a checkout: pip install -e '.[{extra}]'), or leave it at local."
        )
