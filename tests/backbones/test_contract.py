"""What every backbone keeps to."""

from __future__ import annotations

import pytest
import torch

from prenda.backbones.cnn import ConvNet
from prenda.backbones.dense import DenseNetwork
from prenda.backbones.resnet import ResNet
from prenda.backbones.resnet9 import ResNet9
from prenda.backbones.timm import TimmNet
from prenda.backbones.torchvision import TorchvisionNet

BACKBONES = [DenseNetwork, ConvNet, ResNet, ResNet9, TorchvisionNet, TimmNet]


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("image_shape", [(1, 28, 28), (3, 64, 64), (1, 33, 47)])
@pytest.mark.parametrize("num_classes", [2, 10])
def test_logits_have_one_value_a_class(backbone, image_shape, num_classes):
    network = backbone(image_shape, num_classes)
    logits = network(torch.randn(3, *image_shape))
    assert logits.shape == (3, num_classes)
    logits.sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())


@pytest.mark.parametrize("backbone", BACKBONES)
def test_memory_format_does_not_change_what_is_computed(backbone):
    network = backbone((3, 32, 32), 10).eval()
    images = torch.randn(4, 3, 32, 32)
    plain = network(images)
    other = network.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(plain, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backbone", [DenseNetwork, ConvNet, ResNet, ResNet9])
def test_an_unknown_activation_is_refused(backbone):
    told = "backbone.activation is 'selu': choose one of relu, leaky_relu, gelu, silu, sigmoid, tanh, step."
    with pytest.raises(ValueError, match=told):
        backbone((1, 28, 28), 10, activation="selu")


@pytest.mark.parametrize("backbone", [DenseNetwork, ConvNet, ResNet, ResNet9, TimmNet])
@pytest.mark.parametrize("dropout", [-0.1, 1, 1.5, "half", True])
def test_a_dropout_that_leaves_nothing_is_refused(backbone, dropout):
    with pytest.raises(ValueError, match=r"backbone.dropout is .*: it must be a number, at least 0 and less than 1"):
        backbone((1, 28, 28), 10, dropout=dropout)
