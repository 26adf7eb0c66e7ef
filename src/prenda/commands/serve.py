"""`prenda serve`: answer photos over HTTP."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from prenda.commands.shared import Subparsers
from prenda.system.signals import Stopped

LIMITS = (  # option, type, metavar, help
    ("--max-body", float, "MIB", "largest request, in MiB (default: 32)"),
    ("--max-photos", int, "N", "most photos of a request (default: 32)"),
    ("--max-pixels", int, "N", "most pixels of a photo, width times height (default: 100000000)"),
    ("--timeout", float, "SECONDS", "time for receiving a request, and as much for answering it (default: 30)"),
    ("--concurrency", int, "N", "requests in work at once, in each process (default: twice the cores)"),
    ("--queue", int, "N", "requests that wait for that; more are refused with 503 (default: 64)"),
    ("--max-connections", int, "N", "open connections of each process (default: 1000)"),
    ("--grace", float, "SECONDS", "time in which requests finish when the server stops (default: 10)"),
)


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser of `prenda`."""
    parser = subparsers.add_parser(
        "serve",
        argument_default=argparse.SUPPRESS,
        help="answer photos over HTTP, for programs and on a page",
        description="Answer photos over HTTP until Ctrl-C: for people on a page at /, for programs as /docs describes.",
    )
    parser.add_argument(
        "--model",
        metavar="champion|BUNDLE|RUN|NAME@ALIAS",
        help="the champion, else the newest run (default); the folder of a bundle; a run: its folder, id or name; or, "
        "with --tracking-uri, a registered model",
    )
    parser.add_argument("--tracking-uri", metavar="URI", help="address of an MLflow server whose champion is followed")
    parser.add_argument(
        "--reload-every", type=float, metavar="SECONDS", help="time between looks for a new champion (default: 10)"
    )
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1, this machine only)")
    parser.add_argument("--port", type=int, help="port to listen on (default: 8000)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes behind the port (default: 1)")
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="file of the token that clients send (default: $PRENDA_SERVE_TOKEN)",
    )
    for option, what in (("--allowed-host", "name of this server"), ("--allowed-origin", "origin of a page")):
        parser.add_argument(option, action="append", metavar="NAME", help=f"{what} in requests; may be repeated")
    for option, kind, metavar, text in LIMITS:
        parser.add_argument(option, type=kind, metavar=metavar, help=text)
    parser.add_argument(
        "--keep-corrections",
        type=Path,
        metavar="FOLDER",
        help="keep photos with the type that a person gave them, for training with data=folder",
    )
    parser.add_argument("--keep-at-most", type=float, metavar="MIB", help="their disk space, in MiB (default: 1024)")
    parser.set_defaults(run_command=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    from prenda.server.options import Options
    from prenda.server.run import serve

    given = {field.name: getattr(arguments, field.name) for field in fields(Options) if field.name in arguments}
    for name in ("allowed_host", "allowed_origin"):
        given[name] = tuple(given.get(name, ()))
    try:
        serve(Options(**given))
    except Stopped as stop:
        print(f"prenda: {stop}.", file=sys.stderr)
        return 128 + stop.signum
    return 0
