"""Test-time augmentation: mean logits over several views of a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn


class Views(nn.Module):
    """Network that scores with the mean of its logits over several views of a picture; training is unchanged.

    The views follow Jordan's networks for CIFAR-10 (arXiv 2404.00498): the picture, its mirror image, and both
    shifted by some pixels down-right and up-left. Background fills the uncovered pixels, as in training.

    Shapes:
        images (B, C, H, W), normalised float32 -> logits (B, num_classes), before softmax.

    Args:
        network: The network that scores one view.
        background: Normalised pixels of the background, of a shape that broadcasts with images.
        mirrored: Whether to add the mirror image of each view.
        shift: Pixels by which pictures are shifted; 0 adds no shifted views.
    """

    def __init__(self, network: nn.Module, background: Tensor, mirrored: bool, shift: int) -> None:
        super().__init__()
        self.network = network
        self.background: Tensor
        self.register_buffer("background", background, persistent=False)  # known from the data, not a weight
        self.mirrored = mirrored
        self.shift = shift

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images.

        Shapes:
            images (B, C, H, W) -> logits (B, num_classes).
        """
        if self.training:
            logits: Tensor = self.network(images)
            return logits
        views = self.views(images)
        mean: Tensor = sum(self.network(view) for view in views) / len(views)
        return mean

    def views(self, images: Tensor) -> list[Tensor]:
        """Return the views that are scored, the picture itself first; each has the images' shape."""
        views = [images]
        if self.shift:
            padded = nn.functional.pad(images - self.background, [self.shift] * 4) + self.background
            height, width = images.shape[-2:]
            corners = (0, 2 * self.shift)
            views += [padded[..., corner : corner + height, corner : corner + width] for corner in corners]
        if self.mirrored:
            views += [view.flip(-1) for view in views]
        return views


def network_of(backbone: nn.Module) -> nn.Module:
    """Return the network itself, of one that `Views` may wrap."""
    return backbone.network if isinstance(backbone, Views) else backbone


def features_and_logits(backbone: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the features and the logits of a backbone in evaluation mode, both as means over the scoring views.

    The network in it has `features` and a `head` that turns them into logits. Features are computed once a view.

    Shapes:
        images (B, C, H, W), normalised -> features (B, F) and logits (B, num_classes).
    """
    network = network_of(backbone)
    extract = cast(Callable[[Tensor], Tensor], network.features)
    head = cast(Callable[[Tensor], Tensor], network.head)
    views = backbone.views(images) if isinstance(backbone, Views) else [images]
    features = [extract(view) for view in views]
    return _mean(features), _mean([head(each) for each in features])


def _mean(tensors: list[Tensor]) -> Tensor:
    mean: Tensor = sum(tensors[1:], start=tensors[0]) / len(tensors)
    return mean
