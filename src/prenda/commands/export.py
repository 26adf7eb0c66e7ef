"""`prenda export`: write a run's bundle to a folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from prenda.commands.shared import RUN, Subparsers, add_store_argument, data_folder_from
from prenda.system.startup import heavy_imports


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser of `prenda`."""
    parser = subparsers.add_parser(
        "export",
        help="write a run's bundle to a folder, after checking that it predicts as the run did",
        description="Write the bundle of a finished run to a folder. Its checksums are verified, and its answers are "
        "compared with the recorded predictions on all validation and test images. A trial of a sweep, which has no "
        "bundle, gets one from its checkpoint.",
    )
    parser.add_argument("run", metavar="RUN", help=RUN)
    parser.add_argument("--to", metavar="FOLDER", type=Path, required=True, help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an older export in that folder")
    parser.add_argument("--data-dir", metavar="FOLDER", help="folder of the data set (default: the recorded one)")
    parser.add_argument("--no-check", action="store_true", help="do not compare predictions; no images are needed then")
    add_store_argument(parser)
    parser.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> int:
    """Export a bundle and print where it is."""
    with heavy_imports():
        from prenda.training.exporting import export

    with data_folder_from("--data-dir"):
        exported = export(
            arguments.run,
            arguments.to,
            data_dir=arguments.data_dir,
            overwrite=arguments.overwrite,
            checked=not arguments.no_check,
            uri=arguments.tracking_uri,
        )
    print(exported)
    return 0
