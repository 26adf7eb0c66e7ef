"""Two views of a picture at scoring."""

from __future__ import annotations

from torch import Tensor, nn


class Mirrored(nn.Module):
    """In training the network as it is; in scoring the mean of its logits for a picture and for its mirror image.

    Shapes:
        images (B, C, H, W), normalised float32 -> logits (B, num_classes), before softmax.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Shapes: images (B, C, H, W) -> logits (B, num_classes)."""
        logits: Tensor = self.network(images)
        if self.training:
            return logits
        mirrored: Tensor = self.network(images.flip(-1))
        return (logits + mirrored) / 2
