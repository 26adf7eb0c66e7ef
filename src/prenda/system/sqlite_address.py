"""Addresses of SQLite databases, with the special characters of paths quoted.

SQLAlchemy reads `?` in a path as the start of a query and `%41` as `A`. Optuna replaces `{…}`.
"""

from __future__ import annotations

import os
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


def mlflow_address(own: str) -> str:
    """Return the address in MLFLOW_TRACKING_URI, else another one. The path of an SQLite database becomes absolute."""
    address = os.environ.get("MLFLOW_TRACKING_URI") or own
    path = sqlite_path(address)
    return address if path is None or "?" in address else sqlite_address(path.absolute())


def artifact_folder(address: str | None, own: str) -> str | None:
    """Return the folder of the artifacts beside an SQLite database; None for a server, which has a place of its own."""
    return None if address and sqlite_path(address) is None else own
