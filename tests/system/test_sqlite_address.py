from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from prenda.system.sqlite_address import sqlite_address, sqlite_path


@pytest.mark.parametrize("path", ["/a/b.db", "/a%41/b.db", "/{a}/b.db", "/a?x=1/b.db", "/a#/b c+&=ñ.db", "rel.db"])
def test_an_address_leads_back_to_its_file(path):
    address = sqlite_address(path)
    assert sqlite_path(address) == Path(path)
    assert make_url(address).database == path
    assert address.format(SCHEMA_VERSION=1) == address  # which Optuna fills in


def test_a_plain_path_stays_readable_and_a_server_has_no_file():
    assert sqlite_address("/home/me/my runs/mlflow.db") == "sqlite:////home/me/my runs/mlflow.db"
    assert sqlite_path("http://127.0.0.1:5000") is None
    assert sqlite_path("sqlite:////a/b.db?timeout=5") == Path("/a/b.db")
