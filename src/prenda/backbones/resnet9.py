"""Residual networks for short trainings: wide, shallow, with early pooling."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from prenda.backbones.activations import activation as activation_named
from prenda.backbones.settings import flag, halved, probability, stages


class _Residual(nn.Module):
    """Convolutions beside the identity; no activation follows the sum.

    Shapes:
        (B, width, H, W) -> the same.
    """

    def __init__(self, width: int, depth: int, activation: str) -> None:
        super().__init__()
        self.body = nn.Sequential(*(layer for _ in range(depth) for layer in _convolution(width, width, activation)))

    def forward(self, features: Tensor) -> Tensor:
        """Apply the block.

        Shapes:
            features (B, width, H, W) -> the same.
        """
        outputs: Tensor = features + self.body(features)
        return outputs


class ResNet9(nn.Module):
    """Stages of convolution, max pooling and residual convolutions, then global max pooling and a linear layer.

    Pooling comes before normalisation and activation, which then have a quarter of the work: on a CPU they cost as
    much as a narrow convolution. The design follows the nine-layer network of Page, How to Train Your ResNet
    (myrtle.ai, 2018), and Jordan's networks for CIFAR-10 (arXiv 2404.00498).

    Shapes:
        images (B, C, H, W), normalised float32 -> logits (B, num_classes), before softmax.

    Raises:
        ValueError: If a setting is invalid or the images are too small; the text starts with the setting's dotted name.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        widths: Sequence[int] = (16, 64, 128),
        depths: Sequence[int] = (1, 1, 1),
        stem_pooling: bool = True,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        widths, depths = stages(widths, "backbone.depths", depths, least=0)
        halved(image_shape, len(widths), times=len(widths) - 1 + flag("backbone.stem_pooling", stem_pooling))
        self.stages = nn.Sequential()
        channels = pairwise([image_shape[0], *widths])
        for stage, ((inputs, outputs), depth) in enumerate(zip(channels, depths, strict=True)):
            self.stages.extend(_convolution(inputs, outputs, activation, pooling=stage > 0 or stem_pooling))
            if depth:
                self.stages.append(_Residual(outputs, depth, activation))
        self.dropout = nn.Dropout(probability("backbone.dropout", dropout))
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images.

        Shapes:
            images (B, C, H, W) -> logits (B, num_classes).
        """
        features = self.stages(images)  # (B, widths[-1], H', W')
        logits: Tensor = self.head(self.dropout(features.amax((2, 3))))
        return logits


def _convolution(inputs: int, outputs: int, activation: str, pooling: bool = False) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        *([nn.MaxPool2d(2)] if pooling else []),
        nn.BatchNorm2d(outputs),
        activation_named(activation),
    ]
