"""Slurm on one host: two nodes, and accounting, without which nobody learns that a job was killed."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from .host import free_ports, install, kill_all, output_of, processes_with, short_folder, unavailable
from .slurm_daemons import BINARIES, NODES, PACKAGES, Daemons, Site


@dataclass(frozen=True)
class Slurm:
    """A running Slurm; commands and programs find it through `environment`."""

    environment: dict[str, str]

    def run(self, *command: str) -> str:
        """Runs a command of Slurm; returns what it printed."""
        return output_of(command, self.environment)

    def jobs(self) -> dict[str, str]:
        """The state of every job that waits or runs, by its id as submitit writes it (12, 12_0)."""
        return dict(line.split() for line in self.run("squeue", "--noheader", "--array", "--format=%i %T").splitlines())

    def kill_job(self, job_id: str, seconds: float = 60) -> None:
        """Kills the processes of a job's step without warning, as the kernel does when memory runs out.

        A job that does not run yet is waited for.
        """
        deadline = time.monotonic() + seconds
        while not (step := self._processes(job_id)):
            assert time.monotonic() < deadline, f"no process of job {job_id} runs; jobs are {self.jobs()}"
            time.sleep(0.2)
        kill_all(step)

    def _processes(self, job_id: str) -> list[psutil.Process]:
        """What srun started for a job: not the shell that waits for srun."""
        job, _, task = job_id.partition("_")
        wanted = {"SLURM_ARRAY_JOB_ID": job, "SLURM_ARRAY_TASK_ID": task} if task else {"SLURM_JOB_ID": job}
        return processes_with("SLURM_STEP_ID", **self.environment, **wanted)

    def serves(self) -> bool:
        """Whether both nodes wait for jobs and the controller has told the accounting that it is there."""
        try:
            states = self.run("sinfo", "--noheader", "--Node", "--format=%T").split()
            controllers = self.run("sacctmgr", "--noheader", "--parsable2", "show", "cluster", "format=ControlPort")
        except RuntimeError:
            return False
        return states == ["idle"] * len(NODES) and int(controllers or 0) > 0


@contextmanager
def running_slurm() -> Iterator[Slurm]:
    """Installs, configures and starts Slurm; ends every process of it, those of its jobs included."""
    if os.geteuid() != 0:
        unavailable("Slurm's daemons change users: only root can run them")
    install(PACKAGES, BINARIES)
    host = socket.gethostname()
    address = socket.gethostbyname(host)
    if not address.startswith("127."):
        unavailable(f"Slurm would listen on {address}: let /etc/hosts say `127.0.0.1 {host}`")
    with short_folder("slurm") as folder, ExitStack() as servers:
        slurm = Slurm({"SLURM_CONF": str(folder / "slurm.conf")})
        servers.callback(lambda: kill_all(processes_with(**slurm.environment) + _steps(folder)))
        site = Site(folder, host, address, *free_ports(5, address))
        site.configure()
        Daemons(site, slurm.environment, lambda daemon: servers.callback(daemon.stop)).start(slurm.serves)
        servers.callback(_end_jobs, slurm, folder)
        yield slurm


def _end_jobs(slurm: Slurm, folder: Path) -> None:
    """Ends every job, and waits for what watches over its steps: it would outlive the daemons."""
    slurm.run("scancel", "--user=root")
    kill_all(processes_with("SLURM_JOB_ID", **slurm.environment))
    deadline = time.monotonic() + 30
    while (slurm.jobs() or _steps(folder)) and time.monotonic() < deadline:
        time.sleep(0.2)


def _steps(folder: Path) -> list[psutil.Process]:
    """The slurmstepd of these nodes: they leave their parent and lose their environment, but keep a socket in here."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name().startswith("slurmstepd"):
                sockets = [str(each.laddr) for each in process.net_connections("unix")]
                found += [process] * any(path.startswith(f"{folder}/") for path in sockets)
    return found
