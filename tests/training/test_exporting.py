from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from prenda.bundle import format as bundle_format
from prenda.cli import main
from prenda.data.datasets import generated
from prenda.report.tables import read_predictions, write_predictions
from prenda.training.train import train
from tests.conftest import TINY, configured
from tests.training.test_train import DENSE

MLFLOW = ("tracking=mlflow", "tracking.system_metrics=false", "report=light")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A home with a recorded run that has a bundle, in `run`, and an offline trial that has none, in `trial`."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRENDA_HOME", str(home))
        train(configured(*TINY, *DENSE, *MLFLOW), home / "run")
        train(configured(*TINY, *DENSE, "mirrored_scoring=true", "trainer.precision=bf16-mixed"), home / "trial")
    return home


@pytest.fixture
def export(home, tmp_path, monkeypatch, capsys):
    """Runs `prenda export … --to tmp_path/out`; returns the exit code and what it printed."""
    monkeypatch.setenv("PRENDA_HOME", str(home))

    def call(run: str | Path, *more: str, to: Path = tmp_path / "out") -> tuple[int, str]:
        code = main(["export", str(run), "--to", str(to), *more])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return call


@pytest.fixture
def copy(home, tmp_path) -> Path:
    """A copy of the recorded run's folder that a test may change."""
    return Path(shutil.copytree(home / "run", tmp_path / "copy"))


@pytest.mark.slow
def test_a_recorded_bundle_is_copied_and_predicts_the_same(home, export, tmp_path):
    code, told = export((home / "run/.run_id").read_text()[:8])
    assert code == 0
    assert f"{tmp_path / 'out'} holds the bundle of dense-generated-seed0: it predicts as the run did on" in told
    assert " validation and test images (largest difference of probabilities " in told
    exported = bundle_format.read(tmp_path / "out")
    assert exported.scores == bundle_format.read(home / "run/bundle").scores
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


@pytest.mark.slow
def test_a_trial_gets_a_bundle_from_its_checkpoint(home, export, tmp_path):
    code, told = export(home / "trial/checkpoints/best.ckpt")
    assert code == 0, told
    assert "it predicts as the run did on" in told
    exported = bundle_format.read(tmp_path / "out")
    assert onnxruntime.InferenceSession(exported.network).get_outputs()
    assert exported.onnx_images == 500
    assert exported.config["trainer"]["precision"] == "bf16-mixed"  # as it was trained, not as it was scored
    assert not (home / "trial/bundle").exists()


@pytest.mark.slow
def test_the_bundle_of_a_trial_must_answer_as_the_trial_was_scored(home, export, tmp_path):
    trial = Path(shutil.copytree(home / "trial", tmp_path / "trial"))
    path = trial / "predictions/test.npz"
    recorded = read_predictions(path)
    recorded.logits[-1, 0] += 1
    write_predictions(recorded.logits, recorded.labels, recorded.class_names, path)
    code, told = export(trial)
    assert code == 2
    assert "away from the scored ones on 500 images, where 0.0001 is allowed" in told
    assert not (tmp_path / "out").exists()


def test_a_folder_is_only_replaced_if_it_holds_an_export(home, export, tmp_path):
    assert export(home / "run", "--no-check") == (
        0,
        f"{tmp_path / 'out'} holds the bundle of run: its checksums are right; predictions not compared.\n",
    )
    code, told = export(home / "run", "--no-check")
    assert code == 2
    assert f"--to is '{tmp_path / 'out'}', which is not empty: give another folder; --overwrite replaces" in told
    (tmp_path / "out/model.json").write_text(json.dumps({"files": {}, "format": 0}))
    (tmp_path / "out/weights.safetensors").unlink()
    (tmp_path / "out/model.onnx").unlink()
    assert export(home / "run", "--no-check", "--overwrite")[0] == 0
    assert bundle_format.read(tmp_path / "out")
    (tmp_path / "out/thesis.txt").touch()
    code, told = export(home / "run", "--no-check", "--overwrite")
    assert code == 2
    assert "which holds 'thesis.txt', so it is no export that --overwrite may replace: give another folder." in told
    code, told = export(home / "run", "--no-check", to=tmp_path / "out/thesis.txt")
    assert code == 2
    assert "which is no folder: give the folder to write." in told
    (tmp_path / "empty").mkdir()
    assert export(home / "run", "--no-check", to=tmp_path / "empty")[0] == 0


