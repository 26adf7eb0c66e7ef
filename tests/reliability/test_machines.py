"""Machines that fail: read-only folders, locked and damaged databases, a clock that jumps, folders that vanish.

Full disks are in tests/system/test_full_disk.py, servers that fail in tests/tracking/test_delivery.py.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pytorch_lightning import Trainer
from starlette.testclient import TestClient

from prenda.bundle import champions
from prenda.bundle import format as bundle
from prenda.cli import main
from prenda.prediction import outputs
from prenda.search import study
from prenda.server.app import application
from prenda.server.options import Options
from prenda.training.callbacks.progress import TrainingProgress
from prenda.training.train import train
from tests.conftest import TINY, configured
from tests.model_selection.test_promote import Store
from tests.prediction.bundles import photo, write_bundle
from tests.reliability.records import recorded_runs
from tests.reliability.rights import read_only
from tests.search.conftest import Sweeps, sweeps  # noqa: F401  a fixture
from tests.server.conftest import jpeg
from tests.training.test_resume import FOUR_EPOCHS, ends_alike, stop_at_epoch
from tests.training.test_train import DENSE

PERMISSION = "give yourself permission, or name another folder; PRENDA_HOME moves outputs/ and mlruns/"
MLFLOW = ("tracking=mlflow", "tracking.system_metrics=false")


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command, which must end with a code; returns its error output, in which no bug shows."""

    def run(code: int, *arguments: object) -> str:
        capsys.readouterr()
        ended = main([*map(str, arguments)])
        printed = capsys.readouterr()
        assert ended == code, printed.out + printed.err
        assert "Traceback" not in printed.err
        return printed.err

    return run


