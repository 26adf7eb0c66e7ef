from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from prenda.cli import main
from tests.data.photos import write_photo, write_shop


@pytest.fixture
def shop(tmp_path) -> Path:
    return write_shop(tmp_path / "shop", {"coat": 5, "hat": 5})


def test_the_photos_of_a_folder_are_counted(shop, capsys):
    assert main(["data", "fetch", "folder", "--dir", str(shop)]) == 0
    told = f"folder: 6 training, 2 validation and 2 test photos of 2 classes, 0 unreadable, in {shop}"
    assert told in capsys.readouterr().out


def test_random_photos_of_each_class_are_drawn(shop, tmp_path, capsys):
    picture = tmp_path / "samples.png"
    assert main(["data", "show", "folder", "--dir", str(shop), "--samples", "3", "--output", str(picture)]) == 0
    assert capsys.readouterr().out.strip() == str(picture)
    with Image.open(picture) as drawn:
        assert drawn.width > drawn.height / 2


def test_more_samples_than_a_class_has_are_refused(shop, capsys):
    assert main(["data", "show", "folder", "--dir", str(shop)]) == 2
    assert "--samples is 12: give at least 1 and at most 3, the images of the smallest" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["show", "fetch"])
def test_your_own_photos_need_their_folder(action, capsys):
    assert main(["data", action, "folder"]) == 2
    assert "folder is the data set of your own photos: give --dir the folder that holds" in capsys.readouterr().err


def test_a_folder_is_checked_before_training(shop, capsys):
    write_photo(shop / "dress/0.jpg", seed=500)
    (shop / "coat/copy.jpg").write_bytes((shop / "dress/0.jpg").read_bytes())
    (shop / "hat/cut\n.jpg").write_bytes((shop / "hat/000.jpg").read_bytes()[:200])
    assert main(["data", "check", str(shop)]) == 0
    printed = capsys.readouterr().out
    assert f"{shop}: 12 photos" in printed
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]
    rows = {name: values for name, *values in cells}
    assert rows["coat"] == ["6", "6", "0", ""]
    assert rows["dress"] == ["1", "1", "0", "needs at least 3"]
    assert rows["hat"] == ["5", "5", "1", ""]
    assert r"'hat/cut\n.jpg' is cut off" in printed
    assert "'coat/copy.jpg', 'dress/0.jpg'" in printed


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["data", "fetch", "folder", "--dir", "FOLDER"],
            "--dir is FOLDER, which cannot be read .*: give --dir a folder",
        ),
        (
            ["data", "check", "FOLDER"],
            "FOLDER is .*, which cannot be read .*: give FOLDER a folder with one sub-folder",
        ),
    ],
)
def test_errors_name_the_argument_of_the_command(words, text, tmp_path, capsys):
    absent = str(tmp_path / "absent")
    assert main([absent if word == "FOLDER" else word for word in words]) == 2
    told = capsys.readouterr().err
    assert re.search(text.replace("--dir is FOLDER", f"--dir is {absent}"), told)
    assert "data.dir" not in told


def test_missing_files_are_asked_for_by_the_option(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("prenda.data.idx_files.IdxDataSet._fetch_absent", lambda *_: None)
    assert main(["data", "show", "mnist", "--dir", str(tmp_path)]) == 2
    assert "or give --dir the folder that holds it." in capsys.readouterr().err
