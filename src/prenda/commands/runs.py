"""`prenda runs`: list recorded runs, or free the disk space of old ones."""

from __future__ import annotations

import argparse
import sys

from prenda.commands.shared import Subparsers, add_store_argument
from prenda.errors import UserError

MOST = 50  # runs that are listed unless --limit says otherwise
BEST = 3  # runs of each data set that --prune keeps


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser of `prenda`."""
    parser = subparsers.add_parser(
        "runs",
        help="list recorded runs with their scores, or free the disk space of old ones",
        description="List the finished runs with their scores, the newest first. Into a pipe or a file, the list is "
        "written as tab-separated values. With --prune, free the checkpoints of old runs and trials instead.",
    )
    parser.add_argument(
        "--sort",
        default="start",
        metavar="KEY",
        help="start, name, backbone, data, status, val, test, seconds, size, or a metric such as test/f1 "
        "(default: %(default)s); the newest, best or largest comes first",
    )
    parser.add_argument("--reverse", action="store_true", help="reverse the order")
    parser.add_argument("--where", metavar="FILTER", help="only the runs that match this MLflow filter")
    parser.add_argument("--experiment", metavar="NAME", help="only the runs of this MLflow experiment")
    parser.add_argument("--limit", type=int, default=MOST, metavar="N", help="list N runs (default: %(default)s)")
    parser.add_argument("--all", action="store_true", help="add runs that did not finish, and sweeps, with a status")
    add_store_argument(parser)
    _add_pruning(parser)
    parser.set_defaults(run_command=run)


def _add_pruning(parser: argparse.ArgumentParser) -> None:
    pruning = parser.add_argument_group("pruning")
    pruning.add_argument(
        "--prune",
        action="store_true",
        help="free the checkpoints of old runs, the checkpoints and bundles of trials, and the files of deleted runs; "
        "it shows them and asks first",
    )
    pruning.add_argument(
        "--keep",
        type=int,
        metavar="N",
        help=f"keep the N best runs of each data set by validation accuracy (default: {BEST}); registered runs and "
        "runs that can be resumed are always kept",
    )
    pruning.add_argument("--yes", action="store_true", help="prune without asking")


def run(arguments: argparse.Namespace) -> int:
    """List runs, or prune them."""
    if arguments.prune:
        return _prune(arguments)
    for option, given in (("--keep", arguments.keep is not None), ("--yes", arguments.yes)):
        if given:
            raise UserError(f"{option} is given without --prune: add --prune to free disk space, or leave it out.")
    from prenda.report.runs import show_runs
    from prenda.tracking.listing import list_runs
    from prenda.tracking.store import store_address

    listing = list_runs(
        store_address(arguments.tracking_uri),
        experiment=arguments.experiment,
        where=arguments.where,
        everything=arguments.all,
        sort=arguments.sort,
        reverse=arguments.reverse,
        limit=arguments.limit,
    )
    show_runs(listing.runs, status=arguments.all)
    if listing.more:
        print(f"{listing.more:,} more: --limit {len(listing.runs) + listing.more} lists them.", file=sys.stderr)
    return 0


def _prune(arguments: argparse.Namespace) -> int:
    """Show what pruning frees, ask, and free it; return 1 if the answer is no."""
    from prenda.report.runs import show_plan
    from prenda.tracking.disk import text
    from prenda.tracking.pruning import free, make_plan
    from prenda.tracking.store import store_address

    keep = BEST if arguments.keep is None else arguments.keep
    store = store_address(arguments.tracking_uri)
    plan = make_plan(store, keep, arguments.experiment, arguments.where)
    show_plan(plan)
    if not plan.holdings:
        print("Nothing to free.")
        return 0
    if not arguments.yes and not _agreed(text(plan.total), len(plan.holdings)):
        print("Nothing was freed.")
        return 1
    print(f"Freed {text(free(store, plan))}.")
    return 0


def _agreed(size: str, count: int) -> bool:
    """Ask on the terminal; without one, refuse."""
    if not sys.stdin.isatty():
        raise UserError("--prune asks before it frees anything, and there is no terminal to answer on: add --yes.")
    runs = "1 run" if count == 1 else f"{count:,} runs"
    try:
        answer = input(f"Free {size} of {runs}? They can then not be evaluated or resumed. [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")
