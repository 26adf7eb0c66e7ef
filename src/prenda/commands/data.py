"""`prenda data`: fetch a data set, or look at it."""

from __future__ import annotations

import argparse

from prenda.commands.shared import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the command and its actions to the parser of `prenda`."""
    parser = subparsers.add_parser("data", help="fetch a data set, or look at it")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    fetch = _add_action(actions, "fetch", "make the files present and verified")
    fetch.set_defaults(run_command=run_fetch)
    show = _add_action(actions, "show", "write a picture of random samples of each class")
    show.add_argument("--samples", type=int, default=12, help="images a class (default: %(default)s)")
    show.add_argument("--seed", type=int, default=0, help="which random images (default: %(default)s)")
    show.add_argument("--output", help="PNG to write (default: outputs/NAME.png of the project)")
    show.set_defaults(run_command=run_show)


def _add_action(actions: Subparsers, name: str, text: str) -> argparse.ArgumentParser:
    action = actions.add_parser(name, help=text, description=text.capitalize() + ".")
    action.add_argument("name", nargs="?", default="fashion_mnist", help="data set (default: %(default)s)")
    action.add_argument("--dir", help="folder of data sets (default: data/ of the project)")
    return action


def run_fetch(arguments: argparse.Namespace) -> int:
    """Fetch a data set and print what is there."""
    from prenda.report import samples

    print(samples.fetch(arguments.name, arguments.dir))
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """Write the picture and print its path."""
    from prenda.report import samples

    print(samples.show(arguments.name, arguments.dir, arguments.samples, arguments.seed, arguments.output))
    return 0
