"""Several views of a picture at scoring."""

from __future__ import annotations

from torch import Tensor, nn


class Views(nn.Module):
    """In training the network as it is; in scoring the mean of its logits over several views of a picture.

    The views of Jordan's networks for CIFAR-10 (arXiv 2404.00498): the picture, its mirror image, and both
    moved by some pixels down to the right and up to the left. Background fills what is uncovered, as in training.

    Shapes:
        images (B, C, H, W), normalised float32 -> logits (B, num_classes), before softmax.

    Args:
        network: What scores one view.
        background: Normalised pixels of the background, of a shape that broadcasts with images.
        mirrored: Adds the mirror image of each view.
        shift: Pixels by which pictures are moved; with 0 they are not.
    """

    def __init__(self, network: nn.Module, background: Tensor, mirrored: bool, shift: int) -> None:
        super().__init__()
        self.network = network
        self.background: Tensor
        self.register_buffer("background", background, persistent=False)  # known from the data, not a weight
        self.mirrored = mirrored
        self.shift = shift

    def forward(self, images: Tensor) -> Tensor:
        """Shapes: images (B, C, H, W) -> logits (B, num_classes)."""
        if self.training:
            logits: Tensor = self.network(images)
            return logits
        views = self._views(images)
        scores: Tensor = sum(self.network(view) for view in views) / len(views)
        return scores

    def _views(self, images: Tensor) -> list[Tensor]:
        views = [images]
        if self.shift:
            padded = nn.functional.pad(images - self.background, [self.shift] * 4) + self.background
            height, width = images.shape[-2:]
            corners = (0, 2 * self.shift)
            views += [padded[..., corner : corner + height, corner : corner + width] for corner in corners]
        if self.mirrored:
            views += [view.flip(-1) for view in views]
        return views
