"""Texts of others, such as names of files, classes and runs, made harmless where they are shown.

That is in terminals, logs, spreadsheets and Markdown. HTML is escaped by its template.
"""

from __future__ import annotations

import html

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet computes a cell that starts so
# Escape sequences, but not tabs and line breaks, which CSV quotes.
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n\r"}


def printable(text: str) -> str:
    r"""Return the text with `\n`, `\x1b` and the like in place of characters that a terminal would obey or hide."""
    return "".join(c if c.isprintable() else _spelled_out(c) for c in text)


def printable_lines(text: str) -> str:
    r"""Return a text of several lines with `\x1b` and the like in place of characters that a terminal would obey."""
    return "".join(c if c.isprintable() or c in "\n\t" else _spelled_out(c) for c in text)


def cell(value: object) -> object:
    """Return a cell that spreadsheets and terminals take as text: a file may be called `=HYPERLINK(…)` (CWE-1236)."""
    if not isinstance(value, str):
        return value
    text = value.translate(CONTROLS)
    return f"'{text}" if text.startswith(FORMULA) else text


def markdown_text(text: str) -> str:
    """Escape text for Markdown: one line, no HTML, no link or picture, and no `|` that ends a cell."""
    return html.escape(" ".join(printable_lines(text).split()), quote=False).replace("|", r"\|").replace("](", r"]\(")


def markdown_code(text: object) -> str:
    """Return a text as code in Markdown, where it is no markup."""
    return f"`{' '.join(printable_lines(str(text)).split()).replace('`', chr(39))}`"


def _spelled_out(character: str) -> str:
    byte = ord(character) - 0xDC00  # of a byte that is no UTF-8: how Python keeps one in a path (PEP 383)
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else character.encode("unicode_escape").decode("ascii")
