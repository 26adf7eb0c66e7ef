"""Arguments and exit codes that several commands share."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from prenda.errors import RUN_TO_RESUME, UserError
from prenda.system.signals import Stopped

RUN = "MLflow id of a run (or its first eight characters), its name, its folder, or a checkpoint in that folder"

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_model_arguments(parser: argparse.ArgumentParser, default: str) -> None:
    """Add `--model`, the name of a registered model, and `--tracking-uri`, where it is registered.

    Args:
        parser: Parser of a command.
        default: Says in words which model is taken without `--model`.
    """
    parser.add_argument("--model", metavar="NAME", help=f"name of the registered model (default: {default})")
    add_store_argument(parser)


def add_store_argument(
    parser: argparse.ArgumentParser, default: str = "$MLFLOW_TRACKING_URI, else this project's own store"
) -> None:
    """Add `--tracking-uri`, the store or server that a command reads."""
    parser.add_argument(
        "--tracking-uri", metavar="URI", help=f"address of an MLflow store or server (default: {default})"
    )


@contextmanager
def data_folder_from(argument: str) -> Iterator[None]:
    """Name the command's own argument in errors about a data set, which name the settings of `prenda train`."""
    try:
        yield
    except UserError as error:
        text = str(error).replace("data.name is", "The name is").replace("data.dir is", f"{argument} is")
        error.args = (text.replace("data.dir=…", argument),)
        raise


def stoppable(training: Callable[[], object], resumed_by: str | None = None) -> int:
    """Run a training or a sweep; return 128 + N where signal N stopped it.

    Args:
        training: The training.
        resumed_by: What resumes it, for the message of a stop; None is `prenda resume RUN`.
    """
    try:
        training()
    except SystemExit as end:  # from a sweep, which has printed the reason
        return end.code if isinstance(end.code, int) else 1
    except Stopped as stop:
        print(f"prenda: {stop}; {_next_step(stop, resumed_by)}", file=sys.stderr)
        return 128 + stop.signum
    return 0


def _next_step(stop: Stopped, resumed_by: str | None) -> str:
    """Return how to go on: `recorded` names the run in a note, once there is a record of it."""
    run = next(
        (note.removeprefix(RUN_TO_RESUME) for note in getattr(stop, "__notes__", []) if note.startswith(RUN_TO_RESUME)),
        None,
    )
    if run is None:
        return "nothing was recorded yet: give the same command again."
    return f"the run is recorded as KILLED, and {resumed_by or f'`prenda resume {shlex.quote(run)}`'} resumes it."
