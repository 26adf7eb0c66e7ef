"""`prenda compare`: compare recorded runs."""

from __future__ import annotations

import argparse

from prenda.commands.shared import RUN, Subparsers, add_store_argument
from prenda.system.startup import heavy_imports


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser of `prenda`."""
    parser = subparsers.add_parser(
        "compare",
        help="compare runs and test whether they differ significantly",
        description="Compare runs from their recorded predictions on the test images. Test the differences over test "
        "images and, where there are several seeds, over training seeds. Name at least two runs, or select them with "
        "--experiment or --where.",
    )
    parser.add_argument("runs", metavar="RUN", nargs="*", help=RUN)
    parser.add_argument("--experiment", metavar="NAME", help="add the finished runs of this MLflow experiment")
    parser.add_argument("--where", metavar="FILTER", help="add the finished runs that match this MLflow filter")
    parser.add_argument(
        "--data-dir",
        metavar="FOLDER",
        help="folder of the data set, for the pictures of test images (default: the recorded one)",
    )
    parser.add_argument("--no-record", action="store_true", help="write files only; record nothing in MLflow")
    add_store_argument(parser)
    parser.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare runs."""
    with heavy_imports():
        from prenda.model_selection.compare import compare

    compare(
        arguments.runs,
        experiment=arguments.experiment,
        where=arguments.where,
        data_dir=arguments.data_dir,
        recorded=not arguments.no_record,
        uri=arguments.tracking_uri,
    )
    return 0
