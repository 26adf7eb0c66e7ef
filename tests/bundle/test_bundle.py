from __future__ import annotations

import copy
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import safetensors.torch
import torch
from torch import nn

from prenda.backbones.activations import ACTIVATIONS, activation
from prenda.backbones.cnn import ConvNet
from prenda.backbones.dense import DenseNetwork
from prenda.backbones.resnet import ResNet
from prenda.backbones.torchvision import TorchvisionNet
from prenda.bundle import export
from prenda.bundle import format as bundle
from prenda.bundle.check import TOLERANCE
from prenda.data.datasets.fashion_mnist import GARMENTS, SPANISH
from prenda.data.datasets.generated import generate
from prenda.errors import BundleError
from prenda.photos.preparation import Preparation
from prenda.training.test_time_views import Views

SHAPE = (1, 28, 28)
DESCRIPTION = {
    "task": "generated",
    "class_names": list(GARMENTS),
    "labels": {"es": list(SPANISH)},
    "image_shape": list(SHAPE),
    "pixels": {"mean": [127.5], "std": [64.0], "polarity": "light on dark"},
    "preparation": {"kind": "thumbnail", "size": 28, "channels": 1, "native": 28},
    "unsure": {"confidence": 0.7, "energy": -1.5},
    "temperature": 1.25,
    "config": {"seed": 0, "backbone": {"_target_": "prenda.backbones.dense.DenseNetwork", "units": [8]}},
    "data": {"name": "generated", "content_hash": "ab" * 32},
    "scores": {"test/accuracy": 0.5, "test/f1": 0.4},
    "run_id": None,
}


def pictures(count: int = 50) -> torch.Tensor:
    return generate(count, seed=1)[0]


def normalize(pixels: torch.Tensor) -> torch.Tensor:
    return (pixels.float() - 127.5) / 64


def dense() -> DenseNetwork:
    return DenseNetwork(SHAPE, 10, units=[8])


def write(folder: Path, network: nn.Module, **changes: Any) -> float:
    return export.write(folder, network, 1, scored(network, pictures()), DESCRIPTION | changes)


def scored(network: nn.Module, pixels: torch.Tensor, normalize=normalize) -> list[tuple[torch.Tensor, np.ndarray]]:
    """Two batches of pixels and the network's logits."""
    batches = pixels.split(30)
    with torch.inference_mode():
        return [(batch, export.plain(network)(normalize(batch)).numpy()) for batch in batches]


def answers(path: Path, pixels: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and logits."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    probabilities, logits = session.run(["probabilities", "logits"], {"pixels": pixels.numpy()})
    return probabilities, logits


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    network = dense()
    write(folder, network)
    return folder, network


@pytest.fixture
def folder(original, tmp_path):
    """A copy that a test may damage."""
    for path in original[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.slow
def test_what_a_killed_export_left_is_deleted(tmp_path):
    left = tmp_path / ".bundle.part/new/model.onnx"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    write(tmp_path / "bundle", dense())
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def every_activation() -> nn.Sequential:
    hidden = [layer for name in ACTIVATIONS for layer in (activation(name), nn.Linear(8, 8))]
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 8), *hidden, nn.Linear(8, 10))


