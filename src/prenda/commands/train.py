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
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra hands errors to us instead of printing and leaving
    from hydra.errors import HydraException

    from prenda.commands.train_application import main

    sys.argv = ["prenda", *overrides]
    try:
        return stoppable(main)
    except HydraException as error:
        cause = f"\n{error.__cause__}" if error.__cause__ is not None else ""
        print(f"prenda train: {error}{cause}\nSee `prenda train --help` and `prenda train --cfg job`.", file=sys.stderr)
        return 2
