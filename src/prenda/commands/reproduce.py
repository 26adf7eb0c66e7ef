"""`prenda reproduce`: train a recorded run again, and say whether the result is the same."""

from __future__ import annotations

import argparse

from prenda.commands.shared import RUN, Subparsers, add_store_argument, data_folder_from, stoppable
from prenda.system.startup import heavy_imports

DIFFERS = 4  # exit code


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser of `prenda`."""
    parser = subparsers.add_parser(
        "reproduce",
        help="train a recorded run again, and say whether the result is the same",
        description="Compare the record of a finished run (code, packages, data, settings, machine) with the present, "
        "train the run again in a folder of its own, and say whether the result is equal to the bit, equal within "
        "rounding, or different. The recorded run is only read. The exit code is 4 if the result is different, and "
        "with --check if the record differs from the present.",
    )
    parser.add_argument("run", metavar="RUN", help=RUN)
    parser.add_argument("--check", action="store_true", help="compare the record with the present; do not train")
    parser.add_argument("--data-dir", metavar="FOLDER", help="folder of the data set (default: the recorded one)")
    add_store_argument(parser)
    parser.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> int:
    """Reproduce a run; return 4 if its result, or with `--check` its record, differs."""
    with heavy_imports():
        from prenda.training.reproduction import reproduce

    same: list[bool] = []

    def work() -> None:
        with data_folder_from("--data-dir"):
            same.append(
                reproduce(arguments.run, check=arguments.check, data_dir=arguments.data_dir, uri=arguments.tracking_uri)
            )

    code = stoppable(work, resumed_by="the same command")
    return code if code or same == [True] else DIFFERS
