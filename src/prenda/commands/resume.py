"""`prenda resume`: resume an interrupted run."""

from __future__ import annotations

import argparse

from prenda.commands.shared import RUN, Subparsers, add_store_argument, stoppable
from prenda.system.startup import heavy_imports


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser of `prenda`."""
    parser = subparsers.add_parser(
        "resume",
        help="resume an interrupted run",
        description="Resume an interrupted run from its last complete epoch, in its folder and in its MLflow run. "
        "The result is bit-identical to an uninterrupted run.",
    )
    parser.add_argument("run", metavar="RUN", help=RUN)
    add_store_argument(parser)
    parser.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> int:
    """Resume a run."""
    with heavy_imports():
        from prenda.training.resume import resume

    return stoppable(lambda: resume(arguments.run, arguments.tracking_uri))
