from __future__ import annotations

import json
import math
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from prenda.cli import main
from prenda.config.convert import as_plain
from prenda.config.recorded import load
from prenda.data.datasets import generated
from prenda.errors import UserError
from prenda.report.tables import RecordedPredictions
from prenda.search import trial
from prenda.search.job import Job
from prenda.system.signals import Stopped
from prenda.tracking.run_folder import STATUS
from prenda.tracking.runs import environment
from prenda.tracking.store import connect
from prenda.training import agreement, checkpoints
from prenda.training.agreement import with_threads
from prenda.training.equality import Results, compare, verdict
from prenda.training.train import train
from tests.conftest import TINY, configured
from tests.data.photos import write_photo, write_shop
from tests.training.test_train import DENSE

OLD = Path(__file__).parents[1] / "compatibility/version_0_1_0/finished"
MLFLOW = ("tracking=mlflow", "tracking.system_metrics=false")
NAME = "dense-generated-seed0"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A home with a recorded run in `run`, and an offline one in `offline`, of two epochs each."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRENDA_HOME", str(home))
        train(configured(*TINY, *DENSE, *MLFLOW, "trainer.epochs=2", "backbone.dropout=0.2"), home / "run")
        train(configured(*TINY, *DENSE, "trainer.epochs=2"), home / "offline")
    return home


@pytest.fixture
def reproduce(home, tmp_path, monkeypatch, capsys):
    """Runs `prenda reproduce …`; returns the exit code and what it printed, in one line."""
    monkeypatch.setenv("PRENDA_HOME", str(home))

    def call(run: str | Path, *more: str) -> tuple[int, str]:
        code = main(["reproduce", str(run), *more])
        printed = capsys.readouterr()
        return code, " ".join((printed.out + printed.err).replace("│", " ").split())

    return call


@pytest.fixture
def copy(home, tmp_path) -> Path:
    """A copy of the offline run's folder that a test may change."""
    return Path(shutil.copytree(home / "offline", tmp_path / "copy"))


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_run_is_reproduced_to_the_bit_in_a_run_of_its_own(home, reproduce):
    store, run_id = connect(f"sqlite:///{home}/mlruns/mlflow.db"), (home / "run/.run_id").read_text()
    before, record = contents(home / "run"), store.get_run(run_id).to_dictionary()
    code, told = reproduce(run_id[:8])
    assert code == 0, told
    parts = "best weights, last weights, val predictions, test predictions, metrics of the epochs, final scores"
    assert f"{NAME} is reproduced, equal to the bit: {parts}." in told
    assert "threads 1 1 yes" in told
    (folder,) = (home / "outputs/reproductions" / run_id[:8]).iterdir()
    again = store.get_run((folder / ".run_id").read_text())
    assert again.info.run_name == f"{NAME}-reproduced"
    assert again.info.status == "FINISHED"
    assert again.data.tags["prenda.reproduces"] == run_id
    assert again.data.tags["prenda.reproduced"] == "equal to the bit"
    assert json.loads((folder / "reproduction.json").read_text())["verdict"] == "equal to the bit"
    assert contents(home / "run") == before
    assert store.get_run(run_id).to_dictionary() == record


def test_a_check_trains_nothing(home, reproduce, monkeypatch):
    monkeypatch.setattr("prenda.training.reproduction.train", None)
    code, told = reproduce(home / "offline", "--check")
    assert code == 0
    assert told.endswith(f"The record of {NAME} agrees with the present.")


def test_a_different_result_is_told_with_what_differs(reproduce, copy):
    path = copy / "checkpoints/best.ckpt"
    kept = checkpoints.read(path)
    name = next(iter(kept["state_dict"]))
    kept["state_dict"][name].view(-1)[3] += 0.5
    checkpoints.AtomicCheckpointIO().save_checkpoint(kept, path)
    code, told = reproduce(copy)
    assert code == 4
    assert f"{NAME} is not reproduced, the result is different: best weights ({name}). No part of the" in told
    assert "5.0e-01" in told


