from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from prenda.cli import main
from prenda.errors import ConfigError, TrackingError
from prenda.tracking.lookup import bundle_of, download, find, resolve
from prenda.tracking.run_folder import RUN_ID
from prenda.tracking.store import connect
from prenda.training.starting_point import identified
from tests.conftest import TINY, configured
from tests.tracking.recorded_runs import Home


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture
def home(shared, monkeypatch) -> Home:
    monkeypatch.setenv("PRENDA_HOME", str(shared.home))
    return shared


@pytest.fixture(scope="module")
def one(shared) -> str:
    """A finished run whose name no other bears."""
    return shared.run('it\'s "one" 100%', val=0.9)


def test_every_way_to_name_a_run_finds_it(home, one):
    folder = home.folder(one)
    names = [one, one[:8], one[:20], 'it\'s "one" 100%', str(folder), str(folder / "checkpoints/best.ckpt")]
    found = [resolve(home.uri, name) for name in names]
    assert [(each.id, each.folder, each.status, each.paste) for each in found] == [
        (one, folder, "FINISHED", one[:8]) for _ in names
    ]
    assert found[-1].checkpoint == folder / "checkpoints/best.ckpt"
    assert {find(home.client, name).info.run_id for name in names} == {one}


def test_a_name_takes_the_finished_run_where_one_is_needed_and_the_other_to_resume(home):
    finished, killed = home.run("twice", val=0.9), home.run("twice", "KILLED")
    assert resolve(home.uri, "twice").id == finished
    assert resolve(home.uri, "twice", want="unfinished").id == killed


def test_a_name_without_a_finished_run_takes_the_only_one(home):
    killed = home.run("stopped", "KILLED")
    assert resolve(home.uri, "stopped").id == killed


@pytest.mark.parametrize("command", [["evaluate"], ["promote"], ["compare", "other"], ["export", "--to", "x"]])
def test_several_finished_runs_are_refused_with_what_to_paste(home, command, capsys, request):
    name = f"many for {command[0]}"
    first, second = home.run(name, val=0.9), home.run(name)
    home.run(name, "KILLED")
    home.run("other", val=0.5) if command[0] == "compare" else None
    assert main([*command, name]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0] == f"prenda: {name!r} names 2 runs: give the id of one of them in its place."
    assert [line.split()[0] for line in told[1:]] == [second[:8], first[:8]]
    assert told[1].endswith("FINISHED  not scored")
    assert told[2].endswith("FINISHED  test/accuracy 89.00%")


@pytest.mark.slow
def test_a_long_list_is_cut(home):
    for _ in range(14):
        home.run("crowd", "KILLED")
    with pytest.raises(TrackingError) as told:
        resolve(home.uri, "crowd", want="unfinished")
    assert str(told.value).splitlines()[-1] == "  and 2 more; `prenda runs` lists them."
    assert len(str(told.value).splitlines()) == 14


