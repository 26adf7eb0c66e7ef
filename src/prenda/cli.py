"""The `prenda` command: parses, then hands over. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from prenda import __version__
from prenda.imports import lasting

NO_ROOM = ": make room on the disks of outputs/, mlruns/ and temporary files, then `prenda resume RUN`"
PACKAGE = __file__.removesuffix("cli.py")
EPILOG = """
prenda train takes Hydra overrides, and has a help of its own: prenda train --help

examples:
  prenda train                                   the default network on Fashion-MNIST
  prenda train backbone=dense trainer.epochs=3   another network, shorter
  prenda train -m backbone=dense,cnn seed=0,1    a grid of four runs; the same again does what is left
  prenda train -m search=architecture workers=2  a search, two trials at a time
  prenda resume RUN                              goes on with an interrupted run
  prenda evaluate RUN                            scores a recorded run again
  prenda compare RUN RUN                         scores side by side, and whether they differ by more than luck
  prenda promote RUN                             makes it the champion, if it is better than the champion
  prenda data show                               a picture of random samples of each class
  prenda ui                                      MLflow's UI on this project's runs
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0 done, 1 failed, 2 wrong input, 128+N stopped by signal N."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["train"]:
        return _guarded(lambda: _train(arguments[1:]))
    if arguments[:1] == ["-sc"]:  # what Hydra's completion script calls, for whichever command is being typed
        return _complete(arguments)
    parsed = _parser().parse_args(arguments)
    return _guarded(lambda: parsed.run_command(parsed))


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "prenda", description="Classifies garments from a picture.", epilog=EPILOG, formatter_class=formatter
    )
    parser.add_argument("--version", action="version", version=f"prenda {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    commands.add_parser("train", help="train, score and record a model; -m for a grid or a search of them")
    further = commands.add_parser("resume", help="go on with an interrupted run, to the result it would have had")
    further.add_argument("run", metavar="RUN", help="folder, id or name of the run")
    further.set_defaults(run_command=_resume)
    again = commands.add_parser("evaluate", help="score a finished run again, from its own recorded settings")
    again.add_argument("run", metavar="RUN|CHECKPOINT", help="id or name of a run, or the path of a checkpoint")
    again.add_argument("--data-dir", help="where the data set is now (default: where it was)")
    again.add_argument("--accelerator", choices=["auto", "cpu", "gpu", "mps"], help="device (default: the run's)")
    again.add_argument("--any-data", action="store_true", help="score on other images than the run's, too")
    again.set_defaults(run_command=_evaluate)
    both = commands.add_parser("compare", help="set runs side by side; say whether they differ by more than luck")
    both.add_argument("runs", metavar="RUN", nargs="*", help="id, name or own folder of a run; two or more in all")
    both.add_argument("--experiment", help="add the finished runs of this experiment")
    both.add_argument("--where", metavar="FILTER", help="add the finished runs that match an MLflow filter")
    both.add_argument("--data-dir", help="where the data set is now, for pictures (default: where it was)")
    both.add_argument("--no-record", action="store_true", help="write files only, no run in MLflow")
    both.set_defaults(run_command=_compare)
    promotion = commands.add_parser("promote", help="register a run's model; champion, if it beats the champion")
    promotion.add_argument("run", metavar="RUN", help="id or name of a run")
    promotion.add_argument("--force", metavar="REASON", help="make it champion whatever the test says; recorded")
    promotion.set_defaults(run_command=_promote)
    models = commands.add_parser("models", help="list the versions of a registered model")
    models.set_defaults(run_command=_models)
    for command in (promotion, models):
        command.add_argument("--model", default="prenda", metavar="NAME", help="the model (default: %(default)s)")
    data = commands.add_parser("data", help="fetch a data set, or look at it")
    actions = data.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, text in (
        ("fetch", _data_fetch, "make the files present and verified"),
        ("show", _data_show, "write a picture of random samples of each class"),
    ):
        action = actions.add_parser(name, help=text, description=text.capitalize() + ".")
        action.add_argument("name", nargs="?", default="fashion_mnist", help="data set (default: %(default)s)")
        action.add_argument("--dir", help="folder of data sets (default: data/ of the project)")
        action.set_defaults(run_command=run)
        if name == "show":
            action.add_argument("--samples", type=int, default=12, help="images a class (default: %(default)s)")
            action.add_argument("--seed", type=int, default=0, help="which random images (default: %(default)s)")
            action.add_argument("--output", help="PNG to write (default: outputs/NAME.png of the project)")
    ui = commands.add_parser("ui", help="open MLflow's UI on this project's store")
    ui.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)"
    )
    ui.add_argument("--port", type=int, default=5000, help="(default: %(default)s)")
    ui.set_defaults(run_command=_ui)
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


def _train(overrides: list[str]) -> int:
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra hands errors to us instead of printing and leaving
    from hydra.errors import HydraException

    from prenda.launch import main as launch

    sys.argv = ["prenda", *overrides]
    try:
        return _stoppable(launch)
    except HydraException as error:
        cause = f"\n{error.__cause__}" if error.__cause__ is not None else ""
        print(f"prenda train: {error}{cause}\nSee `prenda train --help` and `prenda train --cfg job`.", file=sys.stderr)
        return 2


def _stoppable(training: Callable[[], object]) -> int:
    from prenda.signals import Stopped

    try:
        training()
    except SystemExit as end:  # a sweep's, which has told why
        return end.code if isinstance(end.code, int) else 1
    except Stopped as stop:
        told = "the run is recorded as KILLED, and `prenda resume RUN` goes on with it"
        print(f"prenda: {stop}; {told}.", file=sys.stderr)
        return 128 + stop.signum
    return 0


def _complete(arguments: list[str]) -> int:
    """Suggests commands, and after `train` what Hydra suggests."""
    command, _, line = os.environ.get("COMP_LINE", "").partition(" ")
    if not line.lstrip().startswith("train "):
        print("train resume evaluate compare promote models data ui")
        return 0
    os.environ["COMP_LINE"] = f"{command} {line.lstrip().removeprefix('train ')}"
    return _train(arguments)


def _resume(arguments: argparse.Namespace) -> int:
    with lasting():
        from prenda.resume import resume

    return _stoppable(lambda: resume(arguments.run))


def _evaluate(arguments: argparse.Namespace) -> int:
    with lasting():
        from prenda.evaluate import evaluate_again

    evaluate_again(arguments.run, arguments.data_dir, arguments.accelerator, arguments.any_data)
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    with lasting():
        from prenda.compare import compare

    compare(
        arguments.runs,
        experiment=arguments.experiment,
        where=arguments.where,
        data_dir=arguments.data_dir,
        recorded=not arguments.no_record,
    )
    return 0


def _promote(arguments: argparse.Namespace) -> int:
    with lasting():
        from prenda.promote import promote

    print(promote(arguments.run, arguments.model, arguments.force))
    return 0


def _models(arguments: argparse.Namespace) -> int:
    from prenda.promote import show_models

    show_models(arguments.model)
    return 0


def _data_fetch(arguments: argparse.Namespace) -> int:
    from prenda.data import preview

    print(preview.fetch(arguments.name, arguments.dir))
    return 0


def _data_show(arguments: argparse.Namespace) -> int:
    from prenda.data import preview

    print(preview.show(arguments.name, arguments.dir, arguments.samples, arguments.seed, arguments.output))
    return 0


def _ui(arguments: argparse.Namespace) -> int:
    from prenda import ui

    return ui.serve(arguments.host, arguments.port)
