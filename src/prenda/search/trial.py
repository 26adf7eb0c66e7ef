"""One trial of a sweep, in a process of its own. How it ended is told by what its folder holds then."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from prenda.config.convert import typed
from prenda.config.identity import describe_run
from prenda.config.schema import TrainConfig
from prenda.config.validation import check
from prenda.data.datamodule import ImageDataModule
from prenda.errors import UserError
from prenda.search.job import LOG, Job, Problem
from prenda.search.pruning import Pruning
from prenda.system.atomic_write import write_atomically
from prenda.system.signals import Stopped
from prenda.tracking.run_folder import STATUS, status, writing
from prenda.tracking.runs import Pruned, record_failure, traceback_of
from prenda.training.build import build_callbacks, build_classifier, build_data, resolve_device
from prenda.training.train import train


def run(job: Job) -> None:
    """Trains the trial, or what is left of it, with everything that it prints in `log.txt`.

    Another process that still writes there, because it outlived its driver, is waited for.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    with _printing_to(job.folder / LOG), writing(job.folder, wait=True):
        if status(job.folder) in ("FINISHED", "PRUNED"):
            return
        (job.folder / STATUS).unlink(missing_ok=True)  # of a start that was interrupted: this one ends in its own way
        config = typed(job.config)
        callbacks = [] if job.address is None else [Pruning(job.address, job.metric, job.folder)]
        try:
            train(config, job.folder, callbacks)
        except (Pruned, Stopped) as end:
            print(end, *getattr(end, "__notes__", []), sep="\n")
        except Exception as error:
            traceback.print_exc()
            _note(config, job.folder, error)


def _note(config: TrainConfig, folder: Path, error: Exception) -> None:
    """Sees to it that a failure is recorded, however early it came, and as far as the store lets it."""
    if status(folder) is None:
        try:
            record_failure(config.tracking, describe_run(config), folder, error)
        except Exception:  # the store or the disk is what failed
            traceback.print_exc()
            write_atomically(folder / STATUS, "FAILED")
    path = folder / "error.txt"
    if not path.is_file():
        write_atomically(path, traceback_of(error))


def rehearse(configs: Sequence[dict[str, Any]]) -> list[Problem | None]:
    """Return the problem of each configuration that shows without training; None where there is none."""
    loaded: dict[str, ImageDataModule] = {}
    return [_rehearse(typed(config), loaded) for config in configs]


def _rehearse(config: TrainConfig, loaded: dict[str, ImageDataModule]) -> Problem | None:
    try:
        check(config)
        resolve_device(config.trainer)
        key = str(config.data)
        if key not in loaded:
            loaded[key] = build_data(config)
            loaded[key].prepare_data()
            loaded[key].setup()
        build_classifier(config, loaded[key])
        build_callbacks(config)
    except (UserError, OSError) as error:
        return Problem(str(error))
    except Exception as error:  # a bug, of which the driver's process shall know where it is
        return Problem(f"{type(error).__name__}: {error}", traceback.format_exc())
    return None


@contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """Send what this process and those that it starts print to a file."""
    with path.open("a", encoding="utf-8") as log:
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError):
                stream.flush()
        kept = [(number, os.dup(number)) for number in (1, 2)]
        for number, _ in kept:
            os.dup2(log.fileno(), number)
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(AttributeError, OSError):
                    stream.flush()
            for number, copy in kept:
                os.dup2(copy, number)
                os.close(copy)
