from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from prenda.data.datasets import content_identity, find
from prenda.data.photo_files import PhotoDataSet, PhotoFiles, PhotoSettings
from prenda.data.photo_layout import SPLITS
from prenda.data.photo_split import split_photos
from prenda.errors import DataError
from tests.data.photos import write_photo, write_shop, write_split_shop


def files_of(folder: Path, **settings) -> PhotoFiles:
    data_set = find("folder")
    assert isinstance(data_set, PhotoDataSet)
    return data_set.files(folder, PhotoSettings(**settings))


@pytest.fixture
def root(tmp_path) -> Path:
    """A folder that does not hold prenda's own folders."""
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def sizes(files: PhotoFiles) -> dict[str, list[int]]:
    return {name: [counts[split] for split in SPLITS] for name, counts in files.counts().items()}


def test_sub_folders_are_classes_and_each_split_has_the_same_share_of_them(root):
    files = files_of(write_shop(root, {"hat": 20, "coat": 40}))
    assert files.class_names == ("coat", "hat")
    assert sizes(files) == {"coat": [28, 6, 6], "hat": [14, 3, 3]}
    assert sorted(np.concatenate([files.splits[split] for split in SPLITS])) == list(range(60))


@pytest.mark.parametrize(("count", "expected"), [(3, [1, 1, 1]), (5, [3, 1, 1]), (10, [6, 2, 2])])
def test_few_photos_are_in_every_split(root, count, expected):
    assert sizes(files_of(write_shop(root, {"coat": count, "hat": count})))["hat"] == expected


def test_shares_are_those_of_the_settings(root):
    files = files_of(write_shop(root, {"coat": 20, "hat": 20}), val_share=0.1, test_share=0.4)
    assert sizes(files)["coat"] == [10, 2, 8]


def test_shares_that_leave_no_training_photos_are_refused(root):
    told = "data.val_share is 0.5 and data.test_share 0.5, which leaves no photos for training: give shares whose sum"
    with pytest.raises(DataError, match=re.escape(told)):
        files_of(write_shop(root, {"coat": 5, "hat": 5}), val_share=0.5, test_share=0.5)


def test_the_split_depends_on_the_seed_and_the_content_and_not_on_names(root):
    one = files_of(write_shop(root / "a", {"coat": 20, "hat": 20}))
    (root / "b").mkdir()
    for number, path in enumerate(reversed(one.paths)):
        target = root / "b" / path.parent.name / "more" / f"IMG {number}.JPG"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    renamed, other = files_of(root / "b"), files_of(root / "a", split_seed=1)
    assert renamed.content_hash == one.content_hash != other.content_hash
    assert renamed.digests == one.digests
    for split in SPLITS:
        assert np.array_equal(renamed.splits[split], one.splits[split])


def test_the_content_hash_changes_with_a_photo_and_with_its_class(root):
    before = files_of(write_shop(root, {"coat": 6, "hat": 6})).content_hash
    write_photo(root / "hat/000.jpg", seed=77)
    changed = files_of(root).content_hash
    (root / "hat/000.jpg").rename(root / "coat/000b.jpg")
    assert len({before, changed, files_of(root).content_hash}) == 3


def test_near_duplicates_stay_in_one_split(root):
    for label, name in enumerate(("coat", "hat")):
        for number in range(12):
            for copy in range(3):  # the same picture, saved at other qualities
                path = root / name / f"{number}-{copy}.jpg"
                write_photo(path, seed=1000 * label + number, quality=95 - 10 * copy)
    files = files_of(root)
    where = {files.names[i].partition("-")[0]: set[str]() for i in range(len(files.names))}
    for split in SPLITS:
        for index in files.splits[split].tolist():
            where[files.names[index].partition("-")[0]].add(split)
    assert len(where) == 24
    assert all(len(splits) == 1 for splits in where.values())
    assert (files.duplicates, files.leaks) == (72, 0)
    assert sizes(files)["coat"] == [30, 3, 3]


