import io
import os
import sys
from pathlib import Path

import pytest

from prenda.photos.find import find, natural_key, shown


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode(errors="surrogateescape"))


def names(folder: Path, *arguments: str) -> list[str]:
    return [str(found.path.relative_to(folder)) for found in find([str(folder / a) for a in arguments])]


def test_folders_are_searched_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, "photo 10.jpg", "photo 2.JPG", "b/1.png", "a/x.webp", "Z.tiff")

    assert names(tmp_path, "") == ["a/x.webp", "b/1.png", "photo 2.JPG", "photo 10.jpg", "Z.tiff"]


def test_folders_skip_hidden_files_and_other_extensions(tmp_path: Path) -> None:
    touch(tmp_path, ".hidden.jpg", ".cache/a.jpg", "notes.txt", "Thumbs.db", "noextension", "shoe.jpg")

    assert names(tmp_path, "") == ["shoe.jpg"]


def test_formats_that_cannot_be_read_are_not_lost_in_silence(tmp_path: Path) -> None:
    touch(tmp_path, "phone.HEIC")

    assert names(tmp_path, "") == ["phone.HEIC"]


@pytest.mark.parametrize("name", ["notes.txt", ".hidden.jpg", "noextension"])
def test_named_files_are_tried_whatever_they_are(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name)

    assert names(tmp_path, name) == [name]


def test_patterns_find_photos_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, "a10.jpg", "a9.jpg", "a.txt", "a", ".a.jpg", "sub/a1.jpg", "sub/deep/a2.jpg", ".git/a.jpg")

    assert names(tmp_path, "a*") == ["a9.jpg", "a10.jpg"]
    assert names(tmp_path, "*.txt") == ["a.txt"]
    assert names(tmp_path, ".a*") == [".a.jpg"]
    assert names(tmp_path, ".git/*.jpg") == [".git/a.jpg"]
    assert names(tmp_path, "**/*.jpg") == ["a9.jpg", "a10.jpg", "sub/a1.jpg", "sub/deep/a2.jpg"]
    assert names(tmp_path, "s?b") == ["sub/a1.jpg", "sub/deep/a2.jpg"]
    touch(tmp_path, *(f"{number}.png" for number in (3, 20, 1, 100, 2)))
    assert names(tmp_path, "*.png") == ["1.png", "2.png", "3.png", "20.png", "100.png"]


def test_relative_patterns_are_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.jpg")
    monkeypatch.chdir(tmp_path)

    assert [found.path for found in find(["*.jpg", "./a.jpg"])] == [Path("a.jpg")]


def test_a_file_named_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    touch(tmp_path, "[1].jpg", "1.jpg")

    assert names(tmp_path, "[1].jpg") == ["[1].jpg"]


def test_each_file_is_found_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "link.jpg").symlink_to("a.jpg")

    assert names(tmp_path, "b.jpg", "", "*.jpg", "b.jpg") == ["b.jpg", "a.jpg"]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    touch(tmp_path, "a/a.jpg")
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)

    assert names(tmp_path, "") == ["a/a.jpg"]


def error_of(argument: str | Path) -> str | None:
    (found,) = find([str(argument)])
    return found.error


def test_problems_are_found_without_opening(tmp_path: Path) -> None:
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "empty").mkdir()
    touch(tmp_path, "a.jpg")

    assert error_of(tmp_path / "a.jpg") is None
    assert error_of(tmp_path / "dangling.jpg") == "is a link to a file that does not exist"
    assert error_of(tmp_path / "loop.jpg") == "cannot be read: Too many levels of symbolic links"
    assert error_of(tmp_path / "missing.jpg") == "does not exist"
    assert error_of(tmp_path / "a.jpg" / "b.jpg") == "cannot be read: Not a directory"
    assert error_of(tmp_path / "empty") == "is a folder without photos"
    assert error_of(tmp_path / "*.png") == "matches no photo"
    assert error_of(tmp_path / "**.png") == "matches no photo"
    assert "embedded null" in error_of("a\0b.jpg")  # Python's text, which its versions word differently
    assert error_of("x" * 5000) == "cannot be read: File name too long"


def test_dangling_links_in_folders_are_reported(tmp_path: Path) -> None:
    (tmp_path / "dangling.jpg").symlink_to("nowhere")

    assert error_of(tmp_path) == "is a link to a file that does not exist"


def test_every_argument_without_a_photo_is_reported() -> None:
    assert [found.name for found in find(["a.jpg", "b.jpg"])] == ["a.jpg", "b.jpg"]


def test_files_and_folders_without_permission_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.jpg", "b/c.jpg")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read everything
    assert error_of(tmp_path / "a.jpg") == "may not be read: give yourself permission"

    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    assert error_of(tmp_path) == "is a folder that cannot be read: Permission denied"


ODD_NAMES = ["new\nline.jpg", 'it\'s "quoted".jpg', "camión ñ.jpg", "-rf.jpg", " space .jpg", "tab\t.jpg", "$(x).jpg"]


def test_odd_names_are_found_and_shown_on_one_line(tmp_path: Path) -> None:
    touch(tmp_path, *ODD_NAMES, "bytes\udcff.jpg")

    found = {str(item.path.relative_to(tmp_path)): item.name for item in find([str(tmp_path)])}

    assert sorted(found) == sorted([*ODD_NAMES, "bytes\udcff.jpg"])
    assert all(name.isprintable() for name in found.values())
    assert found["new\nline.jpg"].endswith("new\\nline.jpg")
    assert found["camión ñ.jpg"].endswith("camión ñ.jpg")
    assert found["bytes\udcff.jpg"].endswith("bytes\\xff.jpg")


def test_right_to_left_marks_are_escaped() -> None:
    assert shown(Path("a\u202egpj.exe")) == "a\\u202egpj.exe"


def listed(monkeypatch: pytest.MonkeyPatch, content: bytes) -> list[str]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    return [found.path.name for found in find(["-"])]


def test_standard_input_lists_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.jpg", "b c.jpg", "new\nline.jpg", "bytes\udcff.jpg", "d/e.png")
    monkeypatch.chdir(tmp_path)

    assert listed(monkeypatch, b"b c.jpg\r\na.jpg\n\nd") == ["b c.jpg", "a.jpg", "e.png"]
    assert listed(monkeypatch, b"new\nline.jpg\0bytes\xff.jpg\0") == ["new\nline.jpg", "bytes\udcff.jpg"]
    assert listed(monkeypatch, b"return\r\0") == ["return\r"]
    assert listed(monkeypatch, b"") == []


def test_natural_order_takes_numbers_by_value() -> None:
    unsorted = ["a10", "A2", "a1b20", "a1b3", "b", "9" * 5000, "1"]

    assert sorted(unsorted, key=natural_key) == ["1", "9" * 5000, "a1b3", "a1b20", "A2", "a10", "b"]
