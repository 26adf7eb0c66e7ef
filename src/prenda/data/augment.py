"""Augmentation of training batches; each image has its own random draws."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Augment:
    """Random mirrors, shifts and blanked rectangles; background (0) fills uncovered pixels.

    It works on raw pixels, before normalisation, where a batch takes a quarter of the memory.

    Attributes:
        flip: Probability of a left-right mirror.
        shift: Largest move in pixels, up, down, left and right.
        erase: Probability that a rectangle is blanked.
        erase_area: Largest part of the picture that the rectangle takes, up to 1.
    """

    flip: float = 0.0
    shift: int = 0
    erase: float = 0.0
    erase_area: float = 0.15

    def __call__(self, images: Tensor) -> Tensor:
        """Augment a batch, with draws from the device's global generator.

        Shapes:
            images (B, C, H, W), uint8 -> the same.
        """
        if self.flip:
            images = mirror(images, self.flip)
        if self.shift:
            images = move(images, self.shift)
        if self.erase:
            images = blank(images, self.erase, self.erase_area)
        return images


def mirror(images: Tensor, probability: float) -> Tensor:
    """Mirror each image left to right with a probability."""
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < probability
    return torch.where(chosen, images.flip(-1), images)


def move(images: Tensor, pixels: int) -> Tensor:
    """Shift each image by up to `pixels` in both directions."""
    count, _, height, width = images.shape
    device = images.device
    padded = torch.nn.functional.pad(images, [pixels] * 4)
    down, right = torch.randint(0, 2 * pixels + 1, (2, count, 1), device=device)
    rows = (down + torch.arange(height, device=device))[:, :, None]  # (B, H, 1)
    columns = (right + torch.arange(width, device=device))[:, None, :]  # (B, 1, W)
    image = torch.arange(count, device=device)[:, None, None]
    return padded[image, :, rows, columns].permute(0, 3, 1, 2)  # indexing gives (B, H, W, C)


def blank(images: Tensor, probability: float, largest_area: float) -> Tensor:
    """Set a rectangle of each image to background with a probability.

    The area is uniform up to `largest_area` of the picture; the sides differ by up to a factor of three.
    """
    count, _, height, width = images.shape
    device = images.device
    area = torch.rand(count, device=device) * largest_area
    stretch = (torch.rand(count, device=device) * 2 - 1).mul(torch.log(torch.tensor(3.0))).exp().sqrt()
    tall, wide = (area.sqrt() * stretch).clamp(max=1), (area.sqrt() / stretch).clamp(max=1)
    top, left = torch.rand(count, device=device) * (1 - tall), torch.rand(count, device=device) * (1 - wide)
    y = (torch.arange(height, device=device) + 0.5) / height
    x = (torch.arange(width, device=device) + 0.5) / width
    inside_rows = (y >= top[:, None]) & (y < (top + tall)[:, None])  # (B, H)
    inside_columns = (x >= left[:, None]) & (x < (left + wide)[:, None])  # (B, W)
    chosen = torch.rand(count, device=device) < probability
    rectangle = inside_rows[:, None, :, None] & inside_columns[:, None, None, :] & chosen[:, None, None, None]
    return images.masked_fill(rectangle, 0)
