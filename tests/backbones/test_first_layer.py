from __future__ import annotations

from torch import nn

from prenda.backbones.cnn import ConvNet
from prenda.backbones.dense import DenseNetwork
from prenda.backbones.first_layer import first_layer_weights

SHAPE = (1, 28, 28)


def test_a_convolution_gives_its_filters():
    assert first_layer_weights(ConvNet((3, 28, 28), 10, filters=[5]), (3, 28, 28)).shape == (5, 3, 3, 3)


def test_a_dense_layer_gives_an_image_a_unit():
    assert first_layer_weights(DenseNetwork(SHAPE, 10, [7]), SHAPE).shape == (7, 1, 28, 28)


def test_a_first_layer_that_sees_no_whole_picture_has_none():
    assert first_layer_weights(nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(196, 10)), SHAPE) is None
    assert first_layer_weights(nn.Flatten(), SHAPE) is None
