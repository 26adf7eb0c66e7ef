"""Texts of others in rich's tables and lines."""

from __future__ import annotations

from rich.markup import escape

from prenda.system.foreign_text import printable


def plain(text: str) -> str:
    """Return a text without markup and without characters that a terminal would obey."""
    return escape(printable(text))