def test_a_group_larger_than_a_split_goes_to_training():
    labels, groups = np.zeros(12, dtype=np.int64), np.array([0] * 9 + [1, 2, 3])
    splits = split_photos(labels, groups, [str(n) for n in range(12)], ["coat"], (0.15, 0.15), seed=0)
    assert set(range(9)) <= set(splits["train"].tolist())
    assert [len(splits[split]) for split in ("val", "test")] == [1, 2] or len(splits["train"]) == 10


def test_a_class_with_too_few_photos_is_refused(root):
    told = (
        "Class 'hat' has 2 photos, but training, validation and test need one each: add photos until 3 of them differ, "
        "or drop the class with data.mapping. `prenda data check FOLDER` lists all."
    )
    with pytest.raises(DataError, match=re.escape(told)):
        files_of(write_shop(root, {"coat": 5, "hat": 2}))


def test_copies_of_one_photo_are_too_few(root):
    write_shop(root, {"coat": 5})
    for number in range(5):
        write_photo(root / "hat" / f"{number}.jpg", seed=500)
    with pytest.raises(
        DataError, match="Class 'hat' has 5 photos, 1 without near-duplicates, but training, validation"
    ):
        files_of(root)


@pytest.mark.parametrize("validation", ["validation", "val", "valid"])
def test_folders_of_splits_are_taken_as_they_are(root, validation):
    write_split_shop(root, train=4, scored=2)
    (root / "validation").rename(root / validation)
    shutil.copy(root / "train/hat/000.jpg", root / "test/hat/again.jpg")
    files = files_of(root)
    assert sizes(files) == {"coat": [4, 2, 2], "hat": [4, 2, 3]}
    assert files.leaks == 1
    for split, folder in zip(SPLITS, ("train", validation, "test"), strict=True):
        assert {files.names[index].split("/")[0] for index in files.splits[split].tolist()} == {folder}


@pytest.mark.parametrize(
    ("folders", "has"),
    [
        (["train/coat", "test/coat"], "test, train"),
        (["train/coat", "val/coat", "valid/coat", "test/coat"], "test, train, val, valid"),
        (["train/coat", "val/coat", "test/coat", "hat"], "hat, test, train, val"),
        (["coat", "test"], "coat, test"),
    ],
)
def test_some_of_the_splits_are_refused(root, folders, has):
    for name in folders:
        write_photo(root / name / "0.jpg", seed=0)
    told = (
        f"data.dir is {root}, which has the sub-folders {has}: give train, validation and test, all three and "
        "nothing beside them, or one sub-folder for each class, with its photos inside and none of these names."
    )
    with pytest.raises(DataError, match=re.escape(told)):
        files_of(root)


def test_a_class_that_lacks_in_a_split_is_named(root):
    write_split_shop(root, train=4, scored=2)
    shutil.rmtree(root / "validation/hat")
    told = f"data.dir is {root}, where class 'hat' has no photo in val that can be read: a class needs one at least"
    with pytest.raises(DataError, match=re.escape(told)):
        files_of(root)


def test_a_folder_without_classes_is_refused(root):
    with pytest.raises(
        DataError, match=r"which cannot be read \(No such file or directory\): give data.dir=… a folder"
    ):
        files_of(root / "nowhere")
    write_photo(root / "0.jpg", seed=0)
    with pytest.raises(DataError, match="which has no sub-folder: it needs one sub-folder for each class, with its"):
        files_of(root)
    (root / "coat").mkdir()
    with pytest.raises(DataError, match="where 'coat' is a folder without photos: put the photos of a class there, or"):
        files_of(root)
    write_photo(root / "coat/0.jpg", seed=0)
    with pytest.raises(DataError, match="whose photos are all of class 'coat': a classifier needs two or more classes"):
        files_of(root)