@pytest.fixture
def at_epoch(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """Does something in the middle of each training, as an epoch starts, counted from 0."""

    def arrange(epoch: int, happen: Callable[[], object]) -> None:
        def look(_: object, trainer: Trainer, *__: object) -> None:
            if trainer.current_epoch == epoch:
                happen()

        monkeypatch.setattr(TrainingProgress, "on_train_epoch_start", look)

    return arrange


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run."""
    return train(configured(*TINY, *DENSE, *FOUR_EPOCHS), tmp_path_factory.mktemp("whole") / "run").folder


def run_command(folder: Path, *more: str) -> list[str]:
    return ["train", *TINY, *DENSE, *FOUR_EPOCHS, *more, "trainer.threads=1", f"hydra.run.dir={folder}"]


@contextmanager
def locked(database: Path) -> Iterator[sqlite3.Connection]:
    """Hold an SQLite database as a program does that does not let it go."""
    with closing(sqlite3.connect(database, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield connection


# Read-only folders.


def test_a_training_in_a_read_only_home_is_refused_in_a_line(tmp_path, told):
    (tmp_path / "home").mkdir()
    with read_only(tmp_path / "home"):
        printed = told(1, "train", *TINY, *DENSE)
    assert printed.startswith("prenda: [Errno 13] Permission denied: ")
    assert printed.endswith(f": {PERMISSION}\n")
    assert printed.count("\n") == 1


@pytest.mark.slow
def test_a_run_whose_folder_becomes_read_only_ends_in_a_line_and_resumes_to_the_same_bits(
    tmp_path, told, at_epoch, whole
):
    folder = tmp_path / "run"
    rights = read_only(folder / "checkpoints")
    at_epoch(2, rights.__enter__)
    try:
        printed = told(1, *run_command(folder))
        assert "[Errno 13] Permission denied: the checkpoint cannot be written: " in printed
        assert PERMISSION in printed
    finally:
        rights.__exit__(None, None, None)
    at_epoch(9, list)
    with read_only(folder):
        assert PERMISSION in told(1, "resume", folder)
    told(0, "resume", folder)
    ends_alike(whole, folder)


def test_answers_and_sorted_photos_wait_for_rights(tmp_path, told):
    command = ["predict", photo(tmp_path / "shop/a.jpg"), "--model", write_bundle(tmp_path / "model")]
    for option, name in (("--output", "list.csv"), ("--sort-into", ".")):
        out = tmp_path / option
        out.mkdir()
        more = [option, out / name]
        with read_only(out):
            printed = told(1, *command, *more)
        assert (printed.count("\n"), PERMISSION in printed) == (1, True), printed
        assert list(out.iterdir()) == []
        told(0, *command, *more)


@pytest.mark.slow
def test_a_promotion_without_rights_leaves_the_champion(tmp_path, told, monkeypatch):
    monkeypatch.setenv("PRENDA_HOME", str(tmp_path))
    store = Store(tmp_path)
    first, second = store.run("first", 300), store.run("second", 450)
    told(0, "promote", "first")
    for folder, code in ((tmp_path / "outputs/champions", 1), (tmp_path / "mlruns", 2)):
        with read_only(folder):
            printed = told(code, "promote", "second")
        assert (printed.count("\n"), "Permission denied" in printed) == (1, True), printed
        assert store.champion("prenda") == first
        assert [bundle.read(path).run_id for path in champions.kept()] == [first]
    with locked(tmp_path / "mlruns/mlflow.db"):
        assert "database is locked" in told(2, "promote", "second")
    told(0, "promote", "second")
    assert store.champion("prenda") == second


def test_a_correction_that_cannot_be_kept_is_refused_and_the_server_goes_on(tmp_path, caplog):
    options = Options(model=str(write_bundle(tmp_path / "model")), keep_corrections=tmp_path / "kept")
    photo = ("a.jpg", jpeg())
    with TestClient(application(options), base_url="http://127.0.0.1:8000") as client:

        def correct() -> int:
            return client.post("/corrections", files={"photo": photo}, data={"type": "Dress"}).status_code

        assert correct() == 201
        (tmp_path / "kept").rename(tmp_path / "kept before")
        (tmp_path / "kept").write_text("a file in its place")
        assert correct() == 507
        assert client.post("/predict", files={"photos": photo}).status_code == 200
        (tmp_path / "kept").unlink()
        assert correct() == 201
    records = [record for record in caplog.records if record.name == "prenda"]  # the client's own may be there too
    assert [record.message.split(":")[1] for record in records] == [" a correction was not kept"]
    assert not any(record.exc_info for record in records)


# Databases.


@pytest.mark.slow
def test_a_training_whose_store_is_locked_goes_on_and_loses_no_record(tmp_path, told, at_epoch, whole):
    folder, home = tmp_path / "home/outputs/runs/day/run", tmp_path / "home"
    held: list[sqlite3.Connection] = []

    def lock() -> None:
        connection = sqlite3.connect(home / "mlruns/mlflow.db", isolation_level=None, timeout=60)
        connection.execute("BEGIN EXCLUSIVE")
        held.append(connection)

    at_epoch(1, lock)
    try:
        printed = told(0, *run_command(folder, *MLFLOW))
    finally:
        held[0].close()
    assert "records are not delivered to sqlite:///" in printed
    assert f"(sqlite3.OperationalError) database is locked): `prenda sync {folder}` delivers them." in printed
    ends_alike(whole, folder)
    told(0, "sync")
    has_each_point_once(home)


@pytest.mark.slow
def test_a_training_whose_store_is_damaged_goes_on_and_is_delivered_to_the_restored_one(
    tmp_path, told, at_epoch, whole
):
    folder, database = tmp_path / "home/outputs/runs/day/run", tmp_path / "home/mlruns/mlflow.db"
    copy: list[bytes] = []

    def damage() -> None:
        with closing(sqlite3.connect(database, isolation_level=None, timeout=60)) as connection:
            connection.execute("BEGIN EXCLUSIVE")  # else a transaction could be lost that is marked as delivered
            copy.append(database.read_bytes())
            with database.open("r+b") as file:
                file.write(b"\xff" * 8192)

    at_epoch(1, damage)
    printed = told(0, *run_command(folder, *MLFLOW))
    assert "records are not delivered to sqlite:///" in printed
    ends_alike(whole, folder)
    assert "file is not a database" in told(2, "runs")
    database.write_bytes(copy[0])
    told(0, "sync")
    has_each_point_once(tmp_path / "home")


def has_each_point_once(home: Path) -> None:
    """The only run has the four epochs of FOUR_EPOCHS once and in order."""
    (run,) = recorded_runs(home)
    assert run.status == "FINISHED"
    assert [step for step, _ in run.points["val/loss"]] == [1, 2, 3, 4]
    assert {len(points) for name, points in run.points.items() if name.startswith("test/")} == {1}


@pytest.mark.slow
def test_a_sweep_whose_study_is_locked_or_damaged_is_refused_and_goes_on_later(sweeps: Sweeps, monkeypatch):  # noqa: F811
    monkeypatch.setattr(study, "WAIT", 0.1)
    command = ("seed=0,1", "search.name=mine")
    sweeps.run(*command, "search.n_trials=1")
    database = sweeps.folder / "study.db"
    with locked(database):
        printed = sweeps.run(*command, code=2)
    assert f"The study in sqlite:///{database} cannot be used (" in printed
    assert "database is locked): wait for a program that holds it, restore the file from a copy, or start" in printed
    content = database.read_bytes()
    database.write_bytes(b"\xff" * 100 + content[100:])
    assert "file is not a database): wait for a program" in sweeps.run(*command, code=2)
    database.write_bytes(content)
    sweeps.run(*command)
    assert sweeps.states() == ["finished"] * 2


# The clock.


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [-86400, 86400], ids=["back", "ahead"])
def test_a_clock_that_jumps_changes_no_result_and_no_record(seconds, tmp_path, told, at_epoch, whole, monkeypatch):
    folder, clock = tmp_path / "home/outputs/runs/day/run", time.time
    at_epoch(2, lambda: monkeypatch.setattr(time, "time", lambda: clock() + seconds))
    told(0, *run_command(folder, *MLFLOW))
    ends_alike(whole, folder)
    has_each_point_once(tmp_path / "home")


@pytest.mark.slow
def test_a_run_resumes_before_the_time_at_which_it_was_interrupted(tmp_path, told, whole, monkeypatch):
    folder, clock = tmp_path / "home/outputs/runs/day/run", time.time
    with monkeypatch.context() as patch:
        stop_at_epoch(patch, 2)
        told(130, *run_command(folder, *MLFLOW))
    monkeypatch.setattr(time, "time", lambda: clock() - 86400)
    told(0, "resume", folder)
    ends_alike(whole, folder)
    has_each_point_once(tmp_path / "home")


# Folders that vanish.


@pytest.mark.slow
def test_a_run_whose_folder_vanishes_ends_in_a_line_at_the_next_epoch(tmp_path, told, at_epoch):
    folder = tmp_path / "run"
    at_epoch(2, lambda: shutil.rmtree(folder))
    printed = told(1, *run_command(folder))
    assert "correct the path, or restore the file" in printed
    assert not (folder / "scores.json").exists()
    at_epoch(9, list)
    told(0, *run_command(folder))


def test_photos_that_vanish_are_named_and_the_others_are_answered(tmp_path, told, monkeypatch):
    model, shop = write_bundle(tmp_path / "model"), tmp_path / "shop"
    photos = [photo(shop / f"{number:03}.jpg") for number in range(200)]
    add = outputs.Output.add

    def add_and_remove(output: outputs.Output, row: dict) -> None:
        add(output, row)
        if output.total == 2:
            shutil.rmtree(shop)

    monkeypatch.setattr(outputs.Output, "add", add_and_remove)
    printed = told(3, "predict", shop, "--model", model, "--output", tmp_path / "list.jsonl")
    assert f"prenda: {photos[-1]}: " in printed
    assert len((tmp_path / "list.jsonl").read_text().splitlines()) == 200


def test_a_server_whose_champion_vanishes_goes_on(tmp_path, caplog):
    champions.keep(bundle.read(write_bundle(tmp_path / "model")))
    with TestClient(application(Options()), base_url="http://127.0.0.1:8000") as client:
        shutil.rmtree(champions.folder())
        client.app.state.service.following.look()
        assert client.post("/predict", files={"photos": ("a.jpg", jpeg())}).status_code == 200
    assert not any(record.exc_info for record in caplog.records)
