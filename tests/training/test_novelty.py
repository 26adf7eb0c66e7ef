"""Novelty of a network that exposes features, from its fit to the bundle's ONNX file."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from prenda.backbones.cnn import ConvNet
from prenda.backbones.timm import TimmNet
from prenda.bundle import export
from prenda.bundle import format as bundle
from prenda.bundle.checked_pixels import write_checked
from prenda.bundle.plain_pixels import FeatureNovelty
from prenda.errors import BundleError
from prenda.prediction.predictor import Predictor
from prenda.scoring.novelty import Novelty
from prenda.scoring.selective import REJECTED
from prenda.tracking.model_files import describe
from prenda.training.exporting import write_again
from prenda.training.novelty import exposes_features, network_novelty, stratified
from prenda.training.test_time_views import Views, features_and_logits
from prenda.training.train import train
from tests.bundle.test_bundle import DESCRIPTION
from tests.conftest import TINY, configured

TIMM = ("backbone=timm", "backbone.model=test_efficientnet", "data.image_size=32")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    home = tmp_path_factory.mktemp("novelty")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRENDA_HOME", str(home))
        config = configured(*TINY, *TIMM, "report=light", "mirrored_scoring=true", f"data.dir={home}")
        return train(config, home / "run")


@pytest.fixture(scope="module")
def written(trained) -> bundle.Bundle:
    return bundle.read(trained.folder / "bundle")


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 1, 32, 32)).astype(np.uint8)


@pytest.mark.slow
def test_the_bundle_has_a_threshold_of_novelty_in_place_of_energy(written):
    assert written.unsure.keys() == {"confidence", "novelty"}
    assert written.outputs == ("probabilities", "logits", "novelty")
    session = onnxruntime.InferenceSession(written.network, providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == list(written.outputs)
    for count in (1, 5):
        assert [values.shape for values in Predictor(written)(noise(count))] == [(count, 10), (count, 10), (count,)]


def test_readme_and_card_say_what_novelty_means(written):
    limit = written.unsure["novelty"]
    assert f"| Output | `novelty` | float32, (B,), how unlike the training images a picture is; above {limit:.4f}" in (
        written.folder / "README.md"
    ).read_text(encoding="utf-8")
    assert f"unlike those of training (novelty above {limit:.2f}; virtual-logit matching, arXiv 2203.10807)." in (
        written.folder / "card.md"
    ).read_text(encoding="utf-8")


def test_features_are_computed_once_a_view(written):
    model = onnx.load(written.network)
    convolutions = sum(node.op_type == "Conv" for node in model.graph.node)
    body = TimmNet((1, 32, 32), 10, model="test_efficientnet").body
    assert convolutions == 2 * sum(isinstance(layer, nn.Conv2d) for layer in body.modules())


@pytest.mark.slow
def test_a_bundle_that_is_written_again_has_the_same_threshold(trained, written, tmp_path):
    tested = trained.folder / "predictions/test.npz"
    write_again(str(trained.folder), written.scores, tested, tmp_path / "again", None)
    assert bundle.read(tmp_path / "again").unsure == pytest.approx(written.unsure, rel=1e-5)


def test_mlflow_s_copy_answers_with_the_novelty_and_its_signature_names_it(written, tmp_path):
    from mlflow.models import Model

    folder = tmp_path / "bundle"
    folder.mkdir()
    for path in written.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    describe(folder, "0" * 32, "m-" + "0" * 32)
    outputs = Model.load(str(folder / "MLmodel")).signature.outputs
    assert [(output.name, output.shape) for output in outputs] == [
        ("probabilities", (-1, 10)), ("logits", (-1, 10)), ("novelty", (-1,)),
    ]  # fmt: skip
    session = onnxruntime.InferenceSession(write_checked(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    answered = session.run(None, {"pixels": noise(3).astype(np.float32)})
    np.testing.assert_array_equal(answered[2], Predictor(written)(noise(3)).novelty)


class FewPictures:
    """A datamodule of random pictures, in memory."""

    image_size = None

    def __init__(self, count: int) -> None:
        from prenda.data.batches import InMemory

        drawn = torch.randint(0, 256, (count, 1, 32, 32), generator=torch.Generator().manual_seed(0))
        self.part = InMemory(drawn.byte(), torch.arange(count) % 10)

    def split(self, _):
        return self.part

    def normalized(self, images):
        return images.float() / 255


def network() -> nn.Module:
    torch.manual_seed(0)
    return Views(TimmNet((1, 32, 32), 10, model="test_efficientnet"), torch.zeros(1, 1, 1), True, 1).eval()


def test_the_threshold_is_exceeded_by_few_of_the_images_that_it_was_fitted_on():
    statistics, novelty = network_novelty(network(), FewPictures(60))
    assert statistics.principal.shape == (256, 15)
    assert novelty.shape == (60,)
    assert (novelty > np.quantile(novelty, 1 - REJECTED["novelty"], method="higher")).mean() <= REJECTED["novelty"]


@pytest.mark.slow
def test_features_and_logits_are_means_over_the_views():
    images = torch.rand(3, 1, 32, 32)
    with torch.inference_mode():
        features, logits = features_and_logits(network(), images)
        assert torch.equal(logits, network()(images))
        views = network().views(images)
        expected = torch.stack([network().network.features(view) for view in views]).mean(0)
    torch.testing.assert_close(features, expected)


class OwnHead(TimmNet):
    def forward(self, images):
        return super().forward(images) * 2


class Maps(nn.Module):
    """Features that are maps, as in torchvision's networks."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.head = nn.Conv2d(1, 4, 3), nn.Sequential(nn.Flatten(), nn.LazyLinear(10))

    def forward(self, images):
        return self.head(self.features(images))


