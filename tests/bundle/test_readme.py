from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from prenda.bundle import format as bundle
from prenda.bundle.readme import readme
from tests.bundle.test_bundle import GARMENTS, answers, dense, pictures, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    write(folder, dense())
    return folder


@pytest.mark.slow
def test_its_code_names_the_class_of_a_picture(folder, tmp_path):
    text = (folder / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    picture = pictures(1)
    np.save(tmp_path / "picture.npy", picture.numpy())
    asked, count = re.subn(r"np\.zeros\(.*\)  # your picture", f"np.load({str(tmp_path / 'picture.npy')!r})", code)
    assert count == 1
    for program in (code, asked):
        done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    probabilities = answers(folder / "model.onnx", picture)[0][0]
    name, probability = done.stdout.rsplit(maxsplit=1)
    assert name == GARMENTS[probabilities.argmax()]
    assert float(probability) == pytest.approx(probabilities.max(), abs=1e-6)


def test_it_states_size_channels_polarity_and_classes(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "| Input | `pixels` | uint8, (B, 1, 28, 28), for any B; light on dark, 0 is background |" in text
    assert "The classes, in order: T-shirt/top, Trouser, " in text


def test_it_states_the_accuracy_with_its_interval(folder):
    about = replace(bundle.read(folder), scores={"test/accuracy": 0.925})
    text = readme(about, 2000)
    assert text.endswith(
        "\nAccuracy on 2,000 test images: 92.50%, 95% interval 91.26% to 93.57%. The interval (Wilson) covers the "
        "choice of the test images, not chance in training.\n"
    )
    assert "test images" not in readme(about)
