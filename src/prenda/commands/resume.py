"""`prenda resume`: continue an interrupted run."""

from __future__ import annotations

import argparse

from prenda.commands.shared import Subparsers, stoppable
from prenda.system.startup import lasting


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser of `prenda`."""
    parser = subparsers.add_parser("resume", help="resume an interrupted run, to the result it would have had")
    parser.add_argument("run", metavar="RUN", help="folder, id or name of the run")
    parser.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> int:
    """Resume a run."""
    with lasting():
        from prenda.training.resume import resume

    return stoppable(lambda: resume(arguments.run))
