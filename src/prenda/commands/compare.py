"""`prenda compare`: set runs side by side."""

from __future__ import annotations

import argparse

from prenda.commands.shared import Subparsers
from prenda.system.startup import lasting


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser of `prenda`."""
    parser = subparsers.add_parser("compare", help="set runs side by side; say whether they differ significantly")
    parser.add_argument("runs", metavar="RUN", nargs="*", help="id, name or own folder of a run; two or more in all")
    parser.add_argument("--experiment", help="add the finished runs of this experiment")
    parser.add_argument("--where", metavar="FILTER", help="add the finished runs that match an MLflow filter")
    parser.add_argument("--data-dir", help="where the data set is now, for pictures (default: where it was)")
    parser.add_argument("--no-record", action="store_true", help="write files only, no run in MLflow")
    parser.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare runs."""
    with lasting():
        from prenda.model_selection.compare import compare

    compare(
        arguments.runs,
        experiment=arguments.experiment,
        where=arguments.where,
        data_dir=arguments.data_dir,
        recorded=not arguments.no_record,
    )
    return 0
