from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest
import torch
from pytorch_lightning import Trainer

from prenda.cli import main
from prenda.data.datasets import generated
from prenda.errors import UserError
from prenda.report.tables import read_history
from prenda.system.signals import Stopped
from prenda.tracking.journal import Journal
from prenda.tracking.store import connect
from prenda.training import checkpoints
from prenda.training.callbacks.progress import TrainingProgress
from prenda.training.checkpoints import AtomicCheckpointIO
from prenda.training.train import train
from tests import forked
from tests.conftest import TINY, configured
from tests.forked import ForkedCommand
from tests.training.damage import overwrite_weights, remove_digest
from tests.training.test_train import DENSE, wait_for

# Everything that draws or keeps a state of its own.
SETTINGS = (
    "augment=erase",
    "ema=0.9",
    "backbone.dropout=0.2",
    "scheduler=one_cycle",
    "data.limit_train=1800",
    "trainer.epochs=5",
)
MLFLOW = ("tracking=mlflow", "tracking.system_metrics=false")


def kill_in_the_third_epoch() -> None:
    """Let a training end without a word after two epochs and a step, with all processes of its group."""

    def kill(_: object, trainer: Trainer, *__: object) -> None:
        if trainer.current_epoch == 2:
            os.killpg(0, signal.SIGKILL)

    TrainingProgress.on_train_batch_end = kill


def killed(folder: Path, *settings: str) -> None:
    """A run whose process group is killed in its third epoch."""
    forked.ready()  # whose fork server the processes of `main` use too
    command = ["train", *TINY, *DENSE, *SETTINGS, *settings, "trainer.threads=1", f"hydra.run.dir={folder}"]
    with ForkedCommand(command, kill_in_the_third_epoch, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        assert process.wait(200) == -signal.SIGKILL
    assert checkpoints.read(folder / "checkpoints/last.ckpt")["epoch"] + 1 == 2


def ends_alike(one: Path, two: Path) -> None:
    """Both runs kept the same weights and figures, to the bit."""
    for name in ("best", "last"):
        first, second = (checkpoints.read(run / f"checkpoints/{name}.ckpt") for run in (one, two))
        assert first["epoch"] == second["epoch"]
        for key, value in first["state_dict"].items():
            assert torch.equal(value, second["state_dict"][key]), key
    first, second = (json.loads((run / "scores.json").read_text()) for run in (one, two))
    assert {k: v for k, v in first.items() if "seconds" not in k} == {
        k: v for k, v in second.items() if "seconds" not in k
    }
    assert read_history(one / "metrics/metrics.csv") == read_history(two / "metrics/metrics.csv")


@pytest.mark.slow
def test_a_killed_run_ends_as_if_nothing_had_happened(tmp_path, capsys):
    killed(tmp_path / "killed", *MLFLOW)
    whole = train(configured(*TINY, *DENSE, *SETTINGS, *MLFLOW), tmp_path / "whole")
    capsys.readouterr()
    assert main(["resume", str(tmp_path / "killed")]) == 0
    printed = capsys.readouterr().out
    assert "Epoch 2/5" not in printed
    assert "Epoch 3/5" in printed
    ends_alike(whole.folder, tmp_path / "killed")
    runs = connect(f"sqlite:///{tmp_path}/home/mlruns/mlflow.db").search_runs(["1"])
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]
    assert len({run.data.metrics["test/loss"] for run in runs}) == 1


@pytest.mark.slow
def test_two_processes_that_were_killed_go_on_too(tmp_path):
    killed(tmp_path / "killed", "trainer=ddp_cpu")
    train(configured(*TINY, *DENSE, *SETTINGS, "trainer=ddp_cpu"), tmp_path / "whole")
    assert main(["resume", str(tmp_path / "killed")]) == 0
    ends_alike(tmp_path / "whole", tmp_path / "killed")


def test_whatever_a_checkpoint_holds_has_been_logged_before(tmp_path, monkeypatch):
    """Else a run killed between the two would lack the figures of an epoch: it goes on after that epoch."""
    written, save = [], AtomicCheckpointIO.save_checkpoint

    def look(self: AtomicCheckpointIO, checkpoint: dict, path: Path, storage_options: None) -> None:
        history = read_history(tmp_path / "metrics/metrics.csv")
        written.append(path)
        assert all(max(history[name]) == checkpoint["epoch"] + 1 for name in ("train/loss", "train/lr", "val/loss"))
        save(self, checkpoint, path, storage_options)

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", look)
    train(configured(*TINY, *DENSE, "trainer.epochs=3"), tmp_path)
    assert len(written) > 3


