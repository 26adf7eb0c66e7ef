from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from mlflow import MlflowClient

from prenda.config.identity import describe_run
from prenda.config.schema import TrainConfig
from prenda.data.datasets.fashion_mnist import GARMENTS
from prenda.report.tables import read_history
from prenda.scoring.significance import accuracy_text
from prenda.system.signals import Stopped, stop_on_signal
from prenda.tracking import delivery, run_folder, runs
from prenda.tracking.loggers import FileLogger
from prenda.tracking.runs import recorded
from prenda.tracking.store import connect
from prenda.tracking.sync import sync
from prenda.training.finish import RECORDED
from prenda.training.train import TrainResult, train
from tests.conftest import TINY, configured
from tests.forked import ForkedCommand
from tests.training.test_train import DENSE, wait_for


def opened_record(config: TrainConfig, folder: Path):
    return recorded(config.tracking, describe_run(config), folder)


MLFLOW = (*TINY, *DENSE, "tracking=mlflow", "tracking.system_metrics=false")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def _in_home(home, monkeypatch, _own_home) -> None:
    monkeypatch.setenv("PRENDA_HOME", str(home))


@pytest.fixture(scope="module")
def result(home) -> TrainResult:
    """One run in a new store, shared by the tests that only look at it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRENDA_HOME", str(home))
        patch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
        parts = ("report=full", "report.every_n_epochs=2", "trainer.profile=2")
        config = configured(*MLFLOW, "trainer.epochs=3", "tracking.system_metrics=true", *parts)
        return train(config, home / "outputs/run")


def client(home: Path):
    return connect(f"sqlite:///{home}/mlruns/mlflow.db")


@pytest.mark.slow
def test_parameters_are_the_flattened_configuration(home, result):
    params = client(home).get_run(result.run_id).data.params
    assert params["backbone"] == "dense"  # what filters and parallel coordinates go by
    assert params["data"] == "generated"
    assert params["backbone.units"] == "[16]"
    assert params["optimizer.lr"] == "0.005"
    assert params["data.split_seed"] == "0"
    assert params["seed"] == "0"
    assert not [name for name in params if name.startswith(("paths.", "tracking.")) or "_target_" in name]


def test_metrics_have_a_point_an_epoch(home, result):
    store = client(home)
    for name in ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "val/f1", "val/recall", "train/lr"):
        assert [point.step for point in store.get_metric_history(result.run_id, name)] == [1, 2, 3], name


def test_the_test_score_is_logged_once_at_the_chosen_epoch(home, result):
    (point,) = client(home).get_metric_history(result.run_id, "test/accuracy")
    assert (point.step, point.value) == (result.best_epoch, result.scores["test"].metrics["accuracy"])
    assert client(home).get_run(result.run_id).data.metrics["best/val/accuracy"] == result.score


def test_few_metrics_have_a_single_point(home, result):
    """MLflow's page of metrics draws a chart for each, and curves must stay in view."""
    store = client(home)
    names = [name for name in store.get_run(result.run_id).data.metrics if not name.startswith("system/")]
    single = {name for name in names if len(store.get_metric_history(result.run_id, name)) == 1}
    assert single == set(RECORDED)
    assert len(single) == 12
    assert len(names) - len(single) > len(single)


def test_the_scores_of_each_class_are_in_the_files(home, result):
    scores = json.loads((result.folder / "scores.json").read_text(encoding="utf-8"))
    recall = [scores[f"test/recall/{name}".replace("T-shirt/top", "T-shirt-top")] for name in GARMENTS]
    assert sum(recall) / 10 == pytest.approx(scores["test/recall"])
    assert {"test/f1/T-shirt-top", "test/precision/Ankle boot", "best/train/recall/Bag"} <= set(scores)


def test_system_metrics_are_recorded(home, result):
    assert "system/cpu_utilization_percentage" in client(home).get_run(result.run_id).data.metrics


def test_tags_say_what_ran_where(home, result):
    tags = client(home).get_run(result.run_id).data.tags
    assert (tags["backbone"], tags["data"], tags["seed"], tags["device"]) == ("dense", "generated", "0", "cpu")
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", tags["version.torch"])
    assert tags["mlflow.runName"] == "dense-generated-seed0"
    assert Path(tags["folder"]) == result.folder


def test_a_description_gives_the_headline_figures(home, result):
    note = client(home).get_run(result.run_id).data.tags["mlflow.note.content"]
    accuracy = result.scores["test"].metrics["accuracy"]
    assert f"Accuracy {accuracy_text(accuracy, 500)}, on the 500 test images" in note
    assert "|  | train | val | test |" in note
    assert f"| {result.scores['test'].metrics['brier']:.4f} |" in note
    assert "both in evaluation mode" in note
    assert "Most confused:" in note


def test_the_commit_and_the_state_of_the_tree_are_recorded(monkeypatch, tmp_path):
    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(tmp_path), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.setattr(runs, "REPOSITORY", tmp_path)
    assert runs.git_tags() == {}
    git("init")
    assert runs.git_tags() == {}
    git("commit", "--allow-empty", "-m", "first")
    assert runs.git_tags() == {"mlflow.source.git.commit": git("rev-parse", "HEAD"), "git.dirty": "false"}
    (tmp_path / "new").touch()
    assert runs.git_tags()["git.dirty"] == "true"


def test_the_data_set_is_an_input_with_hash_and_split(home, result):
    (used,) = client(home).get_run(result.run_id).inputs.dataset_inputs
    assert used.dataset.name == "generated"
    assert len(used.dataset.digest) == 32
    assert '"train": 200, "val": 200, "test": 500' in used.dataset.profile
    tags = {tag.key: tag.value for tag in used.tags}
    assert tags["split_seed"] == "0"
    assert tags["val_size"] == "200"


