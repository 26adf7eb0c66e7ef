"""Texts without secrets."""

from __future__ import annotations

import re


def without_passwords(text: str) -> str:
    """Return the text with addresses as others may see them."""
    return re.sub(r"(://[^:/@\s]+:)[^@\s]+@", r"\1…@", text)
