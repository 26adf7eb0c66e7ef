"""`prenda train`: one training, or with `-m` a sweep. Its arguments are Hydra overrides."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from prenda.commands.shared import Subparsers, stoppable


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the help of `prenda`; Hydra parses its arguments."""
    subparsers.add_parser("train", help="train, score and record a model; with -m, a grid or a search")


def run(overrides: Sequence[str]) -> int:
    """Train with Hydra overrides."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises errors instead of printing them and exiting
    from prenda.commands.train_application import main

    sys.argv = ["prenda", *overrides]
    return stoppable(main)
