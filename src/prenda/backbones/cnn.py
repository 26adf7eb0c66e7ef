"""Plain convolutional networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from prenda.backbones.activations import MONOTONIC
from prenda.backbones.activations import activation as activation_named
from prenda.backbones.settings import choice, count, counts, flag, probability

_POOLING = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


class ConvNet(nn.Module):
    """Stages of convolution, pooling and activation, then a dense head.

    With max pooling and a non-decreasing activation, pooling comes before the activation: the result is the same, and
    the activation has a quarter of the work.

    Shapes:
        images (B, C, H, W), normalised float32 -> logits (B, num_classes), before softmax.

    Raises:
        ValueError: If a setting is invalid or the images are too small; the text starts with the setting's dotted name.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        filters: Sequence[int] = (32, 64),
        kernel_size: int = 3,
        stride: int = 1,
        padding: int | Literal["same"] = 0,
        pooling: Literal["max", "average", "none"] = "max",
        pool_size: int = 2,
        activation: str = "relu",
        batch_norm: bool = False,
        dropout: float = 0.5,
        head_units: Sequence[int] = (64,),
    ) -> None:
        super().__init__()
        kernel_size, stride = count("backbone.kernel_size", kernel_size), count("backbone.stride", stride)
        pool_size = count("backbone.pool_size", pool_size, least=2)
        choice("backbone.pooling", pooling, [*_POOLING, "none"])
        pad = _pad(padding, kernel_size, stride)
        channels, *sides = image_shape
        self.stages = nn.Sequential()
        for stage, outputs in enumerate(counts("backbone.filters", filters), start=1):
            layers: list[nn.Module] = [nn.Conv2d(channels, outputs, kernel_size, stride, padding)]
            if flag("backbone.batch_norm", batch_norm):
                layers.append(nn.BatchNorm2d(outputs))
            end = [activation_named(activation)]
            if pooling != "none":
                end.insert(0 if pooling == "max" and activation in MONOTONIC else 1, _POOLING[pooling](pool_size))
            self.stages.append(nn.Sequential(*layers, *end))
            sides = [(side + pad - kernel_size) // stride + 1 for side in sides]
            if pooling != "none":
                sides = [side // pool_size for side in sides]
            if min(sides) < 1:
                raise ValueError(
                    f"backbone.filters is {list(filters)}: nothing is left of images of "
                    f"{image_shape[1]}x{image_shape[2]} after stage {stage}. Give fewer stages, backbone.padding=same, "
                    "backbone.pooling=none or a larger data.image_size."
                )
            channels = outputs
        self.dropout = nn.Dropout(probability("backbone.dropout", dropout))
        self.head = nn.Sequential()
        inputs = channels * sides[0] * sides[1]
        for outputs in counts("backbone.head_units", head_units, empty=True):
            self.head.extend([nn.Linear(inputs, outputs), activation_named(activation)])
            inputs = outputs
        self.head.append(nn.Linear(inputs, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images.

        Shapes:
            images (B, C, H, W) -> logits (B, num_classes).
        """
        features = self.stages(images)  # (B, filters[-1], H', W')
        logits: Tensor = self.head(self.dropout(features.flatten(1)))
        return logits


def _pad(padding: int | str, kernel_size: int, stride: int) -> int:
    """Return the pixels that padding adds to height or width, both ends together."""
    if padding != "same":
        if isinstance(padding, str):
            raise ValueError(f"backbone.padding is {padding!r}: give a whole number of pixels, or same.")
        return 2 * count("backbone.padding", padding, least=0)
    if stride != 1:
        raise ValueError(
            f"backbone.padding is 'same', which needs backbone.stride=1, but it is {stride}: "
            f"give pixels, such as backbone.padding={kernel_size // 2}."
        )
    return kernel_size - 1
