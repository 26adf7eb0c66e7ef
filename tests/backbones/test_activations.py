from __future__ import annotations

import pytest
import torch

from prenda.backbones.activations import ACTIVATIONS, MONOTONIC, Step, activation


def test_step_is_one_above_zero():
    assert Step()(torch.tensor([-2.0, 0.0, 1e-6, 3.0])).tolist() == [0, 0, 1, 1]


def test_step_passes_the_gradient_straight_through_near_zero():
    inputs = torch.tensor([-2.0, -1.0, 0.5, 1.5], requires_grad=True)
    (Step()(inputs) * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert inputs.grad.tolist() == [0, 2, 3, 0]


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_those_called_monotonic_never_fall(name):
    values = activation(name)(torch.linspace(-6, 6, 10_001))
    assert (name in MONOTONIC) == bool((values.diff() >= -1e-7).all())
