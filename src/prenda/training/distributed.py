"""Training in several processes: those that torchrun started, and those that we start on this machine."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning.callbacks import Callback

from prenda.config.schema import TrainConfig
from prenda.errors import UserError
from prenda.system.signals import Stopped
from prenda.training.build import build_classifier, build_data, prepare_process
from prenda.training.fit import fit

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


@dataclass(frozen=True)
class Torchrun:
    """Where a process stands that `torchrun` has started: one of several, perhaps on several machines."""

    rank: int
    nodes: int
    processes: int  # on this machine

    @classmethod
    def found(cls) -> Torchrun | None:
        """From the variables that torchrun sets; None where it did not start this process."""
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return None
        world, here = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
        return cls(int(os.environ["RANK"]), world // here, here)

    def leave(self) -> None:
        """Makes this process one by itself: what comes after training waits for no other."""
        torch.distributed.destroy_process_group()
        for name in ("TORCHELASTIC_RUN_ID", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "RANK", "LOCAL_RANK", "GROUP_RANK"):
            os.environ.pop(name, None)


def fit_in_processes(
    config: TrainConfig, folder: Path, run_id: str | None, callbacks: Sequence[Callback], processes: int
) -> None:
    """Trains in several processes of this machine, under torch's elastic launcher (what torchrun uses).

    One that fails ends the others, and its error becomes this one's.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    launch = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        shutdown_timeout=5,
    )
    # It prints the traceback of a process that fails, which is in its exception's text too.
    logging.getLogger("torch.distributed.elastic.multiprocessing.api").setLevel(logging.CRITICAL)
    try:
        elastic_launch(launch, _fit_worker)(config, folder, run_id, callbacks, processes)
    except SignalException as error:
        raise Stopped(error.sigval) from error
    except ChildFailedError as error:
        if (told := _of_user(error)) is not None:
            raise told from error
        raise


def _of_user(failed: ChildFailedError) -> UserError | None:
    """Return the error of the process that failed first where it is one that the user can correct."""
    message: Any = failed.get_first_failure()[1].message  # a dictionary where torch recorded an exception
    kind, _, text = (message["message"] if isinstance(message, dict) else message).partition(": ")
    kinds: list[type[UserError]] = [UserError, *UserError.__subclasses__()]
    return UserError(text) if kind in [each.__name__ for each in kinds] else None


def _fit_worker(
    config: TrainConfig, folder: Path, run_id: str | None, callbacks: Sequence[Callback], processes: int
) -> None:
    """One of the processes; the first of them logs and writes the checkpoints."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the launcher ends this process
    prepare_process(config, processes)
    data = build_data(config)
    data.setup()
    fit(config, build_classifier(config, data), data, folder, run_id, callbacks, processes)
