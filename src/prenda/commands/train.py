"""`prenda train`: one training, or with `-m` a sweep. Its arguments are Hydra overrides."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress

from prenda.commands.shared import Subparsers, stoppable
from prenda.errors import ConfigError
from prenda.system.redaction import without_passwords


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
    from prenda.config.hydra_options import only_shows

    sys.argv = ["prenda", *overrides]
    return stoppable(lambda: _shown(main, overrides) if only_shows(overrides) else main())


def _shown(main: Callable[[], None], overrides: Sequence[str]) -> None:
    """Print what Hydra shows instead of training, without passwords; its help with the meaning of each setting."""
    from prenda.commands.train_help import with_meanings

    text = io.StringIO()
    try:
        with redirect_stdout(text), suppress(SystemExit):  # by which Hydra ends after its help
            main()
    finally:
        shown = text.getvalue()
        if shown and {"--help", "-h"} & set(overrides):
            shown = with_meanings(shown) + "\n"
        print(without_passwords(shown), end="")
