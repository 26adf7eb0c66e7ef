"""Network that takes pixels as they are and answers in calibrated probabilities, as a bundle's ONNX file does."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PlainPixels(nn.Module):
    """Normalisation before a network; temperature and softmax after it.

    Shapes:
        pixels (B, channels, H, W), uint8 -> probabilities and logits (B, classes), float32.

    Args:
        network: The network, from normalised images (B, C, H, W) to logits, before softmax.
        channels: C. Pixels of one channel are repeated to fill them.
        mean: Values to subtract from pixels, one for each stored channel.
        std: Values to divide by after that.
        temperature: Value to divide logits by before softmax.
    """

    def __init__(
        self, network: nn.Module, channels: int, mean: Sequence[float], std: Sequence[float], temperature: float
    ) -> None:
        super().__init__()
        self.network, self.channels, self.temperature = network, channels, temperature
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32)[:, None, None], persistent=False)
        # A product, as in training: a quotient rounds differently.
        self.register_buffer("scale", 1 / torch.tensor(std, dtype=torch.float32)[:, None, None], persistent=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probabilities and the logits of pixels.

        Shapes:
            pixels (B, channels, H, W) -> two of (B, classes).
        """
        images = (pixels.float() - self.mean) * self.scale
        if images.shape[1] != self.channels:
            images = images.expand(-1, self.channels, -1, -1)
        logits = self.network(images)
        return torch.softmax(logits / self.temperature, 1), logits
