from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from prenda.bundle.checked_pixels import write_checked
from tests.bundle.test_bundle import answers, dense, pictures, write


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    write(folder, dense())
    return folder / "model.onnx"


@pytest.fixture(scope="module")
def session(network):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # the errors below are wanted
    return onnxruntime.InferenceSession(write_checked(network), options, providers=["CPUExecutionProvider"])


@pytest.mark.slow
def test_whole_pixels_get_the_answers_of_the_bundle(network, session):
    for count in (1, 3):
        pixels = pictures(count)
        answered = session.run(["probabilities", "logits"], {"pixels": pixels.numpy().astype(np.float32)})
        for got, expected in zip(answered, answers(network, pixels), strict=True):
            np.testing.assert_array_equal(got, expected)


def test_its_weights_stay_in_the_file_of_the_bundle(network):
    assert write_checked(network).stat().st_size < network.stat().st_size / 2


@pytest.mark.parametrize("value", [0.5, 256, -1, 1e9, np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_pixel_is_refused(session, value):
    pixels = pictures(3).numpy().astype(np.float32)
    for place in ((0, 0, 0, 0), (2, 0, 27, 27)):
        pixels[place] = value
        with pytest.raises(Exception, match="pixels must be whole numbers from 0 to 255"):
            session.run(None, {"pixels": pixels})