NETWORKS = {
    "dense": dense,
    "every activation": every_activation,
    "convolutions": lambda: ConvNet(SHAPE, 10, filters=[4, 4]),
    "batch norm": lambda: ConvNet(SHAPE, 10, filters=[4], batch_norm=True, pooling="average"),
    "resnet": lambda: ResNet(SHAPE, 10, widths=[4, 8], blocks=[1, 1]),
    "views": lambda: Views(ConvNet(SHAPE, 10, filters=[4]), torch.tensor([[[-0.5]]]), mirrored=True, shift=1),
    "torchvision": lambda: TorchvisionNet(SHAPE, 10, model="squeezenet1_1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_and_weights_compute_what_the_network_computes(name, tmp_path):
    network, pixels = NETWORKS[name](), pictures()
    assert write(tmp_path / "bundle", network) <= TOLERANCE
    read = bundle.read(tmp_path / "bundle")
    again = NETWORKS[name]()
    safetensors.torch.load_model(again, read.weights)
    for count in (1, 7):  # neither is the number of images that it was exported with
        expected = again.eval()(normalize(pixels[:count])).detach()
        probabilities, logits = answers(read.network, pixels[:count])
        np.testing.assert_allclose(logits, expected.numpy(), atol=1e-4)
        np.testing.assert_allclose(probabilities, torch.softmax(expected / 1.25, 1).numpy(), atol=1e-4)
    assert torch.equal(again(normalize(pixels)), network.eval()(normalize(pixels)))


@pytest.mark.slow
def test_colour_and_repeated_grey_pixels_are_normalised_as_in_training(tmp_path):
    for channels, mean in ((1, [127.5]), (3, [127.5, 100.0, 90.0])):
        pixels = torch.randint(0, 256, (5, channels, 8, 8), dtype=torch.uint8)
        constants = torch.tensor(mean)[:, None, None]
        network = DenseNetwork((3, 8, 8), 10, units=[8])
        pixels_facts = {"mean": mean, "std": [64.0] * channels, "polarity": "as seen"}
        preparation = {"kind": "thumbnail", "size": 8, "channels": channels, "native": 8}
        about = DESCRIPTION | {"image_shape": [3, 8, 8], "pixels": pixels_facts, "preparation": preparation}
        as_in_training = partial(training_images, constants)
        folder = tmp_path / str(channels)
        assert export.write(folder, network, channels, scored(network, pixels, as_in_training), about) <= TOLERANCE
        read = bundle.read(folder)
        assert (read.channels, read.pixel_shape, read.image_shape) == (channels, (channels, 8, 8), (3, 8, 8))


def training_images(mean: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    return ((pixels.float() - mean) / 64).expand(-1, 3, -1, -1)


def test_a_wrong_normalisation_in_the_description_is_refused(tmp_path):
    network = dense()
    answers = scored(network, pictures(), lambda pixels: pixels.float() / 255)
    with pytest.raises(BundleError, match=r"gives probabilities up to .* away from the scored ones on 50 images"):
        export.write(tmp_path / "bundle", network, 1, answers, DESCRIPTION)


@pytest.mark.slow
def test_the_onnx_file_agrees_with_the_scored_logits_on_every_image(tmp_path):
    """One of 50 images is enough, in the last batch, and by a little more than 1e-4 of a probability."""
    network = dense()
    answers = scored(network, pictures())
    export.write(tmp_path / "bundle", network, 1, answers, DESCRIPTION)
    about = json.loads((tmp_path / "bundle/model.json").read_text())["onnx"]
    assert about["images"] == 50
    assert about["largest_difference_of_probabilities"] <= about["largest_difference"] * 2 <= 1e-4
    answers[-1][1][-1, 3] += 2e-3
    with pytest.raises(BundleError, match=r"on 50 images, where 0.0001 is allowed"):
        export.write(tmp_path / "bundle", network, 1, answers, DESCRIPTION)


@pytest.mark.slow
def test_what_is_read_is_what_was_written(original):
    read = bundle.read(original[0])
    assert (read.class_names, read.image_shape, read.temperature) == (GARMENTS, SHAPE, 1.25)
    assert (read.mean, read.std, read.run_id) == ((127.5,), (64.0,), None)
    assert (read.format, read.channels, read.polarity, read.task) == (2, 1, "light on dark", "generated")
    assert read.preparation == Preparation("thumbnail", size=28, channels=1)
    assert read.labels == {"en": GARMENTS, "es": SPANISH}
    assert read.unsure == {"confidence": 0.7, "energy": -1.5}
    assert read.data["content_hash"] == "ab" * 32
    assert read.scores["test/f1"] == 0.4
    assert read.config["backbone"]["units"] == [8]
    assert 0 <= read.onnx_difference <= TOLERANCE
    assert read.onnx_images == 50


@pytest.mark.slow
def test_a_data_set_may_name_its_classes_in_english_too(tmp_path):
    names = [f"the {name}" for name in GARMENTS]
    write(tmp_path / "bundle", dense(), labels={"en": names})
    assert bundle.read(tmp_path / "bundle").labels == {"en": tuple(names)}


@pytest.mark.slow
def test_the_callers_network_is_left_as_it_is(tmp_path, capfd):
    network = ConvNet(SHAPE, 10, filters=[4]).to(memory_format=torch.channels_last).train()
    network.compile(backend="eager")
    before = copy.deepcopy(network.state_dict())
    write(tmp_path / "bundle", network)
    assert network.training
    assert network._compiled_call_impl is not None
    assert network.stages[0][0].weight.is_contiguous(memory_format=torch.channels_last)
    assert all(weight.requires_grad for weight in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert capfd.readouterr() == ("", "")


def test_a_bundle_takes_the_place_of_an_older_one(folder):
    assert write(folder, dense(), temperature=2.0) <= TOLERANCE
    assert bundle.read(folder).temperature == 2
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(f".{folder.name}")] == []


class Branching(nn.Sequential):
    def forward(self, images):
        return super().forward(images if images.sum() > 0 else -images)


class NotANumber(nn.Sequential):
    def forward(self, images):
        return super().forward(images) / 0


def test_a_network_that_cannot_be_exported_is_told(tmp_path):
    network = Branching(nn.Flatten(), nn.Linear(784, 10))
    with pytest.raises(BundleError, match=r"Branching cannot be exported to ONNX \(.*\): write its forward with"):
        write(tmp_path / "bundle", network)
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_went_astray_is_told(tmp_path):
    network = NotANumber(nn.Flatten(), nn.Linear(784, 10))
    with pytest.raises(BundleError, match=r"logits are not finite: .* Give a smaller optimizer.lr, or set trainer.gra"):
        write(tmp_path / "bundle", network)
    assert list(tmp_path.iterdir()) == []


def test_an_onnx_file_that_computes_something_else_is_refused(folder, monkeypatch):
    other = (folder / "model.onnx").read_bytes()
    monkeypatch.setattr(export, "_onnx", lambda *_: other)
    kept = bundle.read(folder)
    with pytest.raises(BundleError, match=r"ies up to .* away from the scored ones on 50 images, where 0.0001 is all"):
        write(folder, dense())
    assert bundle.read(folder) == kept


def test_a_folder_without_a_model_is_told(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(BundleError, match=r"holds no model \(model.json is not there\): name the folder `bundle`"):
            bundle.read(folder)


@pytest.mark.parametrize("name", ["model.onnx", "weights.safetensors"])
def test_a_missing_or_damaged_file_is_told(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BundleError, match=rf"{name} is damaged \(its SHA-256 is .*copy the bundle again from its run"):
        bundle.read(folder)
    (folder / name).unlink()
    with pytest.raises(BundleError, match=rf"{name} is missing: copy the bundle again from its run"):
        bundle.read(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda about: about.pop("temperature"), "no 'temperature'"),
        (lambda about: about.pop("files"), "no 'files'"),
        (lambda about: about.update(image_shape=[28, 28]), "expected 3"),
        (lambda about: about.update(temperature="hot"), "hot"),
        (lambda about: about.update(temperature=0), "temperature 0.0 and std .* must be more than 0"),
        (lambda about: about.update(scores=None), "items"),
        (lambda about: about.pop("format"), "no 'format'"),
        (lambda about: about.pop("unsure"), "no 'unsure'"),
        (lambda about: about["labels"].update(es=["Camiseta"]), "labels.es has 1 names for 10 classes"),
        (lambda about: about["preparation"].update(kind="crop"), "preparation .* is invalid"),
    ],
)
def test_a_damaged_description_is_told(folder, change, told):
    about = json.loads((folder / "model.json").read_text())
    change(about)
    (folder / "model.json").write_text(json.dumps(about))
    with pytest.raises(BundleError, match=rf"model.json is damaged \(.*{told}.*\): copy the bundle again"):
        bundle.read(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"3"])
def test_a_description_that_is_no_json_object_is_told(folder, content):
    (folder / "model.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"model.json is damaged \(.*\): copy the bundle again"):
        bundle.read(folder)


def test_a_later_format_is_told(folder):
    about = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(about | {"format": 3}))
    with pytest.raises(
        BundleError, match="has format 3, but this version of prenda reads 1 and 2: use the version that"
    ):
        bundle.read(folder)


def test_reading_imports_nothing_heavy(original):
    script = (
        "import sys\nfrom pathlib import Path\nfrom prenda.bundle.format import read\n"
        f"assert read(Path({str(original[0])!r})).class_names[0] == 'T-shirt/top'\n"
        "heavy = {'torch', 'pytorch_lightning', 'hydra', 'omegaconf', 'mlflow', 'numpy', 'onnx'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