def test_a_folder_needs_no_store(tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text("tracking:\n  run_name: a name\n")
    (folder / "checkpoints/best.ckpt").write_text("weights")
    uri = f"sqlite:///{tmp_path}/nothing.db"
    for name in (folder, folder / "checkpoints/best.ckpt"):
        found = resolve(uri, str(name))
        assert (found.folder, found.id, found.status, found.paste) == (folder, None, None, str(folder))
        assert found.name == "a name"
    assert download(uri, str(folder), "checkpoints/best.ckpt", tmp_path) == folder / "checkpoints/best.ckpt"
    assert not (tmp_path / "nothing.db").exists()


def test_the_bundle_of_a_run_is_taken_from_its_folder(home, one, tmp_path):
    folder = home.folder(one) / "bundle"
    for name in (one[:8], str(home.folder(one)), str(folder)):
        assert bundle_of(home.uri, name, tmp_path) == folder
    assert not list(tmp_path.iterdir())


def test_what_is_not_there_is_told(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a file").touch()
    gone, sweep = home.run("deleted"), home.run("a sweep", **{"prenda.kind": "sweep"})
    bare, killed = home.run("bare"), home.run("halted", "KILLED")
    home.client.delete_run(gone)
    for run in (bare, killed):
        shutil.rmtree(home.folder(run) / "bundle")
    for name, told in {
        "nobody": "'nobody' is neither a file nor a run in sqlite:///.*`prenda runs` shows ids and names",
        "12345678": "'12345678' is neither a file nor a run",
        "a folder": "'a folder' has no run's config.yaml in it, and no run in .* bears this name: give the folder of",
        "a file": "'a file' is a file outside the checkpoints folder of a run: give the folder of a run",
        gone[:8]: f"'{gone[:8]}' was deleted in sqlite:///.*: restore it in the MLflow UI",
        sweep: f"'{sweep}' is a sweep, and a run is needed: `prenda runs` lists the runs",
        bare: f"Run 'bare' holds no bundle: `prenda export {bare[:8]} --to FOLDER` makes one",
        killed: rf"Run 'halted' \(KILLED\) holds no bundle: .* finish this one by `prenda resume {killed[:8]}`",
    }.items():
        with pytest.raises(TrackingError, match=told):
            bundle_of(home.uri, name, tmp_path)


def test_without_a_store_the_next_step_is_told(tmp_path):
    (tmp_path / "folder").mkdir()
    for name, what in (("nobody", "no file"), (str(tmp_path / "folder"), "a folder that has no run's config.yaml")):
        with pytest.raises(TrackingError, match=rf"There is no store at sqlite:///.*, and .* is {what}.*PRENDA_HOME"):
            resolve(f"sqlite:///{tmp_path}/no.db", name)


def test_an_offline_run_cannot_be_promoted(home, tmp_path):
    (tmp_path / "config.yaml").touch()
    with pytest.raises(TrackingError, match=r"was recorded offline, and this command needs a run in sqlite:///"):
        find(home.client, str(tmp_path))
    with pytest.raises(TrackingError, match="is a file outside the checkpoints folder of a run"):
        find(home.client, str(tmp_path / "config.yaml"))


def test_a_file_that_a_run_lacks_is_told_with_the_next_step(home, one, tmp_path):
    killed = home.run("broken", "KILLED")
    with pytest.raises(TrackingError, match=rf"\(KILLED\) holds no a.txt: .*`prenda resume {killed[:8]}`"):
        download(home.uri, killed, "a.txt", tmp_path)
    with pytest.raises(
        TrackingError, match=r"\(FINISHED\) holds no a.txt: name a run that finished, or train it again"
    ):
        download(home.uri, one, "a.txt", tmp_path)
    with pytest.raises(
        TrackingError, match=r"holds no a.txt \(it is KILLED\): give the folder of a run that was scored"
    ):
        download(home.uri, str(home.folder(killed)), "a.txt", tmp_path)
    (tmp_path / "stray").touch()
    with pytest.raises(TrackingError, match="stray' is a file outside"):
        download(home.uri, str(tmp_path / "stray"), "a.txt", tmp_path)


def test_a_folder_of_another_run_is_not_taken(home):
    run = home.run("moved", val=0.5)
    folder = home.folder(run)
    (folder / RUN_ID).write_text("another")
    assert resolve(home.uri, run).folder is None


def test_a_run_whose_folder_is_elsewhere_is_not_resumed(home, capsys):
    run = home.run("elsewhere", "KILLED")
    shutil.rmtree(home.folder(run))
    assert main(["resume", run[:8]]) == 2
    told = capsys.readouterr().err
    assert f"The folder of '{run[:8]}' (" in told
    assert "is not on this machine: resume the run on the machine that it ran on, or train it again." in told


def test_a_finished_run_is_not_resumed(home, one, capsys):
    assert main(["resume", str(home.folder(one) / "checkpoints/best.ckpt")]) == 2
    assert f"nothing left to do. `prenda evaluate {one[:8]}` scores it again." in capsys.readouterr().err
    assert main(["resume", __file__]) == 2
    assert "is a file outside the checkpoints folder of a run" in capsys.readouterr().err


def test_a_bundle_is_fetched_from_a_store_elsewhere(home, one, tmp_path, monkeypatch):
    model = home.client.create_logged_model(home.experiment, "bundle", home.run("far", val=0.1))
    (tmp_path / "model.json").write_text("{}")
    home.client.log_model_artifacts(model.model_id, str(tmp_path))
    record = home.client.get_run(model.source_run_id)
    from mlflow.entities import LoggedModelOutput

    home.client.log_outputs(record.info.run_id, [LoggedModelOutput(model.model_id, step=0)])
    shutil.rmtree(home.folder(record.info.run_id))
    place = bundle_of(home.uri, "far", tmp_path)
    assert place == Path(model.artifact_location.removeprefix("file://"))
    monkeypatch.setattr("prenda.tracking.lookup.local_path", lambda address: None)
    (tmp_path / "fetched").mkdir()
    fetched = bundle_of(home.uri, "far", tmp_path / "fetched")
    assert fetched.is_relative_to(tmp_path / "fetched")
    assert (fetched / "model.json").read_text() == "{}"
    assert connect(home.uri) is not None


def test_several_runs_to_start_from_are_refused_with_their_ids(home):
    ids = [home.run("twins", val=0.5) for _ in range(2)]
    with pytest.raises(
        ConfigError, match=r"^init_from is 'twins', where one run is needed: 'twins' names 2 runs"
    ) as told:
        identified(configured(*TINY, "init_from=twins"))
    assert all(run[:8] in str(told.value) for run in ids)


def test_a_run_without_bundle_is_nothing_to_start_from(home):
    run = home.run("bundleless", val=0.5)
    shutil.rmtree(home.folder(run) / "bundle")
    with pytest.raises(
        ConfigError, match=rf"'bundleless', a run without bundle: .*`prenda export {run[:8]} --to FOLDER`"
    ):
        identified(configured(*TINY, "init_from=bundleless"))