def test_the_runs_own_bundle_is_not_replaced(export, copy):
    for place in (copy / "bundle", copy / "bundle/within"):
        code, told = export(copy, "--overwrite", "--no-check", to=place)
        assert code == 2
        assert f"--to is '{place}', in the run's own bundle: give another folder." in told
    assert bundle_format.read(copy / "bundle")


def test_a_bundle_that_predicts_otherwise_is_not_exported(export, copy, tmp_path):
    path = copy / "predictions/val.npz"
    recorded = read_predictions(path)
    write_predictions(np.roll(recorded.logits, 1, axis=1), recorded.labels, recorded.class_names, path)
    code, told = export(copy)
    assert code == 2
    assert "The bundle of run 'copy' predicts otherwise than the run did: probabilities of val images differ by" in told
    assert "where 0.0001 is allowed. `prenda evaluate " in told
    path.write_bytes(b"nothing")
    assert "predictions/val.npz of run 'copy' is damaged (" in export(copy)[1]
    assert not (tmp_path / "out").exists()


def test_a_damaged_bundle_is_not_exported(export, copy, tmp_path):
    (copy / "bundle/model.onnx").write_bytes(b"")
    code, told = export(copy)
    assert code == 2
    assert "model.onnx is damaged (its SHA-256 is" in told
    assert not (tmp_path / "out").exists()


def test_without_the_runs_images_the_check_says_what_to_do(home, export, monkeypatch):
    generate = generated.generate
    monkeypatch.setattr(generated, "generate", lambda count, seed: generate(count, seed + 10))
    code, told = export(home / "run")
    assert code == 2
    assert "but run 'run' was trained on " in told
    assert "give --data-dir the recorded images, or --no-check to export without a check." in told
    assert export(home / "run", "--no-check")[0] == 0


def test_a_data_set_that_cannot_be_had_is_told_with_the_way_around(export, copy):
    config = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(config.replace("  classes: null\n", "  classes: [Shirt, Nothing]\n"))
    code, told = export(copy)
    assert code == 2
    assert "data.classes is ['Shirt', 'Nothing']" in told
    assert "Without its images a bundle cannot be checked: --data-dir names their folder, and --no-check" in told


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("KILLED", "did not finish (it is KILLED): `prenda resume "),
        ("PRUNED", "did not finish (it is PRUNED): name a run that finished."),
    ],
)
def test_a_run_that_did_not_finish_is_refused(export, copy, status, told):
    (copy / ".status").write_text(status)
    code, printed = export(copy)
    assert code == 2
    assert told in printed


def test_what_is_no_run_is_told(home, export, tmp_path):
    (tmp_path / "stray.ckpt").touch()
    assert "is a file outside the checkpoints folder of a run" in export(tmp_path / "stray.ckpt")[1]
    assert "is neither a file nor a run in" in export("nobody")[1]


def test_a_run_from_before_bundles_is_told(home, export, tmp_path):
    old = Path(shutil.copytree(home / "trial", tmp_path / "old"))
    (old / "scores.json").write_text("{}")
    assert "Run 'old' was recorded before runs had bundles: train it again." in export(old)[1]


def test_a_run_says_at_its_end_what_it_takes(tmp_path, capsys):
    train(configured(*TINY, *DENSE), tmp_path / "run")
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("On disk"))
    assert line.split(maxsplit=2)[2].endswith("kB in its folder")
