from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from prenda.bundle.format import read
from prenda.errors import PhotoError
from prenda.photos.preparation import Preparation
from prenda.prediction.explain import Explainer, occlusion, overlay
from prenda.prediction.predictor import Predictor
from tests.prediction.bundles import PAD, photo, write_bundle


def spot(size: int) -> np.ndarray:
    """A black picture with a green spot in its upper left corner."""
    pixels = np.zeros((3, size, size), np.uint8)
    pixels[1, : size // 4, : size // 4] = 255
    return pixels


@pytest.fixture
def predictor(tmp_path):
    return Predictor(read(write_bundle(tmp_path / "bundle")))


def test_covering_what_the_answer_rests_on_lowers_its_probability(predictor):
    drop = occlusion(predictor, spot(16))
    assert drop.shape == (16, 16)
    assert drop[:3, :3].min() > 10 * abs(drop[8:, 8:]).max()


@pytest.mark.parametrize("size", [15, 16, 17])
def test_every_pixel_is_covered(size):
    def brightness(pixels):
        share = pixels.mean(axis=(1, 2, 3), dtype=np.float32) / 255
        return np.stack([share, 1 - share], axis=1), None

    drop = occlusion(brightness, np.full((1, size, size), 255, np.uint8))
    assert (drop > 0).all()


def test_the_overlay_is_red_where_the_network_looked():
    drop = np.zeros((16, 16), np.float32)
    drop[:4, :4] = 0.5
    red, green, _ = np.asarray(overlay(spot(16), drop))[0, 0]
    assert (red, green) == (230, 0)
    assert len(set(np.asarray(overlay(spot(16), drop))[9, 9])) == 1


def test_one_picture_is_written_for_each_photo(predictor, tmp_path):
    photos = [photo(tmp_path / "a/x.png"), photo(tmp_path / "b/x.png", "Bag")]
    for _ in range(2):  # again, in place of the first
        explainer = Explainer(tmp_path / "explained", predictor, PAD)
        written = [explainer.explain(path) for path in photos]
    assert [path.name for path in written] == ["x.png.explained.png", "x.png (2).explained.png"]
    assert sorted(path.name for path in (tmp_path / "explained").iterdir()) == sorted(path.name for path in written)
    with Image.open(written[0]) as sheet:
        assert sheet.height < sheet.width
        assert not sheet.info


def test_thumbnails_are_explained_too(tmp_path):
    preparation = Preparation("thumbnail", 28, 1)
    small = Predictor(read(write_bundle(tmp_path / "bundle", preparation)))
    image = Image.new("RGB", (64, 64), "white")
    image.paste((0, 0, 90), (20, 10, 44, 54))
    image.save(tmp_path / "x.png")
    assert Explainer(tmp_path / "explained", small, preparation).explain(tmp_path / "x.png").is_file()


def test_a_photo_that_cannot_be_read_is_said(predictor, tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"")
    with pytest.raises(PhotoError, match="is empty"):
        Explainer(tmp_path / "explained", predictor, PAD).explain(tmp_path / "x.jpg")
