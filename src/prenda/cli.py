"""The `prenda` command: parses, then hands over. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from prenda import __version__
from prenda.commands import compare, data, evaluate, models, promote, resume, train, ui

NO_ROOM = ": make room on the disks of outputs/, mlruns/ and temporary files, then `prenda resume RUN`"
COMMANDS = (train, resume, evaluate, compare, promote, models, data, ui)
PACKAGE = __file__.removesuffix("cli.py")
EPILOG = """
prenda train takes Hydra overrides and has its own help: prenda train --help

examples:
  prenda train                                   # the default network on Fashion-MNIST
  prenda train backbone=dense trainer.epochs=3   # another network, fewer epochs
  prenda train -m backbone=dense,cnn seed=0,1    # a grid of four runs; run it again to resume
  prenda train -m search=architecture workers=2  # a search, two trials at a time
  prenda resume RUN                              # resume an interrupted run
  prenda evaluate RUN                            # score a recorded run again
  prenda compare RUN RUN                         # compare runs and test the differences for significance
  prenda promote RUN                             # register its model; make it champion if significantly better
  prenda data show                               # draw random samples of each class
  prenda ui                                      # open MLflow's UI on this project's runs
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0 done, 1 failed, 2 wrong input, 128+N stopped by signal N."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["train"]:
        return _guarded(lambda: train.run(arguments[1:]))
    if arguments[:1] == ["-sc"]:  # what Hydra's completion script calls, for whichever command is being typed
        return _complete(arguments)
    parsed = _parser().parse_args(arguments)
    return _guarded(lambda: parsed.run_command(parsed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "prenda",
        description="Train, compare and promote image classifiers for garments.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"prenda {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


def _guarded(command: Callable[[], int]) -> int:
    """Runs a command; what a user can mend is told in one line, anything else with its traceback.

    A ValueError is the user's if this package raised it; one that comes out of a library is nobody's yet.
    """
    try:
        return command()
    except KeyboardInterrupt:
        return 128 + 2
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        raised_in = traceback.extract_tb(error.__traceback__)[-1].filename
        if isinstance(error, ValueError) and not raised_in.startswith(PACKAGE):
            raise
        hint = NO_ROOM if isinstance(error, OSError) and error.errno == errno.ENOSPC else ""
        print("\n".join([f"prenda: {error}{hint}", *getattr(error, "__notes__", [])]), file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1


def _complete(arguments: list[str]) -> int:
    """Suggest commands, and after `train` what Hydra suggests."""
    command, _, line = os.environ.get("COMP_LINE", "").partition(" ")
    if not line.lstrip().startswith("train "):
        print(*(module.__name__.rpartition(".")[2] for module in COMMANDS))
        return 0
    os.environ["COMP_LINE"] = f"{command} {line.lstrip().removeprefix('train ')}"
    return train.run(arguments)
