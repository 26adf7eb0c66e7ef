from __future__ import annotations

import pytest
import torch

from prenda.backbones.cnn import ConvNet
from tests.backbones.test_dense import parameters


def test_the_default_network_has_121930_parameters():
    assert parameters(ConvNet((1, 28, 28), 10)) == 121_930


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "sigmoid", "tanh", "step", "gelu", "silu"])
def test_pooling_first_computes_the_same_as_activating_first(activation):
    torch.manual_seed(0)
    network = ConvNet((1, 16, 16), 10, filters=[4], activation=activation)
    convolution, *rest = network.stages[0]
    act = next(layer for layer in rest if not isinstance(layer, torch.nn.MaxPool2d))
    images = torch.randn(8, 1, 16, 16)
    textbook = torch.nn.functional.max_pool2d(act(convolution(images)), 2)
    torch.testing.assert_close(network.stages(images), textbook)


@pytest.mark.parametrize("pooling", ["max", "average", "none"])
@pytest.mark.parametrize("padding", [0, 2, "same"])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_the_head_fits_whatever_the_stages_leave(pooling, padding, kernel_size):
    network = ConvNet((1, 28, 28), 10, [3, 4], kernel_size, padding=padding, pooling=pooling, head_units=[])
    assert network(torch.randn(2, 1, 28, 28)).shape == (2, 10)


def test_strides_are_counted():
    assert ConvNet((1, 28, 28), 10, [3], stride=2, padding=1)(torch.randn(2, 1, 28, 28)).shape == (2, 10)


def test_batch_norm_comes_before_pooling():
    kinds = [type(layer).__name__ for layer in ConvNet((1, 28, 28), 10, [3], batch_norm=True).stages[0]]
    assert kinds == ["Conv2d", "BatchNorm2d", "MaxPool2d", "ReLU"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"filters": [8] * 5},
            r"backbone.filters is \[8, 8, 8, 8, 8\]: nothing is left of images of 28x28 after stage 4",
        ),
        ({"filters": []}, r"backbone.filters is \[\]: give a list, not empty, of whole numbers of at least 1"),
        ({"filters": [0]}, r"backbone.filters is \[0\]"),
        ({"head_units": [0]}, r"backbone.head_units is \[0\]: give a list of whole numbers"),
        ({"kernel_size": 0}, r"backbone.kernel_size is 0: it must be a whole number of at least 1"),
        ({"kernel_size": 31}, r"nothing is left of images of 28x28 after stage 1"),
        ({"stride": 0}, r"backbone.stride is 0"),
        ({"pool_size": 1}, r"backbone.pool_size is 1: it must be a whole number of at least 2"),
        ({"pooling": "median"}, r"backbone.pooling is 'median': choose one of max, average, none"),
        ({"padding": -1}, r"backbone.padding is -1: it must be a whole number of at least 0"),
        ({"padding": "valid"}, r"backbone.padding is 'valid': give a whole number of pixels, or same"),
        ({"padding": "same", "stride": 2}, r"backbone.padding is 'same', which needs backbone.stride=1, but it is 2"),
        ({"batch_norm": "yes"}, r"backbone.batch_norm is 'yes': it must be true or false"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(settings, told):
    with pytest.raises(ValueError, match=told):
        ConvNet((1, 28, 28), 10, **settings)
