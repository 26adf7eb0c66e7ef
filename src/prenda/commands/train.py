"""`prenda train`: one training, or with `-m` a sweep. Its arguments are Hydra overrides."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress

from prenda.commands.shared import Subparsers, stoppable
from prenda.errors import ConfigError


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the help of `prenda`; Hydra parses its arguments."""
    subparsers.add_parser("train", help="train, score and record a model; with -m, a grid or a search")


def run(overrides: Sequence[str]) -> int:
    """Train with Hydra overrides.

    Raises:
        ConfigError: If the command asks for a sweep and for its settings at once.
    """
    if {"-m", "--multirun"} & set(overrides) and {"-c", "--cfg"} & {one.partition("=")[0] for one in overrides}:
        raise ConfigError(
            "--cfg shows the settings of one run, and -m starts several: leave -m out, and give each setting one value."
        )
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises errors instead of printing them and exiting
    from prenda.commands.train_application import main

    sys.argv = ["prenda", *overrides]
    return stoppable(lambda: _explained(main) if {"--help", "-h"} & set(overrides) else main())


def _explained(main: Callable[[], None]) -> None:
    """Print Hydra's help with the meaning of each group's files and of each setting."""
    from prenda.commands.train_help import with_meanings

    with redirect_stdout(io.StringIO()) as help_text, suppress(SystemExit):  # by which Hydra ends after its help
        main()
    print(with_meanings(help_text.getvalue()))
