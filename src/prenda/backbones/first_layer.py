"""Weights of a network's first layer, as images."""

from __future__ import annotations

from math import prod

from torch import Tensor, nn


def first_layer_weights(backbone: nn.Module, image_shape: tuple[int, int, int]) -> Tensor | None:
    """Return the filters of the first convolution, or the weight images of the first dense layer.

    None is returned if the first layer is neither, or its inputs are not the pixels.

    Shapes:
        (filters, C, kernel, kernel) or (units, C, H, W), float32, on the CPU.
    """
    for layer in backbone.modules():
        if isinstance(layer, nn.Conv2d):
            return layer.weight.detach().float().cpu()
        if isinstance(layer, nn.Linear):
            fits = layer.in_features == prod(image_shape)
            return layer.weight.detach().float().cpu().reshape(-1, *image_shape) if fits else None
    return None
