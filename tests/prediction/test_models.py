from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from prenda.bundle import champions
from prenda.bundle.format import DESCRIPTION, read
from prenda.config.paths import home
from prenda.errors import BundleError, TrackingError, UserError
from prenda.photos.preparation import Preparation
from prenda.prediction.models import choose
from tests.prediction.bundles import write_bundle, write_old_bundle

needs_mlflow = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None, reason="MLflow is not in an installation without torch"
)
THUMBNAIL = Preparation("thumbnail", 28, 1)


def bundle(folder: Path, age: int, preparation: Preparation | None = None) -> Path:
    """Write a bundle of photos, or of thumbnails, that was written so many hours ago."""
    write_bundle(folder, **({} if preparation is None else {"preparation": preparation}))
    for path in (folder / DESCRIPTION, folder):
        os.utime(path, (1e9 - 3600 * age,) * 2)
    return folder


def run(number: int, age: int, preparation: Preparation | None = None) -> Path:
    return bundle(home() / f"outputs/runs/2026-01-01/0{number}-00-00/bundle", age, preparation)


def champion(task: str, age: int, preparation: Preparation | None = None) -> Path:
    return bundle(home() / "outputs/champions" / task, age, preparation)


def chosen(tmp_path, model: object = "champion") -> Path:
    return choose(str(model), tmp_path).folder


def test_the_champion_comes_before_a_newer_run(tmp_path):
    kept = champion("prenda", age=9, preparation=THUMBNAIL)
    run(1, age=0)
    assert chosen(tmp_path) == kept


def test_a_champion_that_was_kept_is_found(tmp_path):
    kept = champions.keep(read(write_bundle(tmp_path / "bundle")))
    assert chosen(tmp_path) == kept
    assert kept.parent == home() / "outputs/champions"


def test_a_champion_of_photos_comes_before_a_newer_one_of_thumbnails(tmp_path):
    champion("old", age=5)
    photos = champion("clothing", age=4)
    champion("prenda", age=1, preparation=THUMBNAIL)
    assert chosen(tmp_path) == photos


def test_without_a_champion_the_newest_run_of_photos_answers_else_the_newest(tmp_path):
    run(1, age=3, preparation=THUMBNAIL)
    newest = run(2, age=1, preparation=THUMBNAIL)
    assert chosen(tmp_path) == newest
    photos = run(3, age=5)
    assert chosen(tmp_path) == photos


def test_without_any_model_the_error_says_how_to_get_one(tmp_path):
    with pytest.raises(UserError, match=r"neither a champion nor a finished run: `make shop` trains a model on photos"):
        chosen(tmp_path)


def test_a_bundle_a_run_and_a_checkpoint_are_named_by_their_paths(tmp_path):
    folder = run(1, age=0)
    checkpoint = folder.parent / "checkpoints/best.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    for named in (folder, folder / DESCRIPTION, folder.parent, checkpoint):
        assert chosen(tmp_path, named) == folder


def test_a_folder_without_a_bundle_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"--model is '.*', which holds no bundle: name the folder of a run that"):
        chosen(tmp_path, tmp_path)


def test_a_model_whose_pictures_are_not_made_from_photos_is_refused(tmp_path):
    folder = write_bundle(tmp_path / "bundle", preparation=None)
    with pytest.raises(UserError, match=r"its pictures are not made from photos \(data set 'colours'\): name a model"):
        chosen(tmp_path, folder)


def test_a_damaged_bundle_is_refused(tmp_path):
    folder = write_bundle(tmp_path / "bundle")
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"!")
    with pytest.raises(BundleError, match=r"model\.onnx is damaged"):
        chosen(tmp_path, folder)


def test_a_bundle_of_format_1_is_chosen(tmp_path):
    assert choose(str(write_old_bundle(tmp_path / "bundle")), tmp_path).format == 1


@needs_mlflow
def test_a_run_that_is_named_is_looked_up_in_the_store(tmp_path, monkeypatch):
    from prenda.tracking import lookup, store

    asked = []

    def bundle_of(uri, run, into):
        asked.append((uri, run))
        return write_bundle(into / "bundle")

    monkeypatch.setattr(lookup, "bundle_of", bundle_of)
    assert chosen(tmp_path, "cnn-seed0") == tmp_path / "bundle"
    assert asked == [(store.local_store(), "cnn-seed0")]


@needs_mlflow
def test_a_name_that_nothing_has_is_refused(tmp_path):
    with pytest.raises(TrackingError, match=r"There is no store at sqlite:.*no-such-run.*: train a run first"):
        chosen(tmp_path, "no-such-run")