@pytest.mark.parametrize(
    ("package", "code", "told"),
    [
        ("torch", 4, "differs from the present in torch."),
        ("pytest", 0, "no (minor)"),
    ],
)
def test_another_version_of_a_package_is_told(package, code, told, home, reproduce, monkeypatch):
    installed = re.sub(rf"(?m)^{package}==.*$", f"{package}==0.0.1", environment())
    monkeypatch.setattr(agreement, "environment", lambda: installed)
    ended, printed = reproduce(home / "offline", "--check")
    assert ended == code, printed
    assert told in printed
    assert "0.0.1" in printed


def test_other_images_are_refused(home, reproduce, monkeypatch):
    generate = generated.generate
    monkeypatch.setattr(generated, "generate", lambda count, seed: generate(count, seed + 10))
    code, told = reproduce(home / "offline")
    assert code == 2
    assert f"but run '{NAME}' was trained on " in told
    assert "restore the images, or give --data-dir." in told


@pytest.mark.slow
def test_a_photo_that_changed_or_is_gone_is_told(home, reproduce, tmp_path):
    shop = write_shop(tmp_path / "shop", {"coat": 12, "hat": 12})
    settings = ("data=folder", f"data.dir={shop}", "data.image_size=8", "data.limit_train=null")
    train(configured(*TINY, *settings, *DENSE), tmp_path / "run")
    assert reproduce(tmp_path / "run", "--check")[0] == 0
    write_photo(shop / "coat/000.jpg", seed=77)
    code, told = reproduce(tmp_path / "run")
    assert code == 2
    assert f"--data-dir is {shop}, where folder has the content" in told
    shutil.rmtree(shop)
    code, told = reproduce(tmp_path / "run")
    assert code == 2
    assert "data not available no" not in told
    assert f"--data-dir is {shop}" in told


def test_a_configuration_that_was_edited_is_told(reproduce, copy):
    config = OmegaConf.load(copy / "config.yaml")
    config.optimizer.lr = 0.5
    OmegaConf.save(config, copy / "config.yaml")
    code, told = reproduce(copy)
    assert code == 2
    assert f"has changed since the training (optimizer.lr: 0.005 recorded, 0.5 now): restore the file. {copy}" in told


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("KILLED", "did not finish (it is KILLED), so it has no result to reproduce: `prenda resume "),
        ("PRUNED", "did not finish (it is PRUNED), so it has no result to reproduce: name a run that finished."),
        (None, "did not finish (it is not closed), so it has no result to reproduce: `prenda resume "),
    ],
)
def test_a_run_that_did_not_finish_is_refused(status, told, reproduce, copy):
    (copy / STATUS).unlink() if status is None else (copy / STATUS).write_text(status)
    code, printed = reproduce(copy)
    assert code == 2
    assert told in printed


def test_a_checkpoint_outside_a_run_is_refused(home, reproduce, tmp_path):
    shutil.copy(home / "offline/checkpoints/best.ckpt", tmp_path)
    code, told = reproduce(tmp_path / "best.ckpt")
    assert code == 2
    assert "is a file outside the checkpoints folder of a run" in told


def test_a_run_of_another_results_version_is_refused(reproduce):
    code, told = reproduce(OLD)
    assert code == 2
    assert "has results version 1, but this prenda has results version 2, whose training differs: reproduce it" in told
    assert "packages – " in told
    assert "threads – 1 not recorded" in told


def test_a_run_without_checkpoints_is_compared_in_the_rest(reproduce, copy):
    shutil.rmtree(copy / "checkpoints")
    assert reproduce(copy, "--check")[0] == 0
    compared = compare(results(copy), results(copy))
    parts = ["val predictions", "test predictions", "metrics of the epochs", "final scores"]
    assert [part.what for part in compared] == parts
    assert verdict(compared) == "equal to the bit"


def test_a_run_whose_folder_is_gone_is_read_from_mlflow(home, reproduce):
    run_id = (home / "run/.run_id").read_text()
    (home / "run").rename(home / "moved")
    try:
        code, told = reproduce(run_id, "--check")
    finally:
        (home / "moved").rename(home / "run")
    assert code == 0
    assert told.endswith(f"The record of {NAME} agrees with the present.")


def results(folder: Path) -> Results:
    return Results.read(lambda name: path if (path := folder / name).is_file() else None)


