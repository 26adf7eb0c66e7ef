from __future__ import annotations

import pytest
import torch

from prenda.backbones.torchvision import TorchvisionNet


@pytest.mark.parametrize(
    "model", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1", "googlenet"]
)
def test_grey_images_of_another_size_are_taken(model):
    network = TorchvisionNet((1, 64, 64), 10, model)
    assert network(torch.randn(2, 1, 64, 64)).shape == (2, 10)


def test_a_vision_transformer_is_built_for_the_size():
    assert TorchvisionNet((1, 32, 32), 4, "vit_b_32").eval()(torch.randn(1, 1, 32, 32)).shape == (1, 4)


def test_settings_reach_the_model():
    narrow = TorchvisionNet((3, 32, 32), 10, "mobilenet_v2", {"width_mult": 0.25})
    wide = TorchvisionNet((3, 32, 32), 10, "mobilenet_v2")
    assert sum(w.numel() for w in narrow.parameters()) < sum(w.numel() for w in wide.parameters()) / 4


def test_an_unknown_model_is_refused_with_its_neighbours():
    with pytest.raises(ValueError, match=r"backbone.model is 'resnet19': choose one of resnet18"):
        TorchvisionNet((1, 28, 28), 10, "resnet19")


@pytest.mark.parametrize(
    ("model", "settings", "reason"),
    [
        ("alexnet", None, r"cannot take images of 1x28x28 .*give a larger data.image_size"),
        ("vit_b_16", None, r"cannot take images of 1x28x28"),
        ("resnet18", {"colour": 1}, r"backbone.settings=\{'colour': 1\}"),
    ],
)
def test_a_model_that_cannot_take_the_images_is_refused(model, settings, reason):
    with pytest.raises(
        ValueError, match=rf"backbone.model is '{model}', which " + reason if settings is None else reason
    ):
        TorchvisionNet((1, 28, 28), 10, model, settings)