@pytest.mark.slow
def test_a_stopped_run_is_found_by_its_name(tmp_path, capsys):
    killed(tmp_path / "killed", *MLFLOW, "tracking.run_name=mine")
    assert main(["resume", "mine"]) == 0
    assert "mine: epoch" in capsys.readouterr().out
    assert main(["resume", "mine"]) == 2
    assert "'mine' has finished: there is nothing left to do" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_was_stopped_in_its_report_gets_the_whole_of_it(tmp_path, monkeypatch):
    def stop(*_: object) -> None:
        raise Stopped(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr("prenda.training.finish.write_full", stop)
        with pytest.raises(Stopped):
            train(configured(*TINY, *DENSE, *MLFLOW, "report=full", "report.every_n_epochs=0"), tmp_path / "run")
    assert main(["resume", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run/report.html").is_file()
    (run,) = connect(f"sqlite:///{tmp_path}/home/mlruns/mlflow.db").search_runs(["1"])
    assert run.info.status == "FINISHED"


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["write_tables", "TrainResult"])
def test_a_run_that_was_stopped_after_its_scores_records_each_figure_and_its_bundle_once(moment, tmp_path, monkeypatch):
    def stop(*_: object) -> None:
        raise Stopped(signal.SIGINT)

    settings = (*TINY, *DENSE, *MLFLOW, "report=light")
    with monkeypatch.context() as patch:
        patch.setattr(f"prenda.training.finish.{moment}", stop)
        with pytest.raises(Stopped):
            train(configured(*settings), tmp_path / "run")
    assert main(["resume", str(tmp_path / "run")]) == 0
    store = connect(f"sqlite:///{tmp_path}/home/mlruns/mlflow.db")
    (run,) = store.search_runs(["1"])
    for name in run.data.metrics:
        assert len(store.get_metric_history(run.info.run_id, name)) == 1, name
    scores = json.loads((tmp_path / "run/scores.json").read_text())
    assert run.data.metrics["latency/seconds"] == scores["latency/seconds"]
    assert len(run.outputs.model_outputs) == 1


@pytest.mark.slow
def test_a_finished_run_whose_store_lacks_records_names_the_command_that_delivers_them(tmp_path, capsys):
    folder = tmp_path / "run"
    train(configured(*TINY, *DENSE, *MLFLOW, "report=none"), folder)
    Journal(folder).append("tags", tags={"late": "1"})  # as a process that was killed before it delivered its end
    assert main(["resume", str(folder)]) == 2
    told = capsys.readouterr().err
    assert f"has finished, but its store lacks 1 of its records: `prenda sync {folder}` delivers them." in told


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: None])
def test_what_is_no_run_is_told(make, tmp_path, capsys):
    make(tmp_path / "a folder")
    assert main(["resume", str(tmp_path / "a folder")]) == 2
    told = capsys.readouterr().err
    assert "There is no store at sqlite:///" in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("seed: [1", "config.yaml is damaged (while parsing a flow sequence"),
        ("seed: 1\n", "config.yaml was made by another version of prenda: it lacks the setting data.name. Use the"),
        ("colour: 1\n", "it has the setting colour, which this version does not know"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_told(content, told, tmp_path, capsys):
    (tmp_path / "config.yaml").write_text(content)
    assert main(["resume", str(tmp_path)]) == 2
    assert told in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.slow
def test_a_folder_of_other_settings_is_refused_and_left(tmp_path):
    train(configured(*TINY, *DENSE), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(
        ValueError, match=r"holds a run of other settings \(optimizer.lr: 0.005 recorded, 0.01 given\): give"
    ):
        train(configured(*TINY, *DENSE, "optimizer.lr=0.01"), tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


@pytest.mark.slow
def test_an_interruption_is_told_with_the_next_step(tmp_path):
    command = ["train", *TINY, *DENSE, "trainer.epochs=100000"]
    with ForkedCommand(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: list((tmp_path / "home").rglob("last.ckpt")), process)
            process.send_signal(signal.SIGINT)
            _, printed = process.communicate(timeout=60)
        finally:
            process.kill()
    (folder,) = {path.parents[1] for path in (tmp_path / "home").rglob("last.ckpt")}
    assert f"the run is recorded as KILLED, and `prenda resume {folder}` resumes it." in printed


@pytest.mark.slow
def test_a_run_is_not_resumed_on_other_images(tmp_path, monkeypatch):
    train(configured(*TINY, *DENSE), tmp_path)
    (tmp_path / ".status").unlink()
    generate = generated.generate
    monkeypatch.setattr(generated, "generate", lambda count, seed: generate(count, seed + 10))
    with pytest.raises(UserError, match=r"started with images of content \w{12}…, but generated in .* now has \w{12}…"):
        train(configured(*TINY, *DENSE), tmp_path)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory) -> Path:
    """A run of four epochs that was interrupted in its third; its best epoch is the first."""
    home = tmp_path_factory.mktemp("interrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRENDA_HOME", str(home))
        stop_at_epoch(patch, 2)
        with pytest.raises(Stopped):
            train(configured(*TINY, *DENSE, *FOUR_EPOCHS), home / "cut")
    best, last = (checkpoints.load(home / f"cut/checkpoints/{name}.ckpt") for name in ("best", "last"))
    assert (best.epochs, last.epochs) == (1, 2)
    return home / "cut"


@pytest.fixture
def cut(interrupted, tmp_path) -> Path:
    """A copy of the interrupted run that a test may change."""
    return Path(shutil.copytree(interrupted, tmp_path / "cut"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The folder of the same run without an interruption."""
    home = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRENDA_HOME", str(home))
        return train(configured(*TINY, *DENSE, *FOUR_EPOCHS), home / "whole").folder


# A rate that ruins the network after the first epoch.
FOUR_EPOCHS = (
    "scheduler=constant",
    "optimizer=sgd",
    "optimizer.lr=1",
    "trainer.epochs=4",
    "data.limit_train=600",
    "seed=1",
)


def stop_at_epoch(monkeypatch, epoch: int) -> None:
    """Stop trainings as an epoch starts, counted from 0."""

    def stop(_: object, trainer: Trainer, *__: object) -> None:
        if trainer.current_epoch == epoch:
            raise Stopped(signal.SIGINT)

    monkeypatch.setattr(TrainingProgress, "on_train_epoch_start", stop)


@pytest.mark.slow
def test_a_run_whose_last_checkpoint_is_damaged_resumes_from_the_best_one_to_the_same_bits(cut, whole, capsys):
    overwrite_weights(cut / "checkpoints/last.ckpt")
    assert main(["resume", str(cut)]) == 0
    told = capsys.readouterr().err
    assert f"prenda: {cut}/checkpoints/last.ckpt is damaged (its SHA-256 is " in told
    assert "): the run resumes from best.ckpt, after epoch 1." in told
    ends_alike(whole, cut)
    # Epoch 2, which was trained twice, stands in the file once.
    assert (cut / "metrics/metrics.csv").read_text() == (whole / "metrics/metrics.csv").read_text()


def test_a_run_whose_last_checkpoint_of_0_1_0_is_damaged_resumes_from_the_best_one(cut, capsys):
    for name in ("best", "last"):
        remove_digest(cut / f"checkpoints/{name}.ckpt")
    overwrite_weights(cut / "checkpoints/last.ckpt")
    assert main(["resume", str(cut)]) == 0
    assert "is damaged (the checksum of archive/data/" in capsys.readouterr().err


@pytest.mark.parametrize("also", [False, True])
def test_a_run_whose_best_epoch_is_lost_is_not_resumed(also, cut, capsys):
    """It may be the run's result, which the remaining epochs cannot give."""
    overwrite_weights(cut / "checkpoints/best.ckpt")
    if also:
        (cut / "checkpoints/last.ckpt").write_bytes(b"PK")
    before = (cut / "config.yaml").stat().st_mtime_ns
    assert main(["resume", str(cut)]) == 2
    told = capsys.readouterr().err
    assert f"{cut}/checkpoints/best.ckpt is damaged (its SHA-256 is" in told
    assert (f"{cut}/checkpoints/last.ckpt is damaged (" in told) == also
    assert f"or delete {cut}/checkpoints and give the same command again, which trains from the first epoch" in told
    assert (f"To keep the 2 trained epochs, delete {cut}/checkpoints/best.ckpt alone" in told) != also
    assert (cut / "config.yaml").stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_damaged_best_checkpoint_is_written_again_from_the_last_one_of_the_same_epoch(
    whole, monkeypatch, tmp_path, capsys
):
    config, folder = configured(*TINY, *DENSE, *FOUR_EPOCHS), tmp_path / "cut"
    stop_at_epoch(monkeypatch, 1)
    with pytest.raises(Stopped):
        train(config, folder)
    monkeypatch.undo()
    overwrite_weights(folder / "checkpoints/best.ckpt")
    train(config, folder)
    assert "): it is written again from last.ckpt, the same epoch." in capsys.readouterr().err
    ends_alike(whole, folder)
    assert "best.lost" not in (folder / ".journal.jsonl").read_text()


def test_a_deleted_best_checkpoint_restarts_the_choice_and_the_run_says_so(cut, capsys):
    (cut / "checkpoints/best.ckpt").unlink()
    assert main(["resume", str(cut)]) == 0
    assert "best.ckpt is missing: the best epoch so far is lost (val/accuracy 0." in capsys.readouterr().err
    accuracy = read_history(cut / "metrics/metrics.csv")["val/accuracy"]
    best = json.loads((cut / "scores.json").read_text())["best/epoch"]
    assert best == max((2, 3, 4), key=lambda epoch: (accuracy[epoch], epoch))
    assert "; chosen from epoch 2 on" in (cut / ".journal.jsonl").read_text()


def test_a_lost_best_epoch_of_a_checkpoint_without_its_accuracy_is_not_given_up(cut, capsys):
    """Of the first version, for example, which recorded none."""
    path = cut / "checkpoints/last.ckpt"
    content = checkpoints.read(path)
    del content["prenda"]["accuracy"]
    AtomicCheckpointIO().save_checkpoint(content, path)
    (cut / "checkpoints/best.ckpt").unlink()
    assert main(["resume", str(cut)]) == 2
    assert "which trains from the first epoch to the same result." in capsys.readouterr().err


@pytest.mark.slow
def test_deleted_checkpoints_train_the_run_from_its_first_epoch_to_the_same_bits(cut, whole):
    shutil.rmtree(cut / "checkpoints")
    assert main(["resume", str(cut)]) == 0
    ends_alike(whole, cut)
    assert (cut / "metrics/metrics.csv").read_text() == (whole / "metrics/metrics.csv").read_text()


def test_a_run_in_a_moved_folder_keeps_its_best_epoch(cut, whole, tmp_path):
    cut.rename(tmp_path / "moved")
    assert main(["resume", str(tmp_path / "moved")]) == 0
    ends_alike(whole, tmp_path / "moved")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda kept: kept.pop("prenda"), "last.ckpt is no checkpoint of prenda: give best.ckpt or last.ckpt of a run"),
        (lambda kept: kept["prenda"].pop("content_hash"), "another version of prenda: it lacks content_hash. Use the"),
        (lambda kept: kept.pop("optimizer_states"), "another version of prenda: it lacks optimizer_states. Use the"),
        (lambda kept: kept.update(loops=3), "its loops is of the type int, not dict. Use the"),
        (lambda kept: kept["state_dict"].popitem(), "its weights do not fit (Error(s) in loading"),
    ],
)
def test_a_checkpoint_of_another_version_is_not_resumed(change, told, cut, capsys):
    last = cut / "checkpoints/last.ckpt"
    kept = checkpoints.read(last)
    change(kept)
    AtomicCheckpointIO().save_checkpoint(kept, last)
    assert main(["resume", str(cut)]) == 2
    assert told in capsys.readouterr().err


def test_the_time_of_a_resumed_run_counts_all_of_its_parts(cut, capsys):
    last = cut / "checkpoints/last.ckpt"
    kept = checkpoints.read(last)
    kept["callbacks"]["Timer"]["time_elapsed"]["train"] = 5000.0
    AtomicCheckpointIO().save_checkpoint(kept, last)
    assert main(["resume", str(cut)]) == 0
    assert json.loads((cut / "scores.json").read_text())["train/seconds"] > 5000
    assert "Trained in        500" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["cpu", "ddp_cpu"])