def test_artifacts_hold_settings_matrices_and_each_checkpoint_once(home, result):
    store = client(home)

    def files(folder: str | None = None) -> set[str]:
        found = store.list_artifacts(result.run_id, folder)
        return {path for item in found for path in (files(item.path) if item.is_dir else {item.path})}

    assert store.get_run(result.run_id).outputs.model_outputs  # the bundle is a model of the run, not a file of it

    splits = ("train", "val", "test")
    assert {file for file in files() if not file.startswith("images/")} == {
        "conditions.json",
        "config.yaml",
        "environment.txt",
        "log.txt",
        "scores.json",
        "report.html",
        "metrics/metrics.csv",
        *(f"confusion/{split}{kind}" for split in splits for kind in (".png", "_percent.png", ".json")),
        *(f"confusion/epochs/epoch_00{epoch}.png" for epoch in (2, 3)),
        *(f"classes/{split}.{kind}" for split in splits for kind in ("csv", "json")),
        *(f"predictions/{split}.npz" for split in ("val", "test")),
        *(f"calibration/{file}" for file in ("calibration.json", "reliability.png")),
        *(f"mistakes/{file}.{kind}" for file in ("pairs", "worst") for kind in ("csv", "json", "png")),
        "training/curves.png",
        "network/first_layer.png",
        "profile/trace.json.gz",
        "profile/operations.txt",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    }
    series = [file for file in files() if file.startswith("images/confusion~val")]
    steps = {re.search(r"\+step\+(\d+)\+", file).group(1) for file in series}
    assert steps == {"2", "3"}  # what MLflow's UI steps through
    artifacts = client(home).get_run(result.run_id).info.artifact_uri
    assert artifacts.startswith((home / "mlruns/artifacts").as_uri())


def status(home: Path, run_id: str) -> str:
    return client(home).get_run(run_id).info.status


@pytest.mark.usefixtures("_in_home")
def test_status_is_finished_failed_or_killed(home, result, tmp_path):
    assert status(home, result.run_id) == "FINISHED"
    config = configured(*MLFLOW)
    ids = []
    for error in (RuntimeError("out of memory"), Stopped(signal.SIGTERM), KeyboardInterrupt()):
        ended = opened_record(config, tmp_path / type(error).__name__)
        ids.append(ended.__enter__().id)
        with pytest.raises(type(error)):
            ended.gen.throw(error)
    assert [status(home, run_id) for run_id in ids] == ["FAILED", "KILLED", "KILLED"]
    assert "error.txt" in {item.path for item in client(home).list_artifacts(ids[0])}
    assert "out of memory" in (tmp_path / "RuntimeError/error.txt").read_text()


@pytest.mark.usefixtures("_in_home", "result")
def test_a_store_without_room_neither_hides_an_error_nor_loses_the_record(home, tmp_path, monkeypatch, capsys):
    def no_room(*_) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifact", no_room)
        ended = opened_record(configured(*MLFLOW), tmp_path / "run")
        run = ended.__enter__()
        with pytest.raises(RuntimeError, match="out of memory"):
            ended.gen.throw(RuntimeError("out of memory"))
    told = capsys.readouterr().err
    assert re.search(r"2 records are not delivered to sqlite:\S+ yet \(.*No space left on device\): `prenda sync", told)
    assert run_folder.status(tmp_path / "run") == "FAILED"
    assert status(home, run.id) == "RUNNING"
    assert [synced.sent for synced in sync([tmp_path / "run"])] == [2]
    assert status(home, run.id) == "FAILED"


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["cpu", "ddp_cpu"])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_recorded_as_killed(tmp_path, signum, processes):
    command = [*MLFLOW, "trainer.epochs=100000", f"trainer={processes}"]
    with ForkedCommand(
        ["train", *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            wait_for(lambda: list((tmp_path / "home/outputs").rglob("last.ckpt")), process)
            # As a terminal's Ctrl-C does, to every process of the group; SIGTERM to the one that was named.
            (os.killpg if signum == signal.SIGINT else os.kill)(process.pid, signum)
            _, printed = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 128 + signum, printed
    (run,) = client(tmp_path / "home").search_runs(["1"])
    assert run.info.status == "KILLED"


def test_a_signal_while_the_record_is_opened_leaves_it_whole_and_killed(tmp_path, monkeypatch):
    connected = delivery.connect

    def stopped(uri: str):
        os.kill(os.getpid(), signal.SIGTERM)
        return connected(uri)

    config = configured(*MLFLOW)
    with monkeypatch.context() as patch:
        patch.setattr(delivery, "connect", stopped)
        with pytest.raises(Stopped), stop_on_signal(), opened_record(config, tmp_path / "run"):
            raise AssertionError("not reached")
    (run,) = connect(config.tracking.uri).search_runs(["1"])
    assert run.info.status == "KILLED"
    assert run.info.run_id == (tmp_path / "run/.run_id").read_text()
    assert run.data.params["seed"] == "0"


def test_a_continued_run_takes_metrics_that_its_file_has_no_column_for(tmp_path):
    """A run of an earlier version goes on with the metrics that have been added since."""
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/metrics.csv").write_text("step,val/accuracy\n1,0.5\n")
    logger = FileLogger(tmp_path / "metrics/metrics.csv")
    logger.log_metrics({"val/accuracy": 0.75, "val/brier": 0.25}, step=2)
    logger.save()
    history = read_history(tmp_path / "metrics/metrics.csv")
    assert history == {"val/accuracy": {1: 0.5, 2: 0.75}, "val/brier": {2: 0.25}}
