"""`prenda serve`: answer photos over HTTP."""

from __future__ import annotations

import argparse
from dataclasses import fields

from prenda.commands.shared import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser of `prenda`."""
    parser = subparsers.add_parser(
        "serve",
        help="answer photos over HTTP, for programs and on a page",
        description="Answer photos over HTTP until Ctrl-C, with a page for people at /.",
    )
    parser.add_argument(
        "--model",
        default="champion",
        metavar="champion|BUNDLE|RUN",
        help="the champion, else the newest run (default); the folder of a bundle; or a run: its folder, id or name",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)"
    )
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")
    parser.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from prenda.server.options import Options
    from prenda.server.run import serve

    serve(Options(**{field.name: getattr(arguments, field.name) for field in fields(Options)}))
    return 0