def test_a_run_that_trains_is_not_trained_by_a_second_process(processes, tmp_path, capsys):
    folder = tmp_path / "run"
    settings = (*TINY, *DENSE, f"trainer={processes}", "trainer.epochs=100000", f"hydra.run.dir={folder}")
    with ForkedCommand(["train", *settings], stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: (folder / "checkpoints/last.ckpt").is_file(), process)
            for command in (["resume", str(folder)], ["train", *settings]):
                assert main(command) == 2
                told = capsys.readouterr().err
                assert f"{folder} is in use: process {process.pid} on {socket.gethostname()} trains or scores" in told
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 143
        finally:
            process.kill()


@pytest.mark.slow
def test_the_processes_of_a_killed_launcher_end_with_it(tmp_path):
    """Else they would train on in a folder whose lock has been released."""
    folder = tmp_path / "run"
    settings = (*TINY, *DENSE, "trainer=ddp_cpu", "trainer.epochs=100000", f"hydra.run.dir={folder}")
    with ForkedCommand(["train", *settings], stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: (folder / "checkpoints/last.ckpt").is_file(), process)
            workers = [child for child in psutil.Process(process.pid).children(recursive=True) if child.is_running()]
        finally:
            process.kill()
    _, alive = psutil.wait_procs(workers, timeout=10)
    for worker in alive:
        worker.kill()
    assert len(workers) >= 2
    assert alive == []
