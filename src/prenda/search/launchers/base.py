"""What every launcher offers, and the processes that trials run in.

Unlike Hydra's own launchers they take one job at a time and tell when any of them has ended, so that no worker waits
for the slowest of a batch.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import signal
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from prenda.errors import ConfigError
from prenda.search.job import Job, Problem

PATIENCE = 60  # seconds that trials have to close their records when a sweep is stopped


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
        """Refuse: only `hydra/sweeper=prenda` knows how to use these launchers."""
        raise ConfigError(
            "hydra/launcher local, ray and slurm need hydra/sweeper=prenda: leave hydra/sweeper as it is."
        )

    def open(self, folder: Path) -> None:
        """Make ready; files of the engine go below the sweep's folder."""

    @abstractmethod
    def start(self, job: Job) -> None:
        """Start a trial; there is room for one."""

    @abstractmethod
    def ended(self, seconds: float) -> list[Ended]:
        """Return the trials that have ended since the last call; waits so long for the first."""

    @abstractmethod
    def close(self) -> None:
        """End the trials that still run, in order where possible, and release the engine."""


def ready_processes() -> multiprocessing.context.ForkServerContext:
    """Make processes that have imported what a trial needs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["prenda.search.trial", "mlflow.store.tracking.sqlalchemy_store"])
    return context


def rehearsed(configs: Sequence[dict[str, Any]]) -> list[Problem | None]:
    """`trial.rehearse` in a process of its own."""
    context = ready_processes()
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_rehearse, args=(there, configs))
    process.start()
    there.close()
    try:
        told: list[Problem | None] = here.recv()
    except EOFError as error:
        process.join()
        raise RuntimeError(f"trying the settings ended early: {how_it_ended(process.exitcode)}") from error
    process.join()
    return told


def run_trial(job: Job) -> None:
    """Train a trial, in the process that is to be its own."""
    from prenda.search.trial import run

    run(job)


def _rehearse(pipe: Connection, configs: Sequence[dict[str, Any]]) -> None:
    from prenda.search.trial import rehearse

    pipe.send(rehearse(configs))


def how_it_ended(code: int | None) -> str | None:
    """Return what an exit code says of a process; None where it ended by itself."""
    if code == 0:
        return None
    if code is None or code > 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name
    return f"its process was ended by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"


def needs_package(module: str, extra: str) -> None:
    """Refuse a launcher whose package is not installed."""
    if importlib.util.find_spec(module) is None:
        raise ConfigError(
            f"hydra/launcher={extra} needs the package {module}, which is not installed: "
            f"run pip install 'prenda[{extra}]' (in a checkout: pip install -e '.[{extra}]'), or leave it at local."
        )
