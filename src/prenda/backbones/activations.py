"""Activations by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from prenda.backbones.settings import choice


class _StepFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        ctx.save_for_backward(inputs)
        return (inputs > 0).to(inputs.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        inputs: Tensor = ctx.saved_tensors[0]
        return gradients[0] * (inputs.abs() <= 1)


class Step(nn.Module):
    """Step function: 1 above zero, else 0.

    Its true gradient is zero everywhere. Training uses the straight-through estimator: the gradient of the identity
    for inputs from -1 to 1, and zero outside (Hubara and others, arXiv 1602.02830, section 2.3).
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply the activation.

        Shapes:
            any -> the same.
        """
        outputs: Tensor = _StepFunction.apply(inputs)
        return outputs


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),  # no layer of prenda needs the overwritten input; this saves memory traffic
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "step": Step,
}
# Non-decreasing functions: max pooling gives the same result before and after them.
MONOTONIC = frozenset({"relu", "leaky_relu", "sigmoid", "tanh", "step"})


def activation(name: str) -> nn.Module:
    """Return a new module of the named activation.

    Raises:
        ValueError: If there is no activation of this name.
    """
    return ACTIVATIONS[choice("backbone.activation", name, ACTIVATIONS)]()
