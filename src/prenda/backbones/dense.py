"""Fully connected networks."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import nn

from prenda.backbones.activations import activation as activation_named
from prenda.backbones.settings import counts, flag, probability


class DenseNetwork(nn.Sequential):
    """Hidden layers over the flattened picture: linear, batch norm, activation, dropout.

    Shapes:
        images (B, C, H, W), normalised float32 -> logits (B, num_classes), before softmax.

    Raises:
        ValueError: If a setting is invalid; the text starts with its dotted name.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        units: Sequence[int] = (512,),
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__(nn.Flatten())
        inputs = prod(image_shape)
        for outputs in counts("backbone.units", units, empty=True):
            self.append(nn.Linear(inputs, outputs))
            if flag("backbone.batch_norm", batch_norm):
                self.append(nn.BatchNorm1d(outputs))
            self.append(activation_named(activation))
            if probability("backbone.dropout", dropout):
                self.append(nn.Dropout(dropout))
            inputs = outputs
        self.append(nn.Linear(inputs, num_classes))
