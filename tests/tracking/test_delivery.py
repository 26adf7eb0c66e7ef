"""Runs whose tracking server is absent, slow or broken: none stops, and each record arrives once, in order."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Timer

import pytest

from prenda.cli import main
from prenda.config.identity import describe_run
from prenda.errors import TrackingError
from prenda.search.outcome import read_outcome
from prenda.tracking import delivery, run_folder
from prenda.tracking.delivery import Delivery
from prenda.tracking.journal import Destination, Journal
from prenda.tracking.loggers import RunLogger
from prenda.tracking.runs import Run, record_failure, recorded
from prenda.tracking.store import StoreRefusedError, connect, import_mlflow
from prenda.tracking.sync import sync
from prenda.training.train import train
from tests.cluster.postgres import running_mlflow
from tests.conftest import TINY, configured
from tests.tracking.servers import Front
from tests.training.test_train import DENSE

NOBODY = "http://127.0.0.1:9"  # nobody listens there
SERVER = (*TINY, *DENSE, "tracking=server", "tracking.system_metrics=false")


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    """Address of MLflow's own server."""
    with running_mlflow(f"sqlite:///{tmp_path_factory.mktemp('server')}/mlflow.db") as address:
        yield address


@pytest.fixture
def front(server) -> Iterator[Front]:
    """A server in front of MLflow's that fails on request."""
    with Front(server).running() as front:
        yield front


@pytest.fixture
def failing() -> Iterator[Front]:
    """A server that has nothing behind it."""
    with Front(None).running() as front:
        yield front


def started(folder: Path, uri: str) -> Run:
    run = Run(folder, Destination(uri, "delivery"))
    run.start("a run", {"folder": str(folder)}, {"seed": "0"})
    run.deliver()
    return run


def steps(uri: str, folder: Path, metric: str = "val/loss") -> list[int]:
    """The steps of a metric's points in the store, in the order in which the store has them."""
    run_id = run_folder.run_id(folder)
    assert run_id is not None
    return [point.step for point in connect(uri).get_metric_history(run_id, metric)]


def wait_until(condition, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_training_without_its_server_is_whole_and_delivered_by_sync(tmp_path, capsys, server):
    folder = tmp_path / "home/outputs/runs/day/time"
    config = configured(*SERVER, f"tracking.uri={NOBODY}", "trainer.epochs=2", "report=light")
    import_mlflow()
    begun = time.monotonic()
    with recorded(config.tracking, describe_run(config), tmp_path / "another"):
        assert time.monotonic() - begun < 10
    result = train(config, folder)
    told = capsys.readouterr().err
    assert f"tracking.uri is '{NOBODY}', which cannot be used" in told
    assert f"The run goes on without it: its records are kept in {folder}" in told
    assert re.search(
        rf"\d+ records are not delivered to {NOBODY} yet \(.*\): `prenda sync {folder}` delivers them", told
    )
    assert run_folder.is_finished(folder)
    assert result.run_id is None
    assert main(["sync", str(folder), "--tracking-uri", server]) == 0
    record = connect(server).get_run(str(run_folder.run_id(folder)))
    assert (record.info.status, record.data.metrics["test/accuracy"]) == (
        "FINISHED",
        result.scores["test"].metrics["accuracy"],
    )
    assert record.data.params["seed"] == "0"
    assert record.outputs.model_outputs
    assert record.inputs.dataset_inputs
    assert steps(server, folder) == [1, 2]
    assert main(["sync", str(folder), "--tracking-uri", server]) == 0
    assert "Nothing waits to be delivered." in capsys.readouterr().out


def test_a_run_that_requires_its_server_is_refused_and_leaves_no_record(tmp_path):
    config = configured(*SERVER, f"tracking.uri={NOBODY}", "tracking.required=true")
    refused = pytest.raises(
        TrackingError, match=rf"tracking.uri is '{NOBODY}', which cannot be used .*tracking=offline"
    )
    with refused, recorded(config.tracking, describe_run(config), tmp_path):
        pass
    assert not Journal(tmp_path).records()


def test_a_server_that_refuses_the_user_is_told(tmp_path, failing):
    failing.mode = "closed"
    config = configured(*SERVER, f"tracking.uri={failing.address}")
    refused = pytest.raises(
        StoreRefusedError, match=r"refuses the user .*: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACK"
    )
    with refused, recorded(config.tracking, describe_run(config), tmp_path):
        pass


@pytest.mark.parametrize("mode", ["down", "broken", "slow", "closed"])
def test_a_trial_neither_waits_long_for_a_failing_server_nor_is_refused(tmp_path, failing, monkeypatch, mode):
    monkeypatch.setattr(delivery, "START", 1.0)
    monkeypatch.setattr(delivery, "END_OF_ABSENT", 1.0)
    failing.mode = mode
    (tmp_path / "sweep").mkdir()
    config = configured(*SERVER, f"tracking.uri={failing.address}", f"tracking.parent={tmp_path / 'sweep'}")
    folder = tmp_path / "trial"
    import_mlflow()
    begun = time.monotonic()
    record_failure(config.tracking, describe_run(config), folder, TrackingError("its own error"))
    assert time.monotonic() - begun < 20
    outcome = read_outcome(folder, ["val/accuracy"])
    assert (outcome.state, outcome.lost) == ("failed", False)
    assert outcome.note.endswith("its own error")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["down", "broken", "lossy"])