@pytest.mark.parametrize("folder", ["", "data"])
def test_a_run_without_the_folder_of_the_photos_is_refused(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("PRENDA_HOME", str(tmp_path))
    with pytest.raises(
        DataError, match=r"data.dir is .*, the folder of prenda's own files: give data.dir=… the folder"
    ):
        files_of(tmp_path / folder)


def spoil(folder: Path) -> None:
    (folder / "coat/broken.jpg").write_bytes((folder / "coat/000.jpg").read_bytes()[:200])
    (folder / "coat/notes.jpg").write_text("two of these are missing")
    (folder / "coat/gone.jpg").symlink_to(folder / "nowhere.jpg")


def test_unreadable_files_are_listed_and_skipped(root):
    spoil(write_shop(root, {"coat": 20, "hat": 20}))
    files = files_of(root)
    reasons = {one.name: one.reason for one in files.skipped}
    assert list(reasons) == ["coat/broken.jpg", "coat/gone.jpg", "coat/notes.jpg"]
    assert all(reasons.values())
    assert len(files.paths) == 40


def test_too_many_unreadable_files_are_refused(root):
    spoil(write_shop(root, {"coat": 20, "hat": 20}))
    told = (
        rf"data.dir is {root}, where 3 of 43 files cannot be read as photos \('coat/broken.jpg' .+\), but "
        r"data.max_unreadable is 0.05 of all: repair or remove them, or give data.max_unreadable=… a larger share."
    )
    with pytest.raises(DataError, match=told):
        files_of(root, max_unreadable=0.05)


def test_only_new_and_changed_files_are_read_again(root, monkeypatch):
    from prenda.data import photo_index

    write_shop(root, {"coat": 4, "hat": 4})
    read, original = list[str](), photo_index.read
    monkeypatch.setattr(photo_index, "read", lambda path: read.append(path.name) or original(path))
    files_of(root)
    assert len(read) == 8
    read.clear()
    write_photo(root / "hat/002.jpg", seed=5)
    write_photo(root / "hat/new.jpg", seed=6)
    files_of(root)
    assert sorted(read) == ["002.jpg", "new.jpg"]


def test_a_damaged_index_is_made_again(root):
    before = files_of(write_shop(root, {"coat": 4, "hat": 4})).content_hash
    (index,) = (root.parent / "home/data/cache").glob("index-*.json")
    for content in (b"", b"[]", b'{"version": 1, "photos": {"coat/000.jpg": [1]}}', b"\xff"):
        index.write_bytes(content)
        assert files_of(root).content_hash == before


def test_chosen_classes_have_labels_in_their_order(root):
    files = files_of(write_shop(root, {"coat": 5, "dress": 5, "hat": 5})).of_classes(["hat", "coat"])
    assert sizes(files) == {"hat": [3, 1, 1], "coat": [3, 1, 1]}


def test_fewer_training_photos_are_part_of_more(root):
    files = files_of(write_shop(root, {"coat": 20, "hat": 20}))
    few, more = (set(files.limited(limit, 0).splits["train"].tolist()) for limit in (5, 12))
    assert (len(few), len(more)) == (5, 12)
    assert few < more < set(files.splits["train"].tolist())
    with pytest.raises(DataError, match=r"data.limit_train is 29, but there are 28 training photos: give at most"):
        files.limited(29, 0)


def test_fewer_training_photos_are_stratified(root):
    files = files_of(write_shop(root, {"coat": 40, "hat": 20}))
    for limit in (3, 6, 12, 30):
        limited = files.limited(limit, 0)
        assert np.bincount(limited.labels[limited.splits["train"]]).tolist() == [limit * 2 // 3, limit // 3]


def test_a_sweep_knows_the_content_of_a_folder_and_of_a_mapping(root):
    write_shop(root / "shop", {"coat": 5, "dress": 5, "hat": 5})
    plain = content_identity("folder", root / "shop", PhotoSettings())
    assert plain == files_of(root / "shop").content_hash
    (root / "map.yaml").write_text("dress: coat\n")
    assert content_identity("folder", root / "shop", PhotoSettings(mapping=root / "map.yaml")) != plain
    assert content_identity("clothing", root, PhotoSettings()) is None
