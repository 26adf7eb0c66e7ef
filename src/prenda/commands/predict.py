"""`prenda predict`: say which garment photos show."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from prenda.commands.shared import Subparsers
from prenda.system.signals import Stopped, stop_on_signal

SOME_FAILED = 3  # exit code


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser of `prenda`."""
    parser = subparsers.add_parser(
        "predict",
        help="say which garment photos show; sort them into folders",
        description="Say which garment each photo shows, and how sure that is. The exit code is 3 if some photos could "
        "not be read; the others are answered.",
    )
    parser.add_argument(
        "photos",
        nargs="+",
        metavar="PHOTO|FOLDER|GLOB|-",
        help="photos, folders of photos (with all folders in them), quoted patterns, or - for paths on standard input; "
        "after -- a name may start with a dash",
    )
    parser.add_argument(
        "--model",
        default="champion",
        metavar="champion|BUNDLE|RUN",
        help="the champion, else the newest run (default); the folder of a bundle; or a run: its folder, id or name",
    )
    parser.add_argument(
        "--labels", default="en", metavar="en|es", help="language of the answers (default: %(default)s)"
    )
    parser.add_argument("--top", type=int, default=2, metavar="N", help="guesses of an answer (default: %(default)s)")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="write all answers to a .csv, .json, .jsonl or .parquet file; the same command resumes an interrupted one",
    )
    parser.add_argument(
        "--sort-into",
        type=Path,
        metavar="FOLDER",
        help="copy the photos into a folder for each type and one for unsure",
    )
    parser.add_argument("--link", action="store_true", help="with --sort-into: make links instead of copies")
    parser.add_argument("--shard", metavar="I/N", help="take part I of N of the photos, for N commands at once")
    parser.add_argument(
        "--explain", type=Path, metavar="FOLDER", help="write pictures of how each photo is prepared and seen (slow)"
    )
    parser.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> int:
    """Classify photos; return 3 if some cannot be read."""
    from prenda.prediction.classify import Request, Shard, classify

    names = ("photos", "model", "labels", "top", "output", "sort_into", "link", "explain")
    shard = None if arguments.shard is None else Shard.parse(arguments.shard)
    request = Request(**{name: getattr(arguments, name) for name in names}, shard=shard)
    try:
        with stop_on_signal():
            return SOME_FAILED if classify(request) else 0
    except Stopped as stop:
        resume = "" if request.output is None else "; the answers so far are kept, and the same command goes on"
        print(f"prenda: {stop}{resume}.", file=sys.stderr)
        return 128 + stop.signum
