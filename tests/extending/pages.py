"""Code blocks of the pages in docs/extending, taken literally."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from prenda.config.paths import REPOSITORY

PAGES = REPOSITORY / "docs/extending"


def files_of(page: str) -> dict[str, str]:
    """Return the files that a page shows: a path in backticks and a colon, then a fenced block."""
    text = (PAGES / page).read_text(encoding="utf-8")
    return dict(re.findall(r"^(?:Create )?`([\w./-]+)`:\n\n```\w+\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


def commands_of(page: str) -> list[str]:
    """Return the command lines of a page's `sh` blocks, in order."""
    text = (PAGES / page).read_text(encoding="utf-8")
    return "".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)).splitlines()


def copy_with(page: str, folder: Path) -> Path:
    """Copy the package and its configuration, add the files of a page, and return the folder to import from."""
    for name in ("src", "conf"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    files = files_of(page)
    assert files
    for path, content in files.items():
        assert not (folder / path).exists()
        (folder / path).write_text(content, encoding="utf-8")
    return folder / "src"
