"""Removal of passwords from texts and addresses.

An address in a configuration never holds a password: `set_apart` moves it to the environment of this process, which
its children inherit, and `complete` puts it back where a connection is opened.
"""

from __future__ import annotations

import json
import os
import re
from urllib.parse import unquote, urlsplit, urlunsplit

REMEMBERED = "PRENDA_PASSWORDS"  # environment variable: addresses of databases with their passwords, by public address
USER, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"  # where MLflow looks for a server's
_IN_URL = re.compile(r"(://[^:/?#@\s'\"]*:)[^/?#\s'\"]*@")
_IN_QUERY = re.compile(r"(?i)([?&](?:password|passwd|sslpassword|token)=)[^&\s'\"]+")


def without_passwords(text: str) -> str:
    """Return the text with the passwords in its URLs replaced by `…`."""
    return _IN_QUERY.sub(r"\1…", _IN_URL.sub(r"\1…@", text))


def set_apart(address: str) -> str:
    """Return an address without its password, which this process and its children remember.

    The user and password of an HTTP server go where MLflow looks for them. Those of a database go to a variable of
    prenda's own; without one, the database's client looks where it always does, such as PGPASSWORD.
    """
    if without_passwords(address) == address:
        return address
    parts = urlsplit(address)
    login, _, host = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    query = "&".join(part for part in parts.query.split("&") if without_passwords(f"?{part}") == f"?{part}")
    if parts.scheme in ("http", "https"):
        os.environ[USER], os.environ[PASSWORD] = unquote(user), unquote(password)
        return urlunsplit(parts._replace(netloc=host, query=query))
    public = urlunsplit(parts._replace(netloc=f"{user}@{host}" if user else host, query=query))
    os.environ[REMEMBERED] = json.dumps(_remembered() | {public: address})
    return public


def complete(address: str) -> str:
    """Return an address with the password that was set apart from it, if there is one."""
    return _remembered().get(address, address)


def _remembered() -> dict[str, str]:
    known: dict[str, str] = json.loads(os.environ.get(REMEMBERED, "{}"))
    return known
