from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from prenda.config.paths import CONFIG_DIR
from prenda.data.datasets import content_identity, find, names
from prenda.errors import DataError

OWN = """
from dataclasses import dataclass
from pathlib import Path
import torch
from prenda.data.contract import CardText, DataSet, LabelledImages

class Own(DataSet):
    def load(self, data_dir: Path) -> LabelledImages:
        pixels = torch.frombuffer(bytearray((data_dir / "pixels").read_bytes()), dtype=torch.uint8).view(2, 1, 2, 2)
        return LabelledImages(self.class_names, pixels, torch.arange(2), pixels, torch.arange(2))

DATA_SET = Own(("hat", "scarf"), CardText("Mine.", "Nothing."))
"""


@pytest.mark.parametrize("name", names())
def test_every_data_set_has_a_configuration_of_its_name(name):
    assert OmegaConf.load(CONFIG_DIR / "data" / f"{name}.yaml").name == name
    data_set = find(name)
    # The names of your own classes are those of their folders.
    assert len(set(data_set.class_names)) == len(data_set.class_names) != 1
    assert bool(data_set.class_names) == (name != "folder")
    for text in (data_set.card.description, data_set.card.intended_use, *data_set.card.limits):
        assert text.endswith(".")


def test_every_configuration_has_a_data_set():
    assert sorted(path.stem for path in (CONFIG_DIR / "data").glob("*.yaml")) == names()


@pytest.mark.parametrize("name", ["imagenet", "", "os", "..idx_files", "fashion_mnist.DATA_SET"])
def test_another_name_is_refused_with_the_valid_ones(name):
    with pytest.raises(DataError) as error:
        find(name)
    assert str(error.value) == f"data.name is {name!r}: choose one of {', '.join(names())}."


def test_a_module_among_them_is_a_data_set(add, tmp_path):
    before = names()
    add(OWN)
    assert names() == sorted([*before, "own"])
    (tmp_path / "pixels").write_bytes(bytes(range(8)))
    assert find("own").load(tmp_path).train_images.flatten().tolist() == list(range(8))


@pytest.mark.parametrize("source", ["", "DATA_SET = 3"])
def test_a_module_that_defines_no_data_set_is_named(add, source, tmp_path):
    add(source)
    with pytest.raises(DataError, match=r"data.name is 'own', but .*/own.py defines no data set: assign DATA_SET"):
        find("own")


def test_a_data_set_is_found_without_the_others_and_its_texts_without_torch():
    script = (
        "import sys; from prenda.data.datasets import find; find(sys.argv[1]).card; "
        "print([name for name in sys.modules if name == 'torch' or name.startswith('prenda.data.datasets.')])"
    )
    done = subprocess.run([sys.executable, "-c", script, "kmnist"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['prenda.data.datasets.kmnist']"


@pytest.mark.parametrize("name", sorted({*names()} - {"folder"}))
def test_a_name_that_fixes_the_images_needs_no_other_identity(name, tmp_path):
    assert content_identity(name, tmp_path / "nowhere") is None


def test_images_of_ones_own_are_known_by_their_content(add, tmp_path):
    add(OWN)
    folders = [tmp_path / "one", tmp_path / "copy", tmp_path / "other"]
    for folder, content in zip(folders, [bytes(8), bytes(8), bytes([1] * 8)], strict=True):
        folder.mkdir()
        (folder / "pixels").write_bytes(content)
    one, copy, other = (content_identity("own", folder) for folder in folders)
    assert one == copy == find("own").load(folders[0]).content_hash
    assert other not in (one, None)
    (folders[0] / "pixels").write_bytes(bytes([1] * 8))
    assert content_identity("own", folders[0]) == other


def test_files_are_fetched_before_they_are_identified(add, tmp_path):
    fetching = "    def fetch(self, data_dir: Path) -> None:\n        (data_dir / 'pixels').write_bytes(bytes(8))\n\n"
    add(OWN.replace("    def load", fetching + "    def load"))
    assert content_identity("own", tmp_path) == find("own").load(tmp_path).content_hash


def test_the_identity_of_a_data_set_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"data.name is 'imagenet': choose one of"):
        content_identity("imagenet", tmp_path)