def test_each_record_arrives_once_and_in_order_though_the_server_fails_in_between(tmp_path, front, mode, monkeypatch):
    monkeypatch.setattr(delivery, "LONGEST_PAUSE", 0.3)
    run = started(tmp_path, front.address)
    logger = RunLogger(tmp_path)
    for step in (1, 2, 3):
        logger.log_metrics({"val/loss": 1 / step, "val/accuracy": 0.5}, step)
    wait_until(lambda: Journal(tmp_path).waiting(front.address) == 0)
    front.mode = mode
    for step in (4, 5, 6):
        logger.log_metrics({"val/loss": 1 / step, "val/accuracy": 0.5}, step)
    time.sleep(2)
    front.mode = "up"
    logger.log_metrics({"val/loss": 0.1}, 7)
    run.end("FINISHED")
    wait_until(lambda: run.close() is None)
    assert steps(front.address, tmp_path) == [1, 2, 3, 4, 5, 6, 7]
    sent = [path for path in front.requests if path.endswith("runs/log-batch")]
    assert len(sent) == 1 + 7  # the parameters, and each step once: after a failure the server is asked what it holds


def test_an_attempt_that_is_under_way_when_a_run_ends_is_not_the_last(tmp_path, monkeypatch):
    sent, run_ends, attempts = Delivery(Journal(tmp_path), Destination("http://127.0.0.1:9", "x")), Event(), []

    def deliver() -> None:
        attempts.append(None)
        if len(attempts) == 1:
            run_ends.wait(30)
            raise ConnectionError("lost")

    monkeypatch.setattr(sent.target, "deliver", deliver)
    monkeypatch.setattr(sent.target, "waiting", lambda: int(len(attempts) < 2))
    sent._thread.start()
    wait_until(lambda: attempts)
    Timer(0.2, run_ends.set).start()
    assert sent.finish() is None


def test_a_run_whose_creation_was_lost_is_found_again(tmp_path, front):
    front.mode = "lossy"
    run = started(tmp_path, front.address)
    front.mode = "up"
    run.end("FINISHED")
    wait_until(lambda: run.close() is None)
    client = connect(front.address)
    experiment = client.get_experiment_by_name("delivery")
    found = client.search_runs([experiment.experiment_id], f"tags.folder = '{tmp_path}'")
    assert [record.info.status for record in found] == ["FINISHED"]


def test_a_run_whose_record_was_deleted_is_recorded_anew(tmp_path, server, capsys):
    run = started(tmp_path, server)
    run.log_metrics({"val/loss": 1.0}, 1)
    run.end("KILLED")
    assert run.close() is None
    first = run_folder.run_id(tmp_path)
    connect(server).delete_run(str(first))
    again = started(tmp_path, server)
    again.log_metrics({"val/loss": 0.5}, 2)
    again.end("FINISHED")
    wait_until(lambda: again.close() is None)
    assert run_folder.run_id(tmp_path) != first
    assert steps(server, tmp_path) == [1, 2]
    expected = f"{server} does not hold MLflow run {first} any more: a new run takes its place."
    assert expected in capsys.readouterr().err


