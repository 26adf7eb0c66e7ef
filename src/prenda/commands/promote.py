"""`prenda promote`: make a run's model the champion if it is significantly better."""

from __future__ import annotations

import argparse
import sys

from prenda.commands.shared import RUN, Subparsers, add_model_arguments
from prenda.system.signals import Stopped, stop_on_signal
from prenda.system.startup import heavy_imports


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser of `prenda`."""
    parser = subparsers.add_parser(
        "promote",
        help="register a run's model; make it champion if it is significantly better",
        description="Register a run's bundle as a version of a model. The alias `champion` moves to it if it is "
        "significantly better over test images than the current champion (McNemar, one-sided, p < 0.05). The message "
        "says whether chance in training is excluded too. The champion's bundle is copied to outputs/champions.",
    )
    parser.add_argument("run", metavar="RUN", help=RUN)
    parser.add_argument(
        "--force", metavar="REASON", help="make it champion whatever the test says; the reason is recorded"
    )
    add_model_arguments(parser, "that of the run's data set and classes")
    parser.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> int:
    """Promote a run and print the decision."""
    with heavy_imports():
        from prenda.model_selection.promote import promote

    try:
        with stop_on_signal():
            print(promote(arguments.run, arguments.model, arguments.force, arguments.tracking_uri))
    except Stopped as stop:
        print(f"prenda: {stop}; give the same command again.", file=sys.stderr)
        return 128 + stop.signum
    return 0
