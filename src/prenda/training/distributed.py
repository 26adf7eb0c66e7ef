"""Training in several processes, started by torchrun or by prenda on this machine."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning.callbacks import Callback

from prenda.config.schema import TrainConfig
from prenda.data import batches
from prenda.errors import UserError
from prenda.system.signals import Stopped
from prenda.training.build import build_classifier, build_data, prepare_process
from prenda.training.fit import fit
from prenda.training.initial_weights import load_initial

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


@dataclass(frozen=True)
class Torchrun:
    """Rank of a process that `torchrun` has started, and the number of nodes and processes."""

    rank: int
    nodes: int
    processes: int  # on this machine

    @classmethod
    def found(cls) -> Torchrun | None:
        """Read the variables that torchrun sets; return None if it did not start this process."""
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return None
        world_size, local_world_size = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
        return cls(int(os.environ["RANK"]), world_size // local_world_size, local_world_size)

    def leave(self) -> None:
        """Leave the process group, so that the steps after training wait for no other process."""
        torch.distributed.destroy_process_group()
        for name in ("TORCHELASTIC_RUN_ID", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "RANK", "LOCAL_RANK", "GROUP_RANK"):
            os.environ.pop(name, None)


def fit_in_processes(config: TrainConfig, folder: Path, callbacks: Sequence[Callback], processes: int) -> None:
    """Train in several processes of this machine, under torch's elastic launcher, which torchrun uses too.

    A process that fails ends the others.

    Raises:
        UserError: The error of the process that failed first, where the user can correct it.
        Stopped: If a signal stopped the training.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    launch = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id="prenda",  # any name: the endpoint below is this run's own
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        shutdown_timeout=5,
        start_method="forkserver",  # imports torch and Lightning once for all processes
    )
    multiprocessing.set_forkserver_preload([__name__])
    # This logger prints the traceback of a failed process, which the text of its exception holds too.
    logging.getLogger("torch.distributed.elastic.multiprocessing.api").setLevel(logging.CRITICAL)
    try:
        elastic_launch(launch, _fit_worker)(dict(os.environ), config, folder, callbacks, processes)
    except SignalException as error:
        raise Stopped(error.sigval) from error
    except ChildFailedError as error:
        user_error = _user_error(error)
        if user_error is not None:
            raise user_error from error
        raise


def _user_error(failed: ChildFailedError) -> UserError | None:
    """Return the error of the process that failed first where it is one that the user can correct."""
    message: Any = failed.get_first_failure()[1].message  # a dictionary where torch recorded an exception
    kind, _, text = (message["message"] if isinstance(message, dict) else message).partition(": ")
    kinds: list[type[UserError]] = [UserError, *UserError.__subclasses__()]
    return UserError(text) if kind in [user_error.__name__ for user_error in kinds] else None


def _fit_worker(
    environment: Mapping[str, str], config: TrainConfig, folder: Path, callbacks: Sequence[Callback], processes: int
) -> None:
    """Train in one of the processes; the first one logs and writes the checkpoints."""
    os.environ.update(environment)  # the fork server has the one that it was started with
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the launcher ends this process
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    # The loaders' workers come from a fork server too, as gloo and NCCL demand. Each would import torch otherwise.
    multiprocessing.set_forkserver_preload([batches.__name__])
    prepare_process(config, processes)
    data = build_data(config)
    data.setup()
    classifier = build_classifier(config, data)
    load_initial(config, classifier, data, folder)
    fit(config, classifier, data, folder, callbacks, processes)


def _end_with_launcher() -> None:
    """End this process with its launcher, even if that is killed: the lock of the run's folder ends with it too."""
    launcher = multiprocessing.parent_process()
    assert launcher is not None
    launcher.join()
    os.kill(os.getpid(), signal.SIGKILL)
