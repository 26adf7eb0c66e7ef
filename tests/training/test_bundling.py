from __future__ import annotations

import getpass
import json
import socket
import sys
from pathlib import Path

import pytest

from prenda.bundle import format as bundle
from prenda.cli import main
from prenda.config.convert import as_plain
from prenda.config.paths import REPOSITORY
from prenda.photos.preparation import Preparation
from prenda.scoring.selective import fit_thresholds
from prenda.training.bundling import portable
from prenda.training.train import train
from tests.conftest import TINY, configured
from tests.data.photos import write_shop
from tests.training.test_train import DENSE

CLASSES = ["Shirt", "Ankle boot"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    home = tmp_path_factory.mktemp("somebody")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRENDA_HOME", str(home))
        names = f"data.classes=[{','.join(CLASSES)}]"
        config = configured(*TINY, *DENSE, "report=light", names, "data.image_size=32", f"data.dir={home}/ana")
        return train(config, home / "run")


@pytest.mark.slow
def test_the_bundle_of_a_run_says_what_it_is_for(trained):
    read = bundle.read(trained.folder / "bundle")
    assert read.format == 2
    assert read.labels == {"en": tuple(CLASSES), "es": ("Camisa", "Botín")}
    assert read.task.startswith("generated-2-classes-")
    assert read.preparation is not None
    assert (read.preparation.size, read.preparation.native, read.pixel_shape) == (32, 28, (1, 32, 32))
    assert read.unsure == fit_thresholds(trained.scores["val"], read.temperature)


def test_card_and_readme_lie_in_the_bundle(trained):
    folder = trained.folder / "bundle"
    assert (folder / "card.md").read_text(encoding="utf-8").startswith("# dense-generated-seed0\n")
    assert "(B, 1, 32, 32)" in (folder / "README.md").read_text(encoding="utf-8")


def test_nothing_of_the_training_machine_is_in_the_bundle(trained):
    home = trained.folder.parent
    for path in (trained.folder / "bundle").iterdir():
        content = path.read_bytes()
        for personal in (
            str(home),
            str(REPOSITORY),
            sys.prefix,
            str(Path.home()) + "/",
            "ana",
            getpass.getuser() + "@",
            socket.gethostname(),
        ):
            if personal == "ana" and path.suffix != ".json":
                continue  # three letters of a weight
            assert personal.encode() not in content, (path.name, personal)


def test_a_configuration_is_portable_without_the_paths_in_it():
    config = as_plain(configured(*TINY)) | {
        "callbacks": {"log": {"files": ["/home/ana/log.txt", "~/notes", "../shared/weights.pth", "cnn", 3]}}
    }
    assert portable(config)["callbacks"]["log"]["files"] == ["log.txt", "notes", "weights.pth", "cnn", 3]
    assert json.dumps(portable(config)).count("/") == 0
    assert {"paths", "tracking", "search", "workers"}.isdisjoint(portable(config))
    assert "dir" not in portable(config)["data"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The folder of a run on a shop's own photos, with its own names of classes."""
    home = tmp_path_factory.mktemp("shop")
    photos = write_shop(home / "Photos of María", {"coat": 24, "dress": 12})
    (home / "classes.yaml").write_text("coat: {name: Coat, es: Abrigo}\ndress: {es: Vestido}\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRENDA_HOME", str(home))
        config = configured(
            "data=folder", f"data.dir='{photos}'", f"data.mapping={home}/classes.yaml", "data.image_size=16",
            "data.batch_size=8", "trainer=cpu", "trainer.epochs=1", "tracking=offline", "report=light", *DENSE,
        )  # fmt: skip
        return train(config, home / "run").folder


@pytest.mark.slow
def test_the_bundle_of_a_shop_takes_photos_as_they_are_seen(shop):
    read = bundle.read(shop / "bundle")
    assert (read.polarity, read.preparation) == ("as seen", Preparation("pad", size=16, channels=3))
    assert read.labels == {"en": ("Coat", "dress"), "es": ("Abrigo", "Vestido")}
    assert read.task.startswith("folder-2-classes-")
    assert read.pixel_shape == (3, 16, 16)


def test_the_folder_of_a_shops_photos_is_not_in_its_bundle(shop):
    for path in (shop / "bundle").iterdir():
        content = path.read_bytes()
        assert "María".encode() not in content
        assert str(shop.parent).encode() not in content


def test_the_bundle_of_a_shop_is_checked_on_its_photos_when_it_is_exported(shop, tmp_path, capsys):
    assert main(["export", str(shop), "--to", str(tmp_path / "out")]) == 0
    assert "it predicts as the run did on" in capsys.readouterr().out
