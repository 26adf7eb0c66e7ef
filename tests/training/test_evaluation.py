from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from prenda.cli import main
from prenda.config.schema import TrainerConfig
from prenda.data.datasets import generated
from prenda.training import checkpoints
from prenda.training.evaluation import _for_scoring, evaluate_again, load_run
from prenda.training.train import train
from tests.conftest import TINY, configured, metrics_of
from tests.training.damage import overwrite_weights, remove_digest
from tests.training.test_train import DENSE


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A finished run, which tests only read."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRENDA_HOME", str(home))
        return train(configured(*TINY, *DENSE, "augment=erase", "ema=0.9"), home / "run")


def test_the_figures_are_the_runs_to_the_last_digit(result):
    again = evaluate_again(str(result.checkpoint))
    for split, scores in again.items():
        assert scores.metrics == result.scores[split].metrics
        assert np.array_equal(scores.logits, result.scores[split].logits)


@pytest.mark.slow
def test_a_run_is_found_by_id_and_by_name(tmp_path, capsys):
    result = train(configured(*TINY, *DENSE, "tracking=mlflow", "tracking.system_metrics=false"), tmp_path / "run")
    for name in (result.run_id, "dense-generated-seed0"):
        assert main(["evaluate", name]) == 0
        printed = capsys.readouterr().out
        assert f"scored again from {name}" in printed
        assert f"{result.scores['test'].metrics['accuracy']:.2%}" in printed
    assert main(["evaluate", "nobody's run"]) == 2
    assert "is neither a file nor a run in sqlite:///" in capsys.readouterr().err
    assert metrics_of(result)


def test_without_a_store_the_next_step_is_told(capsys, tmp_path):
    assert main(["evaluate", "cnn-fashion_mnist-seed0"]) == 2
    assert "There is no store at sqlite:///" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


def test_other_images_are_refused_unless_asked(result, monkeypatch, capsys):
    generate = generated.generate
    monkeypatch.setattr(generated, "generate", lambda count, seed: generate(count, seed + 10))
    assert main(["evaluate", str(result.checkpoint)]) == 2
    told = capsys.readouterr().err
    assert "but" in told
    assert "was trained on" in told
    assert "--any-data to score on these" in told
    assert main(["evaluate", str(result.checkpoint), "--any-data"]) == 0


@pytest.mark.parametrize("any_data", [False, True])
def test_images_are_normalised_with_the_statistics_of_training(result, tmp_path, any_data):
    """They are part of the model: other images, or another version's choice of training images, have others."""
    kept = checkpoints.read(result.checkpoint)
    kept["prenda"]["pixels"] = {"mean": [3.0], "std": [5.0]}
    checkpoints.AtomicCheckpointIO().save_checkpoint(kept, tmp_path / "a.ckpt")
    with load_run(str(tmp_path / "a.ckpt"), any_data=any_data) as run:
        assert run.data.statistics() == {"mean": [3.0], "std": [5.0]}
        assert run.data.normalized(torch.full((1, 1, 2, 2), 13, dtype=torch.uint8)).unique().tolist() == [2.0]


@pytest.mark.parametrize("content", [b"not a checkpoint", pickle.dumps({"a": 1}, protocol=2), b""])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content, capsys):
    (tmp_path / "a.ckpt").write_bytes(content)
    assert main(["evaluate", str(tmp_path / "a.ckpt")]) == 2
    assert "a.ckpt is no checkpoint of prenda: give best.ckpt or last.ckpt" in capsys.readouterr().err


def test_a_checkpoint_of_another_program_is_refused(tmp_path, capsys):
    checkpoints.AtomicCheckpointIO().save_checkpoint({"state_dict": {}}, tmp_path / "a.ckpt")
    assert main(["evaluate", str(tmp_path / "a.ckpt")]) == 2
    assert "is no checkpoint of prenda" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda kept: kept.pop("state_dict"), "was made by another version of prenda: it lacks state_dict. Use the"),
        (lambda kept: kept["prenda"].pop("config"), "was made by another version of prenda: it lacks config. Use the"),
        (lambda kept: kept["prenda"].pop("content_hash"), "another version of prenda: it lacks content_hash. Use the"),
        (lambda kept: kept["prenda"]["config"]["data"].update(colour=3), "it has the setting data.colour, which this"),
        (lambda kept: kept.update(prenda="0.1"), "is no checkpoint of prenda: give best.ckpt or last.ckpt"),
        (lambda kept: kept["prenda"].update(config=5), "its prenda.config is of the type int, not dict. Use the"),
        (
            lambda kept: kept["prenda"]["config"].update(data=5),
            "of prenda: Merge error: int is not a subclass of DataConfig. value: 5. Use the",
        ),
        (lambda kept: kept["prenda"].update(content_hash=5), "its prenda.content_hash is of the type int, not str."),
        (lambda kept: kept.update(state_dict=5), "its state_dict is of the type int, not dict. Use the"),
        (lambda kept: kept.update(epoch="1"), "its epoch is of the type str, not int. Use the"),
        (lambda kept: kept["state_dict"].update(w=5), "another version of prenda: its weights do not fit (Error(s) in"),
        (lambda kept: kept["state_dict"].popitem(), 'Missing key(s) in state_dict: "backbone.'),
    ],
)
def test_a_checkpoint_of_another_version_is_refused_by_name(result, damage, told, tmp_path, capsys):
    kept = checkpoints.read(result.checkpoint)
    damage(kept)
    checkpoints.AtomicCheckpointIO().save_checkpoint(kept, tmp_path / "a.ckpt")
    assert main(["evaluate", str(tmp_path / "a.ckpt")]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"prenda: {tmp_path / 'a.ckpt'} ")
    assert told in printed


def test_a_checkpoint_without_permission_is_told_as_such(result, monkeypatch, capsys):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(result.checkpoint))

    monkeypatch.setattr("torch.load", refuse)  # root, who may run the tests, may read every file
    assert main(["evaluate", str(result.checkpoint)]) == 1
    assert "best.ckpt': give yourself permission" in capsys.readouterr().err


@pytest.mark.parametrize("earlier", [False, True], ids=["with a digest", "of 0.1.0"])
def test_a_damaged_checkpoint_is_refused_by_name(result, earlier, tmp_path, capsys):
    run = Path(shutil.copytree(result.folder, tmp_path / "run"))
    checkpoint = run / checkpoints.BEST
    if earlier:
        remove_digest(checkpoint)
    overwrite_weights(checkpoint)
    for command in (["evaluate"], ["export", "--to", str(tmp_path / "model")]):
        assert main([*command, str(run)]) == 2
        assert f"prenda: {checkpoint} is damaged (" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_a_damaged_checkpoint_of_a_trial_is_not_promoted(tmp_path, capsys):
    """A trial has no bundle: its promotion makes one from the checkpoint."""
    result = train(configured(*TINY, *DENSE, "tracking=mlflow", "tracking.system_metrics=false"), tmp_path / "run")
    overwrite_weights(result.checkpoint)
    assert main(["promote", result.run_id]) == 2
    assert f"prenda: {result.checkpoint} is damaged (its SHA-256 is" in capsys.readouterr().err


@pytest.mark.parametrize("accelerator", [None, "cpu"])
def test_every_run_is_scored_in_float32(accelerator):
    assert _for_scoring(TrainerConfig(precision="bf16-mixed"), accelerator).precision == "32"
