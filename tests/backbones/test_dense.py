from __future__ import annotations

import pytest
from torch import nn

from prenda.backbones.dense import DenseNetwork


def parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_the_first_network_has_the_parameters_of_its_layers():
    assert parameters(DenseNetwork((1, 28, 28), 10, [512])) == 784 * 512 + 512 + 512 * 10 + 10


def test_no_hidden_layer_is_a_linear_classifier():
    assert parameters(DenseNetwork((1, 28, 28), 10, [])) == 7850


def test_each_hidden_layer_gets_what_is_asked_for():
    network = DenseNetwork((1, 28, 28), 10, [32, 16], activation="tanh", dropout=0.2, batch_norm=True)
    kinds = [type(layer).__name__ for layer in network]
    hidden = ["Linear", "BatchNorm1d", "Tanh", "Dropout"]
    assert kinds == ["Flatten", *hidden, *hidden, "Linear"]


@pytest.mark.parametrize("units", [[0], [-3], ["many"], [1.5], 512, None])
def test_units_that_make_no_layer_are_refused(units):
    with pytest.raises(ValueError, match=r"backbone.units is .*: give a list of whole numbers of at least 1"):
        DenseNetwork((1, 28, 28), 10, units)


def test_batch_norm_is_yes_or_no():
    with pytest.raises(ValueError, match=r"backbone.batch_norm is 'maybe': it must be true or false"):
        DenseNetwork((1, 28, 28), 10, batch_norm="maybe")
