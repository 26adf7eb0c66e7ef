"""`prenda sync`: deliver records that a tracking server has not received."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from prenda.commands.shared import Subparsers, add_store_argument


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser of `prenda`."""
    parser = subparsers.add_parser(
        "sync",
        help="deliver records that the tracking server has not received",
        description="Deliver the records that a tracking server has not received, because it was absent or failed. "
        "Each record arrives once, in order. Runs that were recorded offline are delivered if their folder is named, "
        "or with --offline.",
    )
    parser.add_argument(
        "folders",
        metavar="FOLDER",
        nargs="*",
        type=Path,
        help="folder of a run or of a sweep (default: all of outputs/)",
    )
    parser.add_argument("--offline", action="store_true", help="also deliver all runs that were recorded offline")
    add_store_argument(parser, "that of each run; this project's own store for offline runs")
    parser.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> int:
    """Deliver records; return 1 if some are still missing."""
    from prenda.system.redaction import set_apart
    from prenda.tracking.sync import sync

    uri = None if arguments.tracking_uri is None else set_apart(arguments.tracking_uri)
    problems: list[str | None] = []
    for synced in sync(arguments.folders, arguments.offline, uri):
        problems.append(synced.problem)
        if synced.problem is None:
            print(f"{synced.name}: {synced.sent} records delivered to {synced.uri} as run {synced.run_id}", flush=True)
        else:
            print(f"prenda: {synced.name} in {synced.folder}: {synced.problem}", file=sys.stderr)
    if not problems:
        print("Nothing waits to be delivered.")
    return 1 if any(problems) else 0
