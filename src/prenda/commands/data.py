"""`prenda data`: fetch a data set, draw samples of it, or check a folder of photos."""

from __future__ import annotations

import argparse
from pathlib import Path

from prenda.commands.shared import Subparsers, data_folder_from


def add_parser(subparsers: Subparsers) -> None:
    """Add the command and its actions to the parser of `prenda`."""
    parser = subparsers.add_parser("data", help="fetch a data set, draw samples of it, or check your own photos")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    fetch = _add_action(
        actions, "fetch", "fetch the files of a data set, if they are missing, and verify their checksums"
    )
    fetch.set_defaults(run_command=run_fetch)
    show = _add_action(actions, "show", "draw random samples of each class as a PNG")
    show.add_argument(
        "--samples", type=int, default=12, metavar="N", help="samples of each class (default: %(default)s)"
    )
    show.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the random choice (default: %(default)s)"
    )
    show.add_argument("--output", metavar="FILE", help="PNG to write (default: outputs/NAME.png in the project)")
    show.set_defaults(run_command=run_show)
    text = "check a folder of your own photos: sizes of the classes, unreadable files, near-duplicates"
    check = actions.add_parser("check", help=text, description=f"{text[0].upper()}{text[1:]}.")
    check.add_argument("folder", metavar="FOLDER", help="folder with a sub-folder for each class")
    check.set_defaults(run_command=run_check)


def _add_action(actions: Subparsers, name: str, text: str) -> argparse.ArgumentParser:
    action = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    action.add_argument("name", nargs="?", default="fashion_mnist", help="name of the data set (default: %(default)s)")
    action.add_argument("--dir", metavar="FOLDER", help="folder of data sets (default: data/ in the project)")
    return action


def run_fetch(arguments: argparse.Namespace) -> int:
    """Fetch a data set and print its sizes."""
    from prenda.report import samples

    with data_folder_from("--dir"):
        print(samples.fetch(arguments.name, arguments.dir))
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """Write the picture and print its path."""
    from prenda.report import samples

    with data_folder_from("--dir"):
        print(samples.show(arguments.name, arguments.dir, arguments.samples, arguments.seed, arguments.output))
    return 0


def run_check(arguments: argparse.Namespace) -> int:
    """Print what is in a folder of labelled photos."""
    from rich.console import Console

    from prenda.report.photo_check import check

    with data_folder_from("FOLDER"):
        check(Console(), Path(arguments.folder))
    return 0
