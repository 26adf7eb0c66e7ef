"""Trials as tasks of a Ray cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from prenda.errors import ConfigError
from prenda.search.job import Job
from prenda.search.launchers.base import PATIENCE, Ended, TrialLauncher, needs_package, run_trial


class RayLauncher(TrialLauncher):
    """Tasks of a Ray cluster, one process each; the sweep's folder must be on a disk that all nodes see."""

    def __init__(self, workers: int, cpus_per_trial: int, gpus_per_trial: float, init: dict[str, Any]) -> None:
        super().__init__()
        needs_package("ray", "ray")
        self.workers, self.cores = workers, cpus_per_trial
        self._gpus, self._init = gpus_per_trial, init
        self._running: dict[Any, int] = {}

    def open(self, folder: Path) -> None:
        """Connect to the Ray cluster.

        Raises:
            ConfigError: If no cluster answers.
        """
        import ray

        given = {name: value for name, value in os.environ.items() if name.startswith(("PRENDA_", "MLFLOW_"))}
        try:
            ray.init(**{"runtime_env": {"env_vars": given}, **self._init})
        except (ConnectionError, RuntimeError, ValueError) as error:  # Ray's own, by what is wrong with its settings
            raise ConfigError(
                f"hydra.launcher.init is {dict(self._init)!r}, where no Ray cluster can be used ({error}): start one "
                "with `ray start --head`, or give hydra.launcher.init.address=HOST:PORT."
            ) from error
        # One call a process: what a trial took goes with it. A lost one is for the sweep to judge.
        self._run = ray.remote(num_cpus=self.cores, num_gpus=self._gpus, max_calls=1, max_retries=0)(run_trial)

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


def _ray_error(task: Any) -> str | None:
    import ray

    try:
        ray.get(task)
    except Exception as error:  # of the node, the process, or the task
        return f"Ray: {type(error).__name__}: {str(error).strip().splitlines()[-1] if str(error) else ''}"
    return None
