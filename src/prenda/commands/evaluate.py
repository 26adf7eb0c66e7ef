"""`prenda evaluate`: score a finished run again."""

from __future__ import annotations

import argparse

from prenda.commands.shared import RUN, Subparsers, add_store_argument, data_folder_from
from prenda.system.startup import heavy_imports


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser of `prenda`."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score a recorded run again",
        description="Score a recorded run again, with its own settings and on its own images.",
    )
    parser.add_argument("run", metavar="RUN", help=RUN)
    parser.add_argument("--data-dir", metavar="FOLDER", help="folder of the data set (default: the recorded one)")
    parser.add_argument(
        "--accelerator",
        choices=["auto", "cpu", "gpu", "mps"],
        help="device (default: the recorded one)",
    )
    parser.add_argument(
        "--any-data", action="store_true", help="accept a data set whose content differs from the recorded one"
    )
    add_store_argument(parser)
    parser.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> int:
    """Score a run and print the scores."""
    with heavy_imports():
        from prenda.training.evaluation import evaluate_again

    with data_folder_from("--data-dir"):
        evaluate_again(
            arguments.run, arguments.data_dir, arguments.accelerator, arguments.any_data, uri=arguments.tracking_uri
        )
    return 0
