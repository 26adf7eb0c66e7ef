"""Addresses of SQLite databases, with the special characters of paths quoted.

SQLAlchemy reads `?` in a path as the start of a query and `%41` as `A`. Optuna replaces `{…}`.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

PLAIN = "sqlite:///"
# For quoted paths: MLflow would remove the plain prefix and create the folder without unquoting the rest.
QUOTED = "sqlite+pysqlite:///"


def sqlite_address(path: Path | str) -> str:
    """Return the address of a database file; characters with a meaning in addresses are quoted."""
    quoted = re.sub(r"[%?#{}]", lambda special: f"%{ord(special[0]):02X}", str(path))
    return (PLAIN if quoted == str(path) else QUOTED) + quoted


def sqlite_path(address: str) -> Path | None:
    """Return the database file of an address; None for the address of a server."""
    if not address.startswith((PLAIN, QUOTED)):
        return None
    return Path(unquote(address.partition(":///")[2].partition("?")[0]))
