"""`prenda promote`: make a run's model the champion if it is significantly better."""

from __future__ import annotations

import argparse

from prenda.commands.shared import Subparsers, add_model_argument
from prenda.system.startup import lasting


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser of `prenda`."""
    parser = subparsers.add_parser("promote", help="register a run's model; champion, if it beats the champion")
    parser.add_argument("run", metavar="RUN", help="id or name of a run")
    parser.add_argument("--force", metavar="REASON", help="make it champion whatever the test says; recorded")
    add_model_argument(parser)
    parser.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> int:
    """Promote a run and print the decision."""
    with lasting():
        from prenda.model_selection.promote import promote

    print(promote(arguments.run, arguments.model, arguments.force))
    return 0
