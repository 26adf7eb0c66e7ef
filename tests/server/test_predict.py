"""POST /predict: the answers of `prenda predict`, over HTTP."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prenda import cli
from prenda.bundle.format import DESCRIPTION, checksum
from prenda.photos.preparation import Preparation
from prenda.photos.prepare import load
from tests.photos.pictures import encoded, exif, png, scene
from tests.prediction.bundles import PAD, photo, write_bundle, write_old_bundle
from tests.server.conftest import jpeg


def kinds_of_photo() -> dict[str, bytes]:
    """Return files of every kind that predict knows, good and bad, by name."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8))
    red, big = Image.new("RGBA", (40, 40), (255, 0, 0, 128)), scene(1600, 1200)
    return {
        "plain.jpg": encoded(noise, "JPEG"),
        "dress.jpg": jpeg("Dress"),
        "large.jpeg": encoded(big, "JPEG"),
        "turned.jpg": encoded(scene(), "JPEG", exif=exif(6)),
        "wrong name.png": encoded(scene(), "JPEG"),
        "half transparent.png": encoded(red, "PNG"),
        "grey.png": encoded(Image.new("L", (40, 40), 90), "PNG"),
        "deep.tif": encoded(Image.new("I;16", (40, 40), 30000), "TIFF"),
        "animated.gif": encoded(scene(), "GIF", save_all=True, append_images=[Image.new("RGB", (60, 40))]),
        "web.webp": encoded(scene(), "WEBP"),
        "old.bmp": encoded(scene(), "BMP"),
        "portable.ppm": encoded(scene(), "PPM"),
        "cut.jpg": encoded(noise, "JPEG")[:800],
        "empty.jpg": b"",
        "text.txt.jpg": b"hello, shop\n",
        "document.jpg": b"%PDF-1.7\n",
        "photo.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "bomb.png": png(20000, 20000),
        "tiny.png": encoded(scene(1, 1), "PNG"),
        "narrow.png": encoded(scene(4000, 10), "PNG"),
        "invisible.png": encoded(Image.new("RGBA", (20, 20)), "PNG"),
        "damaged.png": encoded(scene(), "PNG").replace(b"IDAT", b"IDOT"),
    }


BUNDLES = {
    "photos": lambda folder: write_bundle(folder, PAD),
    "novelty": lambda folder: write_bundle(folder, PAD, unsure={"confidence": 0.5, "novelty": 100.0}),
    "thumbnails": lambda folder: write_bundle(folder, Preparation("thumbnail", 28, 1), image_shape=[1, 28, 28]),
    "format 1": write_old_bundle,
}


@pytest.mark.parametrize("kind", BUNDLES)
@pytest.mark.parametrize("language", ["en", "es"])
def test_the_server_answers_as_predict_does(serve, tmp_path, kind, language, capsys):
    if kind == "format 1" and language == "es":
        pytest.skip("a bundle of format 1 has English names only")
    kinds = kinds_of_photo()
    for name, content in kinds.items():
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(content)
    model = BUNDLES[kind](tmp_path / "model")
    client = serve(model=str(model))

    output = tmp_path / "answers.json"
    cli.main(["predict", "--model", str(model), "--top", "3", "--labels", language, "--output", str(output),
              *(str(tmp_path / "photos" / name) for name in kinds)])  # fmt: skip
    expected = {Path(row["photo"]).name: row for row in json.loads(output.read_text("utf-8"))}
    sent = [("photos", (name, content)) for name, content in kinds.items()]
    answered = client.post("/predict?top=3", files=sent).json()["answers"]

    assert [answer["photo"] for answer in answered] == list(kinds)
    for answer in answered:
        row = expected[answer["photo"]]
        if row["error"] is not None:
            assert answer["error"][language] == row["error"]
            continue
        assert [(guess["labels"][language], guess["probability"]) for guess in answer["guesses"]] == [
            (guess["garment"], guess["confidence"]) for guess in row["guesses"]
        ]
        assert answer["unsure"] == (row["unsure"] is not None)
        assert (answer["reason"] and answer["reason"][language]) == row["unsure"]
        assert [warning[language] for warning in answer["warnings"]] == row["warnings"]
        assert answer["type"] == (None if answer["unsure"] else answer["guesses"][0]["type"])


def test_an_answer_says_which_model_gave_it(client, bundle):
    answer = client.post("/predict", files={"photos": ("a.jpg", jpeg())}).json()

    assert answer["model"] == {
        "name": "colours",
        "version": checksum(bundle / DESCRIPTION)[:12],
        "registry_version": None,
        "input": {"height": 16, "width": 16, "channels": 3},
    }
    assert answer["milliseconds"] > 0
    assert answer["answers"][0]["guesses"][0] == {
        "type": "Dress",
        "labels": {"en": "Dress", "es": "Vestido"},
        "probability": 1.0,
    }


@pytest.mark.parametrize("media", ["image/jpeg", "image/png; charset=x", "application/octet-stream"])
def test_a_photo_may_be_the_body(client, media):
    answer = client.post("/predict?top=1", content=jpeg("Bag"), headers={"content-type": media}).json()

    assert answer["answers"][0]["type"] == "Bag"
    assert len(answer["answers"][0]["guesses"]) == 1


def test_no_readable_photo_is_an_error_with_the_same_body(client):
    response = client.post("/predict", files=[("photos", ("a.jpg", b"")), ("photos", ("b.jpg", b"text"))])

    assert response.status_code == 422
    assert [answer["error"]["code"] for answer in response.json()["answers"]] == ["empty", "text"]


def test_the_picture_is_what_the_network_saw(client):
    sent = encoded(scene(50, 30), "PNG")

    answer = client.post("/predict?picture=true", files={"photos": ("a.png", sent)}).json()["answers"][0]

    picture = Image.open(io.BytesIO(base64.b64decode(answer["picture"].removeprefix("data:image/png;base64,"))))
    assert np.array_equal(np.asarray(picture).transpose(2, 0, 1), load(sent, PAD).pixels)


def test_names_are_base_names(client):
    names = ["C:\\Users\\ana\\foto.jpg", "../../etc/passwd", "señora.jpg"]
    answers = client.post("/predict", files=[("photos", (name, jpeg())) for name in names]).json()["answers"]

    assert [answer["photo"] for answer in answers] == ["foto.jpg", "passwd", "señora.jpg"]


def test_the_limit_of_pixels_is_a_setting(serve):
    answer = serve(max_pixels=1000).post("/predict", files={"photos": ("a.jpg", jpeg())}).json()["answers"][0]

    assert answer["error"]["code"] == "too_many_pixels"
    assert answer["error"]["es"].startswith("declara más píxeles que el límite de 0.001")


def test_the_model_is_described(client):
    assert client.get("/model").json() == {
        **client.get("/readyz").json()["model"],
        "types": [
            {"type": "T-shirt/top", "labels": {"en": "T-shirt/top", "es": "Camiseta"}},
            {"type": "Dress", "labels": {"en": "Dress", "es": "Vestido"}},
            {"type": "Bag", "labels": {"en": "Bag", "es": "Bolso"}},
        ],
        "thresholds": {"confidence": 0.9, "energy": -5.0},
        "keeps_corrections": False,
        "needs_token": False,
    }


def test_photos_of_a_path_are_not_read(client, tmp_path):
    secret = photo(tmp_path / "secret.jpg")

    response = client.post("/predict", files={"photos": ("a.jpg", str(secret).encode())})

    assert response.json()["answers"][0]["error"]["code"] == "text"