def test_an_epoch_that_is_repeated_after_an_interruption_is_recorded_once(tmp_path):
    for _ in range(2):
        RunLogger(tmp_path).log_metrics({"val/loss": 0.25}, 1)
    RunLogger(tmp_path).log_metrics({"val/loss": 0.125}, 2)
    assert [record["step"] for record in Journal(tmp_path).records()] == [1, 2]


def test_a_line_that_a_full_disk_has_cut_spoils_no_other(tmp_path):
    Journal(tmp_path).append("metrics", step=1, metrics={})
    with Journal(tmp_path).path.open("a") as file:
        file.write('{"kind": "metrics", "st')
    Journal(tmp_path).append("metrics", step=2, metrics={"nan": float("nan")})
    assert [record["step"] for record in Journal(tmp_path).records()] == [1, 2]


@pytest.mark.slow
def test_a_sweep_goes_on_without_its_server_and_is_delivered_with_its_trials(tmp_path, prenda, front):
    front.mode = "down"
    command = ("train", "-m", *SERVER, f"tracking.uri={front.address}", "seed=0,1", "search.name=absent")
    done = prenda(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "process ended without a result" not in done.stdout + done.stderr
    front.mode = "up"
    synced = prenda("sync")
    assert synced.returncode == 0, synced.stderr
    client = connect(front.address)
    experiment = client.get_experiment_by_name("prenda").experiment_id
    sweep = run_folder.run_id(tmp_path / "home/outputs/sweeps/absent/summary")
    trials = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{sweep}'")
    assert [trial.info.status for trial in trials] == ["FINISHED", "FINISHED"]


@pytest.mark.slow
def test_every_command_works_against_a_server(tmp_path, server, monkeypatch, capsys):
    config = configured(*SERVER, f"tracking.uri={server}", "tracking.experiment=commands", "report=light")
    runs = [train(replace(config, seed=seed), tmp_path / f"{seed}").run_id for seed in (0, 1)]
    for seed in (0, 1):
        (tmp_path / f"{seed}").rename(tmp_path / f"moved {seed}")  # all files come from the server
    one, two = (str(run)[:8] for run in runs)
    capsys.readouterr()
    for command in (
        ("runs", "--experiment", "commands"),
        ("evaluate", one),
        ("compare", one, two),
        ("promote", one),
        ("models",),
        ("export", two, "--to", str(tmp_path / "exported")),
    ):
        assert main([*command, "--tracking-uri", server]) == 0, command
    assert one in capsys.readouterr().out
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert main(["runs", "--experiment", "commands"]) == 0
    assert two in capsys.readouterr().out
    assert main(["resume", one]) == 2
    assert "is not on this machine" in capsys.readouterr().err
    assert not (tmp_path / "home/mlruns").exists()


@pytest.mark.slow
def test_offline_runs_are_listed_and_can_be_delivered(tmp_path, capsys):
    folder = tmp_path / "home/outputs/runs/day/time"
    train(configured(*TINY, *DENSE), folder)
    capsys.readouterr()
    assert main(["runs"]) == 0
    line = capsys.readouterr().out.splitlines()[1].split("\t")
    assert line[:2] == ["dense-generated-seed0", str(folder)]
    assert main(["sync"]) == 0
    assert "Nothing waits" in capsys.readouterr().out
    assert main(["sync", "--offline"]) == 0
    assert main(["runs"]) == 0
    (listed,) = [line.split("\t") for line in capsys.readouterr().out.splitlines() if line.startswith("dense")][-1:]
    assert listed[1] == str(run_folder.run_id(folder))[:8]
    assert [synced.sent for synced in sync([folder])] == []


@pytest.mark.slow
def test_sync_refuses_a_folder_without_a_journal(tmp_path, capsys):
    assert main(["sync", str(tmp_path)]) == 2
    assert re.search(r"holds no run with a journal: give the folder of a run or of a sweep", capsys.readouterr().err)
