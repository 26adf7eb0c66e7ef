"""prenda as its user runs it: the command, with its progress bar, its record in MLflow, validation and checkpoints."""

from __future__ import annotations

from pytorch_lightning.callbacks import Callback

import prenda.training.train as training
from loops.task import Measured, Task
from loops.watch import Watch
from prenda.cli import main


def measure(task: Task, *more: str) -> Measured:
    """Below $PRENDA_HOME; `more` are further overrides."""
    watch = Watch()
    run(["train", *task.overrides(), *more], watch)
    return watch.measured()


def run(arguments: list[str], *callbacks: Callback) -> None:
    """Runs `prenda train …` in this process, with callbacks added to its own.

    Raises:
        SystemExit: If it ends with another code than 0; it has then told why.
    """
    train = training.train
    training.train = lambda config, folder: train(config, folder, callbacks)
    try:
        code = main(arguments)
    finally:
        training.train = train
    if code:
        raise SystemExit(code)
