"""Network that takes pixels as they are and answers in calibrated probabilities, as a bundle's ONNX file does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prenda.scoring.novelty import Novelty


@dataclass(frozen=True)
class FeatureNovelty:
    """Novelty of a network that exposes features.

    Attributes:
        statistics: Statistics of training images.
        compute: Returns the features (B, F) and the logits (B, classes) that the network has for normalised images.
        pixels: Real pictures, (N, channels, H, W), uint8, on which the ONNX file's novelty is checked.
        normalize: Normalisation of such pixels in training and scoring.
    """

    statistics: Novelty
    compute: Callable[[nn.Module, Tensor], tuple[Tensor, Tensor]]
    pixels: Tensor
    normalize: Callable[[Tensor], Tensor]


class PlainPixels(nn.Module):
    """Normalisation before a network; temperature, softmax and novelty after it.

    Shapes:
        pixels (B, channels, H, W), uint8 -> probabilities and logits (B, classes), float32, and novelty (B,), float32,
        if the network exposes features.

    Args:
        network: The network, from normalised images (B, C, H, W) to logits, before softmax.
        channels: C. Pixels of one channel are repeated to fill them.
        mean: Values to subtract from pixels, one for each stored channel.
        std: Values to divide by after that.
        temperature: Value to divide logits by before softmax.
        novelty: Novelty of the network's features; None leaves the third output out.
    """

    def __init__(
        self,
        network: nn.Module,
        channels: int,
        mean: Sequence[float],
        std: Sequence[float],
        temperature: float,
        novelty: FeatureNovelty | None = None,
    ) -> None:
        super().__init__()
        self.network, self.channels, self.temperature = network, channels, temperature
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32)[:, None, None], persistent=False)
        # A product, as in training: a quotient rounds differently.
        self.register_buffer("scale", 1 / torch.tensor(std, dtype=torch.float32)[:, None, None], persistent=False)
        self.compute = None if novelty is None else novelty.compute
        self.novelty = None if novelty is None else NoveltyScore(novelty.statistics)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the probabilities and the logits of pixels, and their novelty if the network exposes features.

        Shapes:
            pixels (B, channels, H, W) -> two of (B, classes), and (B,).
        """
        images = (pixels.float() - self.mean) * self.scale
        if images.shape[1] != self.channels:
            images = images.expand(-1, self.channels, -1, -1)
        if self.compute is None or self.novelty is None:
            logits = self.network(images)
            return torch.softmax(logits / self.temperature, 1), logits
        features, logits = self.compute(self.network, images)
        return torch.softmax(logits / self.temperature, 1), logits, self.novelty(features, logits)


class NoveltyScore(nn.Module):
    """`prenda.scoring.novelty.Novelty` in float32.

    It holds the principal subspace, not the larger one outside of it: with 1,280 features 1.3 MB instead of 5.2 MB.

    Shapes:
        features (B, F), logits (B, classes) -> (B,).
    """

    def __init__(self, statistics: Novelty) -> None:
        super().__init__()
        self.mean: Tensor
        self.principal: Tensor
        self.register_buffer("mean", torch.tensor(statistics.mean, dtype=torch.float32), persistent=False)
        self.register_buffer("principal", torch.tensor(statistics.principal, dtype=torch.float32), persistent=False)
        self.alpha = statistics.alpha

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        """Return the novelty of images from their features and logits."""
        centred = features - self.mean
        squares = centred.square().sum(1) - (centred @ self.principal).square().sum(1)
        novelty: Tensor = self.alpha * squares.clamp(min=0).sqrt() - torch.logsumexp(logits, 1)
        return novelty
