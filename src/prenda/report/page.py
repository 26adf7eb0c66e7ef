"""Reports as one HTML file with embedded pictures, which opens offline."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prenda.system.atomic_write import write_atomically


@dataclass(frozen=True)
class Table:
    """Table of formatted cells; the first column names the row. Cells are numbers, or `text` that may wrap."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: bool = False


@dataclass(frozen=True)
class Section:
    """Section of a report: text, a command, tables, and pictures (paths of PNG files), optionally two in a row."""

    heading: str
    text: str = ""
    tables: Sequence[Table] = ()
    pictures: Sequence[Path] = ()
    side_by_side: bool = False
    code: str = ""


def write_page(path: Path, title: str, summary: str, sections: Sequence[Section]) -> None:
    """Write the page; the pictures must exist."""
    from jinja2 import Environment, FileSystemLoader  # only the last step of a full report needs it

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    template = environment.get_template("page.html")
    path.parent.mkdir(parents=True, exist_ok=True)
    page = template.render(title=title, summary=summary, sections=sections, encoded=_encoded)
    write_atomically(path, page)


def _encoded(picture: Path) -> str:
    return base64.b64encode(picture.read_bytes()).decode()
