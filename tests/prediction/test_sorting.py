from __future__ import annotations

import os
import time

import pytest

from prenda.prediction import sorting
from prenda.prediction.sorting import Sorter

LABELS = ("T-shirt/top", "Dress")


def sorter(tmp_path, **options) -> Sorter:
    return Sorter(tmp_path / "sorted", LABELS, "unsure", **options)


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()
    }


def written(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def test_photos_are_copied_into_a_folder_for_each_type(tmp_path):
    photo = written(tmp_path / "in/a.jpg", "a")
    os.utime(photo, (1e9, 1e9))
    sorter(tmp_path).place(photo, "T-shirt/top")
    copy = sorter(tmp_path).place(written(tmp_path / "in/b.jpg", "b"), None)
    assert files(tmp_path / "sorted") == {"T-shirt-top/a.jpg": "a", "unsure/b.jpg": "b"}
    assert files(tmp_path / "in") == {"a.jpg": "a", "b.jpg": "b"}
    assert copy == tmp_path / "sorted/unsure/b.jpg"
    assert (tmp_path / "sorted/T-shirt-top/a.jpg").stat().st_mtime == 1e9


def test_sorting_again_adds_nothing_and_names_that_clash_are_numbered(tmp_path):
    photos = [written(tmp_path / f"in/{place}/a.jpg", place) for place in "xyz"]
    for _ in range(2):
        for photo in photos:
            sorter(tmp_path).place(photo, "Dress")
    assert files(tmp_path / "sorted") == {"Dress/a.jpg": "x", "Dress/a (2).jpg": "y", "Dress/a (3).jpg": "z"}


def test_nothing_is_overwritten(tmp_path):
    mine = written(tmp_path / "sorted/Dress/a.jpg", "mine")
    (tmp_path / "sorted/Dress/a (2).jpg").symlink_to("nowhere")
    sorter(tmp_path).place(written(tmp_path / "in/a.jpg", "new"), "Dress")
    assert mine.read_text("utf-8") == "mine"
    assert (tmp_path / "sorted/Dress/a (3).jpg").read_text("utf-8") == "new"


def test_links_point_to_the_photos_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo = written(tmp_path / "in/a.jpg", "a").relative_to(tmp_path)
    for _ in range(2):
        link = sorter(tmp_path, link=True).place(photo, "Dress")
    assert link.is_symlink()
    assert files(tmp_path / "sorted") == {"Dress/a.jpg": "a"}


def test_a_class_that_is_called_unsure_keeps_a_folder_of_its_own(tmp_path):
    both = Sorter(tmp_path / "sorted", ("Unsure", "unsure"), "unsure")
    for label in ("Unsure", "unsure", None):
        both.place(written(tmp_path / "a.jpg", "a"), label)
    assert set(files(tmp_path / "sorted")) == {"unsure/a.jpg", "Unsure (2)/a.jpg", "unsure (3)/a.jpg"}


def test_a_photo_that_was_sorted_before_lies_in_the_folder(tmp_path):
    own = sorter(tmp_path)
    inside = own.place(written(tmp_path / "in/a.jpg", "a"), "Dress")
    assert own.holds(inside)
    assert not own.holds(tmp_path / "in/a.jpg")


def test_a_file_system_without_hard_links_will_do(tmp_path, monkeypatch):
    def refuse(self, target):
        raise PermissionError("no hard links here")

    monkeypatch.setattr(sorting.Path, "hardlink_to", refuse)
    for content in ("x", "y"):
        sorter(tmp_path).place(written(tmp_path / f"{content}/a.jpg", content), "Dress")
    assert files(tmp_path / "sorted") == {"Dress/a.jpg": "x", "Dress/a (2).jpg": "y"}


def test_a_name_that_another_process_takes_is_not_overwritten(tmp_path, monkeypatch):
    photo = written(tmp_path / "in/a.jpg", "a")
    free = [False, True]  # the first look finds the name free, though it is taken
    monkeypatch.setattr(sorting, "_occupied", lambda path: False if free and not free.pop(0) else path.exists())
    written(tmp_path / "sorted/Dress/a.jpg", "theirs")
    sorter(tmp_path).place(photo, "Dress")
    assert files(tmp_path / "sorted") == {"Dress/a.jpg": "theirs", "Dress/a (2).jpg": "a"}


def test_a_copy_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(FileNotFoundError):
        sorter(tmp_path).place(tmp_path / "gone.jpg", "Dress")
    assert files(tmp_path / "sorted") == {}


def test_copies_that_a_killed_command_left_incomplete_are_deleted_after_an_hour(tmp_path, monkeypatch):
    left, photo = written(tmp_path / "sorted/Dress/.prenda-x", "half"), written(tmp_path / "in/a.jpg", "a")
    sorter(tmp_path).place(photo, "Dress")
    assert left.exists()  # another command may be writing it
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + 3601)
    sorter(tmp_path).place(photo, "Dress")
    assert files(tmp_path / "sorted") == {"Dress/a.jpg": "a"}


def test_many_photos_of_one_name_are_sorted_in_any_order(tmp_path):
    photos = [written(tmp_path / f"in/{number}/1.jpg", str(number)) for number in range(200)]
    for order in (photos, photos[::-1], photos[50:60]):
        own = sorter(tmp_path)
        for photo in order:
            own.place(photo, "Dress")
    assert sorted(files(tmp_path / "sorted").values()) == sorted(map(str, range(200)))
