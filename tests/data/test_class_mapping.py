from __future__ import annotations

import re
from pathlib import Path

import pytest

from prenda.data.class_mapping import EXAMPLE, read_mapping
from prenda.data.datamodule import ImageDataModule
from prenda.data.datasets import find
from prenda.data.photo_files import PhotoDataSet, PhotoSettings
from prenda.errors import DataError
from tests.data.photos import write_shop


def mapped(folder: Path, text: str):
    (folder / "classes.yaml").write_text(text, encoding="utf-8")
    data_set = find("folder")
    assert isinstance(data_set, PhotoDataSet)
    return data_set.files(folder / "shop", PhotoSettings(mapping=folder / "classes.yaml"))


@pytest.fixture
def shop(tmp_path) -> Path:
    write_shop(tmp_path / "shop", {"coat": 5, "dress": 5, "hat": 5, "shoe": 2})
    return tmp_path


def test_classes_are_merged_renamed_and_dropped(shop):
    files = mapped(shop, "coat: Outerwear\ndress: Outerwear\nshoe: null\n")
    assert files.counts() == {
        "Outerwear": {"train": 6, "val": 2, "test": 2},
        "hat": {"train": 3, "val": 1, "test": 1},
    }
    assert not files.translations


def test_names_in_another_language_are_kept(shop):
    files = mapped(shop, "coat: {name: Coat, es: Abrigo}\ndress: {es: Vestido}\nshoe: null\n")
    assert files.class_names == ("Coat", "dress", "hat")
    assert files.translations == {"es": ("Abrigo", "Vestido", "hat")}
    assert files.of_classes(["hat", "Coat"]).translations == {"es": ("hat", "Abrigo")}


def test_an_unknown_class_is_refused(shop):
    told = f"data.mapping is {shop / 'classes.yaml'}, which names 'hats', but the classes are coat, dress, hat, shoe:"
    with pytest.raises(DataError, match=re.escape(told)):
        mapped(shop, "hats: Hat\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "which has no lines of classes: give " + EXAMPLE),
        ("- coat\n", "which has no lines of classes: give " + EXAMPLE),
        ("coat: [a\n", "which is no YAML (while parsing"),
        ("coat: 3\n", "whose line 'coat': 3 is invalid: give "),
        ("coat: ''\n", "whose line 'coat': '' is invalid"),
        ("no: coat\n", "whose line False: 'coat' is invalid"),
        ("coat: {name: null, es: Abrigo}\n", "whose line 'coat': {'es': 'Abrigo', 'name': None} is invalid"),
        ("coat: {name: A, es: Uno}\ndress: {name: A, es: Dos}\n", "which gives 'A' two names in 'es', 'Uno' and 'Dos'"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_refused(shop, text, told):
    with pytest.raises(DataError, match=re.escape(f"data.mapping is {shop / 'classes.yaml'}, {told}")):
        mapped(shop, text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"data.mapping is .*nowhere.yaml, which cannot be read \(No such file"):
        read_mapping(tmp_path / "nowhere.yaml")


def test_other_data_sets_have_no_mapping(tmp_path):
    data = ImageDataModule("generated", tmp_path, photos=PhotoSettings(mapping=tmp_path / "map.yaml"))
    with pytest.raises(
        DataError, match=r"data.mapping is .*map.yaml, but generated is no data set of photos in folders"
    ):
        data.setup()