@pytest.mark.parametrize("name", ["predictions/val.npz", "metrics/metrics.csv", "scores.json"])
def test_a_damaged_result_is_told(name, copy):
    (copy / name).write_text("step,val/loss\n1,{")
    with pytest.raises(UserError, match=rf"{copy / name} is damaged \(.*\): restore the file as the run wrote it\."):
        results(copy)


@pytest.mark.parametrize(
    ("change", "verdict_", "where"),
    [
        ({}, "equal to the bit", ""),
        ({"test/loss": 2.00001}, "equal within rounding", "test/loss: 2 recorded, 2.00001 now"),
        ({"test/loss": 2.001}, "different", "test/loss: 2 recorded, 2.001 now"),
        ({"test/loss": math.nan}, "different", "test/loss: 2 recorded, nan now"),
        ({"test/f1": 0.5}, "different", "test/f1 is in one of the two only"),
    ],
)
def test_scores_are_compared_in_parts_of_a_value_above_1(change, verdict_, where):
    scores = {"test/loss": 2.0, "test/accuracy": 0.5, "test/ece": math.nan}
    (part,) = compare(Results({}, {}, {}, scores), Results({}, {}, {}, scores | change))
    assert (part.verdict, part.where) == (verdict_, where)


def test_the_first_epoch_that_differs_is_told():
    history = {("val/loss", 1): 2.0, ("val/loss", 2): 1.0, ("val/loss", 3): 0.5}
    later = {("val/loss", 2): 1.1, ("val/loss", 3): 0.7}
    part, _ = compare(Results({}, {}, history, {"a": 1}), Results({}, {}, history | later, {"a": 1}))
    assert part.where == "val/loss, epoch 3: 0.5 recorded, 0.7 now; first in epoch 2"


def test_images_with_another_class_are_counted():
    one = RecordedPredictions(np.array([[0, 1], [2, 1]], np.float32), np.array([0, 1]), ("a", "b"))
    two = replace(one, logits=np.array([[0, 1], [2, 2.5]], np.float32))
    part, _ = compare(Results({}, {"val": one}, {}, {"a": 1}), Results({}, {"val": two}, {}, {"a": 1}))
    assert (part.verdict, part.where) == ("different", "1 of 2 images have another class")


@pytest.mark.slow
def test_the_trial_of_a_sweep_is_reproduced_as_a_run_of_its_own(home, reproduce, tmp_path):
    config = as_plain(configured(*TINY, *DENSE, f"tracking.parent={tmp_path}"))
    trial.run(Job(0, tmp_path / "trial", {name: config[name] for name in config.keys() - {"search", "workers"}}))
    code, told = reproduce(tmp_path / "trial")
    assert code == 0, told
    assert "is reproduced, equal to the bit" in told
    folder = max((home / "outputs/reproductions").glob("*/*"), key=lambda path: path.name)
    assert load(folder / "config.yaml").tracking.parent is None


@pytest.mark.slow
def test_an_interrupted_reproduction_resumes(reproduce, copy, monkeypatch, home):
    def stop(*_: object) -> None:
        raise Stopped(signal.SIGINT)

    folders = set((home / "outputs/reproductions").glob("*/*"))
    with monkeypatch.context() as patch:
        patch.setattr("prenda.training.finish.evaluate", stop)
        code, told = reproduce(copy)
    assert code == 130
    assert "the run is recorded as KILLED, and the same command resumes it." in told
    code, told = reproduce(copy)
    assert code == 0
    assert "Epoch 1/2" not in told
    assert len(set((home / "outputs/reproductions").glob("*/*")) - folders) == 1


def test_a_lack_of_the_device_is_told(home, reproduce, copy):
    config = OmegaConf.load(copy / "config.yaml")
    config.trainer.accelerator = "mps"
    OmegaConf.save(config, copy / "config.yaml")
    code, told = reproduce(copy)
    assert code == 2
    assert f"Run '{NAME}' cannot be trained on this machine: trainer.accelerator is mps" in told


def test_the_recorded_threads_are_used_where_there_are_as_many_cores(monkeypatch):
    config = configured(*TINY, *DENSE)
    config = replace(config, trainer=replace(config.trainer, threads=None))
    monkeypatch.setattr(agreement, "cores", lambda: 4)
    assert [with_threads(config, starts).trainer.threads for starts in ([{"threads": 2}], [{"threads": 9}], [])] == [
        2,
        4,
        4,
    ]
