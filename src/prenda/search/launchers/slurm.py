"""Trials as jobs of a Slurm cluster."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

from prenda.errors import ConfigError
from prenda.search.job import Job
from prenda.search.launchers.base import Ended, TrialLauncher, needs_package, run_trial

POLL = 2  # seconds between two questions to the cluster


class SlurmLauncher(TrialLauncher):
    """Jobs of a Slurm cluster through submitit; the sweep's folder must be on a disk that all nodes see.

    A job that Slurm preempts or stops at its time limit is queued again and resumes from its last epoch.
    """

    def __init__(self, workers: int, cpus_per_trial: int, **parameters: Any) -> None:
        super().__init__()
        needs_package("submitit", "slurm")
        self.workers, self.cores = workers, cpus_per_trial
        self._parameters = {name: value for name, value in parameters.items() if value is not None}
        self._running: dict[int, Any] = {}

    def open(self, folder: Path) -> None:
        """Prepare to submit jobs.

        Raises:
            ConfigError: If this machine has no Slurm, or Slurm does not know a parameter.
        """
        import submitit

        try:
            subprocess.run(["sinfo", "--noheader"], capture_output=True, text=True, check=True)
            self._executor = submitit.AutoExecutor(folder / "slurm", cluster="slurm")
            self._executor.update_parameters(cpus_per_task=self.cores, **self._parameters)
        # submitit raises RuntimeError without Slurm, and NameError or ValueError for a parameter that it does not know.
        except (OSError, subprocess.CalledProcessError, RuntimeError, ValueError, NameError) as error:
            reason = str(getattr(error, "stderr", "") or error).strip().splitlines()[0]
            raise ConfigError(
                f"hydra/launcher=slurm cannot be used here ({reason}): run it where sbatch works, with parameters of "
                "conf/hydra/launcher/slurm.yaml."
            ) from error

    def start(self, job: Job) -> None:
        from submitit.core.utils import FailedJobError

        try:
            self._running[job.number] = self._executor.submit(_Requeued(), job)
        except FailedJobError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ConfigError(
                f"Slurm refuses the job ({reason}): correct hydra.launcher.slurm_partition, or the setting "
                "of hydra.launcher that it names; then run the same command again to resume."
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


class _Requeued:
    """Call that submitit may repeat in another job, where the trial resumes."""

    def __call__(self, job: Job) -> None:
        run_trial(job)

    def checkpoint(self, job: Job) -> Any:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, job)


def _slurm_error(job: Any) -> str | None:
    try:
        error = job.exception()
    except Exception as unknown:  # the job left no answer
        error = unknown
    return None if error is None else f"Slurm job {job.job_id} {job.state}: {str(error).strip().splitlines()[-1]}"
