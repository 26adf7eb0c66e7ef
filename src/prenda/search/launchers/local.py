"""Trials in processes of this machine."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from prenda.search.job import Job
from prenda.search.launchers.base import PATIENCE, Ended, TrialLauncher, how_it_ended, ready_processes, run_trial


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
        return [Ended(running.job.number, how_it_ended(running.process.exitcode)) for running in gone.values()]

    def close(self) -> None:
        processes = [running.process for running in self._running.values()]
        for process in processes:
            process.terminate()
        until = time.monotonic() + PATIENCE
        for process in processes:
            process.join(max(0, until - time.monotonic()))
            process.kill()
            process.join()


def _run_here(job: Job, cores: Sequence[int], gpu: str | None, driver: Connection) -> None:
    """Run a trial on its share of the machine; end when the driver ends, even if that is killed."""
    threading.Thread(target=_go_with, args=(driver,), daemon=True).start()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    run_trial(job)


def _go_with(driver: Connection) -> None:
    with suppress(EOFError, OSError):
        driver.recv_bytes()  # nothing is ever sent: it ends when the other end is closed
    os.kill(os.getpid(), signal.SIGTERM)


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA names them; asked of the driver, without torch."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    try:
        import pynvml

        pynvml.nvmlInit()
        return [str(number) for number in range(pynvml.nvmlDeviceGetCount())]
    except Exception:  # no package, no driver, no GPU
        return []
