"""Entry point of the `prenda` command. Heavy libraries are imported only by the commands that need them."""

from __future__ import annotations

import argparse
import errno
import importlib.util
import os
import platform
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence

from prenda import __version__
from prenda.commands import (
    compare,
    data,
    evaluate,
    export,
    models,
    predict,
    promote,
    reproduce,
    resume,
    runs,
    serve,
    sync,
    train,
    ui,
)
from prenda.commands.parser import CommandParser
from prenda.errors import RUN_FOLDER, UserError
from prenda.system.foreign_text import printable_lines
from prenda.system.redaction import without_passwords

INSTALL = "pip install --constraint requirements.lock --editable"
NO_ROOM = "make room on the disks of outputs/, mlruns/ and temporary files, then "
OUT_OF_MEMORY = ("can't allocate memory", "out of memory")  # torch's messages, of the CPU and of a GPU
LESS_MEMORY = (
    "give smaller images (data.image_size), batches (data.batch_size) or networks, or end other programs that take "
    "memory"
)
NO_PERMISSION = "give yourself permission, or name another folder; PRENDA_HOME moves outputs/ and mlruns/"
REMEDIES = {  # for errors of the operating system, which are no bugs of prenda
    errno.ENOSPC: NO_ROOM,
    errno.EDQUOT: NO_ROOM,
    errno.ENOENT: "correct the path, or restore the file",
    errno.ENOTDIR: "correct the path: a file stands where it needs a folder",
    errno.EEXIST: "correct the path: a file stands where it needs a folder",
    errno.EISDIR: "correct the path: a folder stands where it needs a file",
    errno.EACCES: NO_PERMISSION,
    errno.EPERM: NO_PERMISSION,
    errno.EROFS: NO_PERMISSION,
    errno.EADDRINUSE: "give another port, or end the program that uses it",
}
RESTORE = "the database of runs or of the sweep is damaged: restore it from a copy, then give the same command again"
DATABASES = {  # messages of SQLite about the machine
    "database or disk is full": NO_ROOM,
    "attempt to write a readonly database": NO_PERMISSION,
    "unable to open database file": NO_PERMISSION,
    "database is locked": "another program holds the database of runs or of the sweep: wait for its end, then give "
    "the same command again",
    "file is not a database": RESTORE,
    "database disk image is malformed": RESTORE,
}
COMMANDS = (train, resume, runs, sync, evaluate, reproduce, compare, promote, export, models, predict, serve, data, ui)
EPILOG = """
prenda train takes Hydra overrides and has its own help: prenda train --help

examples:
  prenda train                                   # the default network on Fashion-MNIST
  prenda train backbone=dense trainer.epochs=3   # another network, fewer epochs
  prenda train -m backbone=dense,cnn seed=0,1    # a grid of four runs; run it again to resume
  prenda train -m search=architecture workers=2  # a search, two trials at a time
  prenda resume RUN                              # resume an interrupted run
  prenda runs --sort test                        # list finished runs, the best first, with their ids
  prenda sync                                    # deliver records that the tracking server has not received
  prenda evaluate RUN                            # score a recorded run again
  prenda reproduce RUN                           # train it again; is the result the same?
  prenda compare RUN RUN                         # compare runs and test the differences for significance
  prenda promote RUN                             # register its model; make it champion if significantly better
  prenda export RUN --to model                   # write its bundle to a folder, checked
  prenda predict PHOTO FOLDER                    # say which garments photos show
  prenda serve                                   # answer photos over HTTP, and on a page
  prenda data show                               # draw random samples of each class
  prenda ui                                      # open MLflow's UI on this project's runs
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code.

    Exit codes:
        0: Done.
        1: Failed. A bug is shown with its traceback and what to attach to a report. A full disk, a missing file, a
            missing permission or a port in use is shown in one line. A sweep with failed trials also ends with 1.
        2: An error that the user can correct, such as a wrong argument or setting, shown without a traceback.
        3: `prenda predict` could not read some photos; the others are answered.
        4: `prenda reproduce`: the result, or with `--check` the record, is different.
        128 + N: Stopped by signal N, such as 130 for Ctrl-C and 143 for SIGTERM.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["train"]:
        return _guarded(lambda: train.run(arguments[1:]), arguments)
    if arguments[:1] == ["-sc"]:  # called by Hydra's completion script, for any command
        return _guarded(lambda: _complete(arguments), arguments)
    parsed = _parser().parse(arguments)
    return _guarded(lambda: parsed.run_command(parsed), arguments)


def _parser() -> CommandParser:
    parser = CommandParser(
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


def _guarded(command: Callable[[], int], arguments: Sequence[str]) -> int:
    """Run a command; show an error that the user can correct as its text, and a bug with its traceback."""
    try:
        return command()
    except KeyboardInterrupt:
        return 128 + 2
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except UserError as error:
        print(printable_lines("\n".join([f"prenda: {error}", *getattr(error, "__notes__", [])])), file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        return _failed(error, arguments) if importlib.util.find_spec("torch") else _not_installed(error, arguments)
    except Exception as error:
        return _failed(error, arguments)


def _not_installed(error: ModuleNotFoundError, arguments: Sequence[str]) -> int:
    extra = "registry" if arguments[0] in ("predict", "serve") else "train"
    print(
        f"prenda: the command {arguments[0]} needs the package {error.name}. This installation, without torch, has "
        f"what predict and serve need for a bundle: run `{INSTALL} '.[{extra}]'` in prenda's repository.",
        file=sys.stderr,
    )
    return 2


def _failed(error: Exception, arguments: Sequence[str]) -> int:
    """Show an error that is no `UserError`: one of the machine in a line with its remedy, a bug with its traceback."""
    remedy = _remedy(error)
    if remedy is None:
        traceback.print_exception(error)
        print(_bug_report(error, arguments), file=sys.stderr)
    else:
        again = _again(error) if remedy == NO_ROOM else ""
        text = (str(error) or "no memory is left").splitlines()[0]  # SQLAlchemy's error has the statement below
        lines = [f"prenda: {text}: {remedy}{again}", *getattr(error, "__notes__", [])]
        print(printable_lines("\n".join(lines)), file=sys.stderr)
    return 1


def _remedy(error: Exception) -> str | None:
    """Return what to do about an error of the machine; None for any other error, which is a bug."""
    if isinstance(error, OSError):
        return REMEDIES.get(error.errno or 0)
    if isinstance(error, MemoryError) or any(text in str(error) for text in OUT_OF_MEMORY):
        return LESS_MEMORY
    cause: BaseException | None = error
    while cause is not None:  # MLflow's own error hides that of its database
        for message, remedy in DATABASES.items():
            if message in str(cause):
                return remedy
        cause = cause.__cause__ or cause.__context__
    return None


def _again(error: Exception) -> str:
    """Return the command that goes on after room was made: that of the run, if one had started."""
    notes = getattr(error, "__notes__", [])
    folder = next((note.removeprefix(RUN_FOLDER) for note in notes if note.startswith(RUN_FOLDER)), None)
    return "give the same command again" if folder is None else f"`prenda resume {shlex.quote(folder)}`"


def _bug_report(error: Exception, arguments: Sequence[str]) -> str:
    """Return the lines below a traceback that say what a bug report needs."""
    folder = next((note for note in getattr(error, "__notes__", []) if note.startswith(RUN_FOLDER)), None)
    command = without_passwords(shlex.join(["prenda", *arguments]))
    files = "the output of `pip freeze`" if folder is None else "its config.yaml, error.txt and environment.txt"
    return "\n".join(
        [
            "",
            "prenda: this is a bug, not a mistake in the command. Report it with the traceback above and:",
            f"  Versions: prenda {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"  Command: {command}",
            *([] if folder is None else [f"  {folder}"]),
            f"  Attach {files}.",
        ]
    )


def _complete(arguments: list[str]) -> int:
    """Print completions: after `train` those of Hydra, else commands, options and their values."""
    program, _, line = os.environ.get("COMP_LINE", "").partition(" ")
    line = line.lstrip()
    if line.startswith("train "):
        os.environ["COMP_LINE"] = f"{program} {line.removeprefix('train ')}"
        return train.run(arguments)
    *words, unfinished = line.split(" ")
    print(*_parser().completions([word for word in words if word], unfinished))
    return 0
