"""Folders of the package, of its configuration, and of data and results."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
REPOSITORY = PACKAGE.parents[1]
# A wheel has conf/ inside the package; a checkout has it at the top.
CONFIG_DIR = REPOSITORY / "conf" if (REPOSITORY / "conf" / "train.yaml").is_file() else PACKAGE / "conf"

# The tables that explain each setting; a wheel has them inside the package too.
REFERENCE = (REPOSITORY / "docs" if CONFIG_DIR.parent == REPOSITORY else PACKAGE) / "reference" / "configuration.md"


def home() -> Path:
    """Return the folder of data/, outputs/ and mlruns/: $PRENDA_HOME, else the checkout, else the current folder."""
    if "PRENDA_HOME" in os.environ:
        return Path(os.environ["PRENDA_HOME"]).expanduser().resolve()
    return REPOSITORY if CONFIG_DIR.parent == REPOSITORY else Path.cwd()
