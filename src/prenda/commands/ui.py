"""`prenda ui`: MLflow's UI on this project's store."""

from __future__ import annotations

import argparse

from prenda.commands.shared import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser of `prenda`."""
    parser = subparsers.add_parser(
        "ui",
        help="serve MLflow's UI on this project's runs",
        description="Serve MLflow's UI on this project's runs until Ctrl-C, and print its address.",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)"
    )
    parser.add_argument("--port", type=int, default=5000, help="port to listen on (default: %(default)s)")
    parser.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve the UI until Ctrl-C."""
    from prenda.tracking import ui

    return ui.serve(arguments.host, arguments.port)
