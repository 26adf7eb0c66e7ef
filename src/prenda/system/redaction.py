"""Removal of passwords from texts."""

from __future__ import annotations

import re


def without_passwords(text: str) -> str:
    """Return the text with the passwords in its URLs replaced by `…`."""
    return re.sub(r"(://[^:/@\s]+:)[^@\s]+@", r"\1…@", text)
