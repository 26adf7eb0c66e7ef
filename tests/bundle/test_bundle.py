from __future__ import annotations

import copy
import json
import subprocess
import sys

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
from prenda.data.datasets.fashion_mnist import GARMENTS
from prenda.data.datasets.generated import generate
from prenda.errors import BundleError
from prenda.training.test_time_views import Views

SHAPE = (1, 28, 28)
DESCRIPTION = {
    "class_names": list(GARMENTS),
    "image_shape": list(SHAPE),
    "pixels": {"mean": [127.5], "std": [64.0]},
    "temperature": 1.25,
    "config": {"seed": 0, "backbone": {"_target_": "prenda.backbones.dense.DenseNetwork", "units": [8]}},
    "data": {"name": "generated", "content_hash": "ab" * 32},
    "scores": {"test/accuracy": 0.5, "test/f1": 0.4},
    "run_id": None,
}


def pictures(count: int = 50) -> torch.Tensor:
    return (generate(count, seed=1)[0].float() - 127.5) / 64


def dense() -> DenseNetwork:
    return DenseNetwork(SHAPE, 10, units=[8])


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    network = dense()
    export.write(folder, network, pictures(), DESCRIPTION)
    return folder, network


@pytest.fixture
def folder(original, tmp_path):
    """A copy that a test may damage."""
    for path in original[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def logits(path, images: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"images": images.numpy()})[0]


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


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_and_weights_compute_what_the_network_computes(name, tmp_path):
    network, images = NETWORKS[name](), pictures()
    assert export.write(tmp_path / "bundle", network, images, DESCRIPTION) <= export.TOLERANCE
    read = bundle.read(tmp_path / "bundle")
    again = NETWORKS[name]()
    safetensors.torch.load_model(again, read.weights)
    for count in (1, 7):  # neither is the number of images that it was exported with
        expected = again.eval()(images[:count]).detach().numpy()
        np.testing.assert_allclose(logits(read.network, images[:count]), expected, atol=1e-4)
    assert torch.equal(again(images), network.eval()(images))


def test_what_is_read_is_what_was_written(original):
    read = bundle.read(original[0])
    assert (read.class_names, read.image_shape, read.temperature) == (GARMENTS, SHAPE, 1.25)
    assert (read.mean, read.std, read.run_id) == ((127.5,), (64.0,), None)
    assert read.data["content_hash"] == "ab" * 32
    assert read.scores["test/f1"] == 0.4
    assert read.config["backbone"]["units"] == [8]
    assert 0 <= read.onnx_difference <= export.TOLERANCE
    assert read.onnx_images == 50


def test_the_callers_network_is_left_as_it_is(tmp_path, capfd):
    network = ConvNet(SHAPE, 10, filters=[4]).to(memory_format=torch.channels_last).train()
    network.compile(backend="eager")
    before = copy.deepcopy(network.state_dict())
    export.write(tmp_path / "bundle", network, pictures().to(memory_format=torch.channels_last), DESCRIPTION)
    assert network.training
    assert network._compiled_call_impl is not None
    assert network.stages[0][0].weight.is_contiguous(memory_format=torch.channels_last)
    assert all(weight.requires_grad for weight in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert capfd.readouterr() == ("", "")


def test_a_bundle_takes_the_place_of_an_older_one(folder):
    assert export.write(folder, dense(), pictures(), DESCRIPTION | {"temperature": 2.0}) <= export.TOLERANCE
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
        export.write(tmp_path / "bundle", network, pictures(), DESCRIPTION)
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_went_astray_is_told(tmp_path):
    network = NotANumber(nn.Flatten(), nn.Linear(784, 10))
    with pytest.raises(BundleError, match=r"logits are not finite: .* Give a smaller optimizer.lr, or set trainer.gra"):
        export.write(tmp_path / "bundle", network, pictures(), DESCRIPTION)
    assert list(tmp_path.iterdir()) == []


def test_an_onnx_file_that_computes_something_else_is_refused(folder, monkeypatch):
    other = (folder / "model.onnx").read_bytes()
    monkeypatch.setattr(export, "_onnx", lambda network, images: other)
    kept = bundle.read(folder)
    with pytest.raises(BundleError, match=r"logits up to .* away from the network's on 50 images, where 0.0001 is all"):
        export.write(folder, dense(), pictures(), DESCRIPTION)
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
    (folder / "model.json").write_text(json.dumps(about | {"format": 2}))
    with pytest.raises(BundleError, match="has format 2, but this version of prenda reads 1: use the version that"):
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
