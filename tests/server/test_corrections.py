"""POST /corrections: photos kept in the layout that `data=folder` trains on."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from prenda.data.photo_layout import labelled_files
from prenda.server.corrections import Corrections
from prenda.server.options import Options
from tests.photos.pictures import encoded, exif, scene
from tests.server.conftest import jpeg


@pytest.fixture
def keeping(serve, tmp_path):
    return serve(keep_corrections=tmp_path / "kept")


def correct(client, kind: str, photo: bytes | None = None):
    return client.post("/corrections", files={"photo": ("IMG 1.jpg", photo or jpeg())}, data={"type": kind})


def files(tmp_path) -> list[str]:
    return sorted(str(path.relative_to(tmp_path / "kept")) for path in (tmp_path / "kept").rglob("*.jpg"))


def test_a_server_keeps_nothing_unless_it_is_told_to(client):
    response = correct(client, "Dress")

    assert (response.status_code, response.json()["error"]["code"]) == (404, "keeps_no_corrections")


def test_a_correction_is_kept_once_and_moves(keeping, tmp_path):
    first = correct(keeping, "Dress").json()
    again = correct(keeping, "dress").json()
    assert files(tmp_path) == [f"Dress/{first['photo']}.jpg"]
    assert (again["type"], again["moved_from"]) == ("Dress", None)

    moved = correct(keeping, "nightgown")

    assert moved.status_code == 201
    assert moved.json() == {"type": "nightgown", "photo": first["photo"], "moved_from": "Dress"}
    assert files(tmp_path) == [f"nightgown/{first['photo']}.jpg"]
    assert not (tmp_path / "kept/Dress").exists()  # data=folder refuses a class without photos


@pytest.mark.parametrize(
    ("given", "folder"),
    [
        ("T-shirt/top", "T-shirt-top"),
        ("Camiseta", "T-shirt-top"),
        (" vestido ", "Dress"),
        ("camisón de niña", "camisón de niña"),
        ("R&B-shirt_2", "R&B-shirt_2"),
    ],
)
def test_types_become_folders(keeping, tmp_path, given, folder):
    assert correct(keeping, given).json()["type"] == folder
    assert files(tmp_path)[0].startswith(f"{folder}/")


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "/etc",
        ".hidden",
        "a.b",
        "x\0y",
        "x\ny",
        "train",
        "Test",
        "con",
        "-",
        "x" * 61,
    ],
)
def test_what_is_no_name_of_a_type(keeping, tmp_path, given):
    response = correct(keeping, given)

    assert (response.status_code, response.json()["error"]["code"]) == (422, "wrong_type")
    assert not (tmp_path / "kept").exists()


def test_a_form_without_a_type_or_with_a_bad_photo(keeping, tmp_path):
    assert keeping.post("/corrections", files={"photo": ("a.jpg", jpeg())}).json()["error"]["code"] == "wrong_type"
    response = correct(keeping, "Dress", b"%PDF-1.7\n")
    assert response.status_code == 422
    assert response.json()["error"]["es"] == "La foto es un documento PDF, no una imagen."
    assert not (tmp_path / "kept").exists()


def test_metadata_is_left_out_and_the_photo_is_upright(keeping, tmp_path):
    sent = encoded(scene(60, 40), "JPEG", exif=exif(6), quality=95) + b"GPS of nobody"

    correct(keeping, "Dress", sent)

    content = (tmp_path / "kept" / files(tmp_path)[0]).read_bytes()
    with Image.open(io.BytesIO(content)) as kept:
        assert (kept.size, dict(kept.getexif())) == ((40, 60), {})
        assert kept.convert("RGB").getpixel((1, 1))[2] > 150  # the blue corner, which was below, is on top
    assert not any(word in content for word in (b"Exif", b"Camera of nobody", b"GPS"))


def test_a_large_photo_is_kept_smaller(keeping, tmp_path):
    correct(keeping, "Dress", encoded(scene(5000, 2500), "JPEG"))

    with Image.open(tmp_path / "kept" / files(tmp_path)[0]) as kept:
        assert kept.size == (2048, 1024)


def test_disk_space_is_limited(serve, tmp_path):
    client = serve(keep_corrections=tmp_path / "kept", keep_at_most=0.001)

    assert correct(client, "Dress").status_code == 201
    response = correct(client, "Dress", jpeg("Bag"))

    assert (response.status_code, response.json()["error"]["code"]) == (413, "no_room")
    assert correct(client, "Bag").json()["moved_from"] == "Dress"  # a change needs no room


def test_what_a_killed_server_had_begun_is_deleted_at_its_next_start(tmp_path):
    kept = tmp_path / "kept"
    for path in ("Dress/a.jpg", "Dress/b.jpg.part", "Bag/c.jpg.part"):
        (kept / path).parent.mkdir(parents=True, exist_ok=True)
        (kept / path).write_bytes(jpeg())
    (kept / "sandal").mkdir()
    Corrections(kept, Options()).tidy()
    assert sorted(path.relative_to(kept).as_posix() for path in kept.rglob("[!.]*")) == ["Dress", "Dress/a.jpg"]
    Corrections(tmp_path / "none", Options()).tidy()
    assert not (tmp_path / "none").exists()


def test_kept_corrections_are_a_data_set(keeping, tmp_path):
    for kind, garment in (("Dress", "Dress"), ("Bag", "Bag"), ("sandal", "T-shirt/top")):
        for side in range(20, 26):
            correct(keeping, kind, jpeg(garment, side))

    found = labelled_files(tmp_path / "kept")

    assert {(file.class_name, file.split, file.problem) for file in found} == {
        ("Bag", None, None),
        ("Dress", None, None),
        ("sandal", None, None),
    }
    assert len(found) == 18
