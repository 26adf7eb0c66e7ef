from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from prenda.bundle.format import NETWORK, checksum, read
from prenda.errors import BundleError
from prenda.prediction.predictor import Predictor
from tests.prediction.bundles import write_bundle, write_old_bundle


def green(count: int) -> np.ndarray:
    pixels = np.zeros((count, 3, 16, 16), np.uint8)
    pixels[:, 1] = 255
    return pixels


def test_pixels_go_in_as_they_are_and_probabilities_come_out(tmp_path):
    probabilities, logits, novelty = Predictor(read(write_bundle(tmp_path / "bundle")))(green(2))
    np.testing.assert_allclose(logits, [[0, 20, 0]] * 2, atol=1e-4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert probabilities[0, 1] > 0.999
    assert novelty is None


def test_a_bundle_of_format_1_is_normalised_and_scaled_around_its_network(tmp_path):
    bundle = read(write_old_bundle(tmp_path / "bundle"))
    probabilities, logits, _ = Predictor(bundle)(np.full((1, 1, 28, 28), 255, np.uint8))
    # (255 - 127.5) / 63.75 is 2; its weights are 2, 1, 0; its temperature is 2
    np.testing.assert_allclose(logits, [[4, 2, 0]], rtol=1e-6)
    expected = np.exp([2, 1, 0]) / np.exp([2, 1, 0]).sum()
    np.testing.assert_allclose(probabilities, [expected], rtol=1e-5)


def test_several_threads_may_call_at_once(tmp_path):
    predictor = Predictor(read(write_bundle(tmp_path / "bundle")))
    pixels = np.random.default_rng(0).integers(0, 256, (8, 4, 3, 16, 16)).astype(np.uint8)
    alone = [predictor(part).logits for part in pixels]
    with ThreadPoolExecutor(4) as pool:
        for expected, outputs in zip(alone, pool.map(predictor, pixels), strict=True):
            np.testing.assert_array_equal(outputs.logits, expected)


def test_a_network_that_is_none_is_refused(tmp_path):
    folder = write_bundle(tmp_path / "bundle")
    (folder / NETWORK).write_bytes(b"nothing")
    (folder / "model.json").write_text(
        (folder / "model.json").read_text("utf-8").replace(old_checksum(tmp_path), checksum(folder / NETWORK)), "utf-8"
    )
    with pytest.raises(BundleError, match=r"model\.onnx cannot be used \(.*\): copy the bundle again from its run, or"):
        Predictor(read(folder))


def old_checksum(tmp_path) -> str:
    return checksum(write_bundle(tmp_path / "other") / NETWORK)


def test_pixels_of_another_shape_are_refused(tmp_path):
    predictor = Predictor(read(write_bundle(tmp_path / "bundle")))
    with pytest.raises(BundleError, match=r"model\.onnx refuses pixels \(1, 3, 8, 8\) \(.*\): copy the bundle again"):
        predictor(np.zeros((1, 3, 8, 8), np.uint8))