def test_only_networks_whose_head_computes_the_logits_of_their_features_are_taken():
    images = torch.rand(1, 1, 32, 32)
    assert exposes_features(network(), images)
    others = ConvNet((1, 32, 32), 10, filters=[4]), OwnHead((1, 32, 32), 10, model="test_efficientnet"), Maps()
    assert not any(exposes_features(each.eval(), images) for each in others)
    assert network_novelty(others[0], FewPictures(10)) is None


def test_a_network_that_went_astray_has_no_novelty():
    astray = network()
    nn.init.constant_(astray.network.body.conv_stem.weight, float("nan"))
    assert network_novelty(astray, FewPictures(10)) is None


def test_each_class_gives_the_same_share_of_the_images_in_the_same_draw():
    labels = np.repeat([0, 1, 2], [700, 200, 100])
    chosen = stratified(labels, 100)
    np.testing.assert_allclose(np.bincount(labels[chosen]), [70, 20, 10], atol=1)
    assert len(set(chosen)) == 100
    np.testing.assert_array_equal(chosen, stratified(labels, 100))
    np.testing.assert_array_equal(stratified(labels, 5000), np.arange(1000))


@pytest.mark.slow
def test_an_onnx_file_with_another_novelty_is_refused(tmp_path):
    class Drifting(Novelty):
        def score(self, features, logits):
            return super().score(features, logits) * 1.01

    statistics, _ = network_novelty(network(), FewPictures(60))
    drifting = Drifting(statistics.mean, statistics.principal, statistics.alpha)
    pixels, normalize = torch.from_numpy(noise(20)), FewPictures(1).normalized
    right, wrong = (FeatureNovelty(each, features_and_logits, pixels, normalize) for each in (statistics, drifting))
    about = DESCRIPTION | {"image_shape": [1, 32, 32], "unsure": {"confidence": 0.5, "novelty": 1.0}}
    about["pixels"] = {"mean": [0.0], "std": [255.0], "polarity": "as seen"}
    about["preparation"] = {"kind": "thumbnail", "size": 32, "channels": 1, "native": 32}
    arguments = network(), 1, [], about
    with pytest.raises(BundleError, match=r"gives a novelty up to .* on 20 images, where .* is allowed: one of its op"):
        export.write(tmp_path / "wrong", *arguments, novelty=wrong)
    export.write(tmp_path / "right", *arguments, novelty=right)
