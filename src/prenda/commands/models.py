"""`prenda models`: list the registered models and their versions."""

from __future__ import annotations

import argparse

from prenda.commands.shared import Subparsers, add_model_arguments


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser of `prenda`."""
    parser = subparsers.add_parser(
        "models",
        help="list the registered models and their versions",
        description="List the versions of each registered model, newest first.",
    )
    add_model_arguments(parser, "all")
    parser.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the versions."""
    from prenda.model_selection.listing import show_models

    show_models(arguments.model, arguments.tracking_uri)
    return 0
