"""No password of an address is left anywhere: not on the terminal, in a run's or sweep's folder, or in the store."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from prenda.config.convert import as_plain, typed
from prenda.search.study import open_storage
from prenda.system.redaction import PASSWORD, REMEMBERED, USER, complete, set_apart, without_passwords
from prenda.tracking.store import store_address
from tests.conftest import TINY, configured
from tests.training.test_train import DENSE

SECRET = "open-sesame"
DATABASE = f"postgresql+psycopg2://bob:{SECRET}@127.0.0.1:9/studies"
QUIET = ("tracking=server", "tracking.system_metrics=false", f"tracking.uri=http://bob:{SECRET}@127.0.0.1:9")


@pytest.fixture(autouse=True)
def _own_passwords(monkeypatch) -> None:
    for name in (REMEMBERED, USER, PASSWORD):
        monkeypatch.setenv(name, "")  # restored afterwards, whatever the test sets
        monkeypatch.delenv(name)


def leaks(folder: Path) -> list[Path]:
    """The files below a folder that hold the password, packed checkpoints and databases included."""
    return [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"tracking.uri=http://bob:{SECRET}@host:5000/mlflow", "tracking.uri=http://bob:…@host:5000/mlflow"),
        (f"http://bob:{SECRET}@with@signs@host", "http://bob:…@host"),
        (f"redis://:{SECRET}@host", "redis://:…@host"),
        (
            f"postgresql://host/db?user=bob&password={SECRET}&sslmode=on",
            "postgresql://host/db?user=bob&password=…&sslmode=on",
        ),
        ("http://host:5000/a@b sqlite:////a/b:c@d.db", "http://host:5000/a@b sqlite:////a/b:c@d.db"),
    ],
)
def test_texts_lose_passwords_and_nothing_else(text, shown):
    assert without_passwords(text) == shown


def test_a_servers_password_goes_where_mlflow_looks_for_it():
    assert set_apart(f"http://bob:{SECRET}%40@host:5000") == "http://host:5000"
    assert (os.environ[USER], os.environ[PASSWORD]) == ("bob", f"{SECRET}@")


def test_a_databases_password_is_put_back_where_it_is_opened():
    public = set_apart(f"{DATABASE}?password={SECRET}&sslmode=off")
    assert public == "postgresql+psycopg2://bob@127.0.0.1:9/studies?sslmode=off"
    assert complete(public) == f"{DATABASE}?password={SECRET}&sslmode=off"
    assert complete("sqlite:///a.db") == "sqlite:///a.db"


def test_the_store_of_a_command_is_the_option_then_mlflows_variable_then_our_own(monkeypatch, tmp_path):
    assert store_address() == f"sqlite:///{tmp_path}/home/mlruns/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://bob:{SECRET}@host")
    assert store_address() == "http://host"
    assert store_address("http://other") == "http://other"


def test_no_configuration_holds_a_password():
    config = configured(*TINY, *QUIET, f"search.storage={DATABASE}")
    assert SECRET not in repr(config)
    assert SECRET.encode() not in pickle.dumps(config)
    recorded = as_plain(config)
    recorded["tracking"]["uri"] = f"http://bob:{SECRET}@host"  # as earlier versions wrote it
    assert typed(recorded).tracking.uri == "http://host"


def test_a_database_that_does_not_answer_is_told_without_its_password():
    with pytest.raises(ValueError, match=r"search\.storage is 'postgresql") as error:
        open_storage(set_apart(DATABASE))
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("option", [["--cfg", "all"], ["--info", "all"], ["-i", "config"], ["--help"]], ids=" ".join)
def test_hydra_shows_no_password(option, prenda):
    done = prenda("train", *option, *QUIET, f"search.storage={DATABASE}")
    assert done.returncode == 0, done.stderr
    assert "bob:…@127.0.0.1:9" in done.stdout
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.slow
def test_a_run_leaves_no_password(prenda, tmp_path):
    done = prenda("train", *TINY, *DENSE, *QUIET, "report=full")
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert list((tmp_path / "home/outputs").rglob("last.ckpt"))
    assert not leaks(tmp_path)


@pytest.mark.slow
def test_a_sweep_leaves_no_password(prenda, tmp_path):
    done = prenda("train", "-m", *TINY, *DENSE, *QUIET, "seed=0,1", "search.name=secret", "report=none")
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert len(list((tmp_path / "home/outputs/sweeps/secret/trials").glob("*/log.txt"))) == 2
    assert not leaks(tmp_path)


@pytest.mark.slow
def test_a_sweep_whose_database_is_absent_leaves_no_password(prenda, tmp_path):
    done = prenda("train", "-m", *TINY, *DENSE, "seed=0,1", f"search.storage={DATABASE}")
    assert done.returncode == 2
    assert "search.storage is 'postgresql+psycopg2://bob@127.0.0.1:9/studies', which cannot be used" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert not leaks(tmp_path)
