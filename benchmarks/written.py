"""Markdown and JSON files of benchmark results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a Markdown table with aligned source text: `left` columns to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    rule = ["-" * width if place < left else "-" * (width - 1) + ":" for place, width in enumerate(widths)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    return "\n".join(map(line, [headers, rule, *rows]))


def told(machine: dict[str, Any]) -> str:
    """Return the machine in a sentence."""
    known = ("cores", "processor", "memory_gib")
    versions = ", ".join(f"{name} {version}" for name, version in machine.items() if name not in known)
    return f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB; {versions}."


def write(name: str, content: dict[str, Any], text: str, folder: Path = RESULTS) -> None:
    """Write `name`.json and `name`.md."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(text.rstrip() + "\n", encoding="utf-8")
