from __future__ import annotations

import os
import re
import signal
import sqlite3
import sys
from contextlib import closing, suppress

import pytest

from prenda.config.paths import REPOSITORY
from prenda.errors import TrackingError
from prenda.tracking.lookup import is_there
from prenda.tracking.store import connect, experiment_id, local_store, variable_kept
from tests import forked
from tests.conftest import configured


def _open_store(folder: str) -> str:
    store = connect(f"sqlite:///{folder}/mlruns/mlflow.db")
    return experiment_id(store, "prenda", f"{folder}/mlruns/artifacts")


@pytest.mark.slow
def test_processes_that_use_a_new_store_at_once_do_not_harm_it(tmp_path):
    with forked.ready().Pool(3) as pool:
        assert len(set(pool.map(_open_store, [str(tmp_path)] * 3))) == 1


@pytest.mark.slow
def test_a_store_whose_creation_was_killed_is_made_anew(tmp_path):
    """Some of the migrations are done when SIGKILL comes, from which MLflow could not go on."""
    process = forked.ready().Process(target=_open_store, args=[str(tmp_path)])
    process.start()
    tables = 0
    while process.is_alive() and tables < 20:
        for database in (tmp_path / "mlruns").glob("mlflow.*"):
            if database.suffix not in (".db", ".unfinished"):
                continue
            with suppress(sqlite3.OperationalError), closing(sqlite3.connect(database)) as connection:
                (tables,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert _open_store(str(tmp_path))


def test_a_file_that_is_no_store_is_told_and_left(tmp_path):
    broken = tmp_path / "mlflow.db"
    broken.write_text("not a database, but somebody's file" * 100)
    with pytest.raises(TrackingError, match=r"tracking.uri is 'sqlite:///.*mlflow.db', which cannot be used"):
        connect(f"sqlite:///{broken}")
    assert broken.read_text().startswith("not a database")


def test_a_deleted_experiment_is_told(tmp_path):
    store = connect(f"sqlite:///{tmp_path}/mlflow.db")
    gone = store.create_experiment("gone")
    store.delete_experiment(gone)
    with pytest.raises(
        TrackingError, match=rf"tracking.experiment is 'gone', which was deleted: .*--experiment-id {gone}"
    ):
        experiment_id(store, "gone", None)


def test_without_mlflow_the_fix_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(TrackingError, match="mlflow is not installed: install it or use tracking=offline"):
        connect("sqlite:///:memory:")


def test_one_package_imports_mlflow():
    files = (REPOSITORY / "src").rglob("*.py")
    importing = {path.parent.name for path in files if re.search(r"^\s*(import|from) mlflow", path.read_text(), re.M)}
    assert importing == {"tracking"}


def test_a_store_lies_in_its_folder_whatever_that_is_called(tmp_path, monkeypatch):
    name = "a%41b{c}?x=1#d e ñ"
    home = tmp_path / name
    monkeypatch.setenv("PRENDA_HOME", str(home))
    store = connect(local_store())
    artifacts = tmp_path / "text.txt"
    artifacts.write_text("kept")
    run = store.create_run(experiment_id(store, "prenda", str(home / "mlruns/artifacts")))
    store.log_artifact(run.info.run_id, str(artifacts))
    assert [path.read_text() for path in home.rglob("text.txt")] == ["kept"]
    assert (home / "mlruns/mlflow.db").is_file()
    assert is_there(local_store())
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [name]
    assert configured("tracking=mlflow", "backbone=dense").tracking.uri == local_store()


@pytest.mark.parametrize("before", [None, "sqlite:///mine.db"])
def test_mlflows_variable_is_restored(before, monkeypatch):
    if before is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", before)
    with variable_kept():
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")  # as mlflow.set_tracking_uri does
    assert os.environ.get("MLFLOW_TRACKING_URI") == before
