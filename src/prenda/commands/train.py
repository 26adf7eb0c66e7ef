"""`prenda train`: one training, or with `-m` a sweep. Its arguments are Hydra overrides."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

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
    return stoppable(main)
