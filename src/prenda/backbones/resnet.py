"""Small residual networks."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from prenda.backbones.activations import activation as activation_named
from prenda.backbones.settings import halved, probability, stages


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He and others, arXiv 1512.03385, section 3.3 and option B).

    Shapes:
        (B, inputs, H, W) -> (B, outputs, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, activation: str) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            activation_named(activation),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.activation = activation_named(activation)

    def forward(self, features: Tensor) -> Tensor:
        """Apply the block.

        Shapes:
            (B, inputs, H, W) -> (B, outputs, H', W').
        """
        outputs: Tensor = self.activation(self.body(features) + self.shortcut(features))
        return outputs


class ResNet(nn.Module):
    """A 3x3 stem, stages of residual blocks, global average pooling, one linear layer.

    Every stage after the first halves the picture.

    Shapes:
        images (B, C, H, W), normalised float32 -> logits (B, num_classes), before softmax.

    Raises:
        ValueError: If a setting is invalid or the images are too small; the text starts with the setting's dotted name.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        widths: Sequence[int] = (16, 32, 64),
        blocks: Sequence[int] = (2, 2, 2),
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        widths, blocks = stages(widths, "backbone.blocks", blocks)
        halved(image_shape, len(widths), times=len(widths) - 1)
        self.stem = nn.Sequential(
            nn.Conv2d(image_shape[0], widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            activation_named(activation),
        )
        self.stages = nn.Sequential()
        inputs = widths[0]
        for stage, (outputs, depth) in enumerate(zip(widths, blocks, strict=True)):
            strides = [1 if stage == 0 else 2] + [1] * (depth - 1)
            for stride in strides:
                self.stages.append(ResidualBlock(inputs, outputs, stride, activation))
                inputs = outputs
        self.dropout = nn.Dropout(probability("backbone.dropout", dropout))
        self.head = nn.Linear(inputs, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images.

        Shapes:
            images (B, C, H, W) -> logits (B, num_classes).
        """
        features = self.stages(self.stem(images))  # (B, widths[-1], H', W')
        logits: Tensor = self.head(self.dropout(features.mean((2, 3))))
        return logits
