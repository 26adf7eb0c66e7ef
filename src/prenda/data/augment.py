"""Augmentation of training batches, a whole batch at a time; each image has its own random draws."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate


@dataclass(frozen=True)
class Augment:
    """Random crops, colours, mirrors, shifts and blanked rectangles; background (0) fills uncovered pixels.

    It works on raw pixels, before normalisation, where a batch takes a quarter of the memory.

    Attributes:
        crop: Smallest part of the picture's area that a random square crop takes, which is resized to `size`; 0 crops
            nothing.
        color: Strength of random changes of brightness, contrast and saturation, up to 1; 0 changes none.
        flip: Probability of a left-right mirror.
        shift: Largest move in pixels, up, down, left and right.
        erase: Probability that a rectangle is blanked.
        erase_area: Largest part of the picture that the rectangle takes, up to 1.
        size: Pixels a side of the result; None leaves the size of the images.
    """

    crop: float = 0.0
    color: float = 0.0
    flip: float = 0.0
    shift: int = 0
    erase: float = 0.0
    erase_area: float = 0.15
    size: int | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Augment a batch, with draws from the device's global generator.

        Shapes:
            images (B, C, H, W), uint8 -> (B, C, size, size), uint8; without `size` the same.
        """
        if self.crop:
            images = cropped(images, self.crop, self.size)
        elif self.size is not None and images.shape[-2:] != (self.size, self.size):
            resized = interpolate(images.float(), (self.size, self.size), mode="bilinear", antialias=True)
            images = resized.round_().to(torch.uint8)
        if self.color:
            images = recolored(images, self.color)
        if self.flip:
            images = mirror(images, self.flip)
        if self.shift:
            images = move(images, self.shift)
        if self.erase:
            images = blank(images, self.erase, self.erase_area)
        return images


def cropped(images: Tensor, smallest_area: float, size: int | None = None) -> Tensor:
    """Cut a random square from each image, and resize it to `size` pixels a side (None: to the image's own size).

    The area is uniform from `smallest_area` of the picture to all of it. One bilinear `grid_sample` serves the whole
    batch, on any device: 25 ms of a core for 32 images of 221 to 192 pixels. Resizing one image after the other takes
    102 ms with antialiasing in float32, and 26 ms in uint8, which a GPU lacks. A sample reads four pixels, so images
    should be stored at less than twice `size`.
    """
    count, _, height, width = images.shape
    device = images.device
    side = (torch.rand(count, device=device) * (1 - smallest_area) + smallest_area).sqrt()  # a part of the picture's
    top, left = torch.rand(2, count, device=device) * (1 - side)
    rows, columns = (_sampled(start, side, size or whole) for start, whole in ((top, height), (left, width)))
    shape = (count, rows.shape[1], columns.shape[1])
    places = torch.stack([columns[:, None, :].expand(shape), rows[:, :, None].expand(shape)], -1)  # (B, size, size, 2)
    samples = grid_sample(images.float(), places, mode="bilinear", padding_mode="border", align_corners=False)
    return samples.round_().to(torch.uint8)


def _sampled(start: Tensor, side: Tensor, size: int) -> Tensor:
    """Return the centres of `size` pixels in a part of a picture, (B, size), from -1 to 1 over the whole picture."""
    centres = (torch.arange(size, device=start.device) + 0.5) / size
    return (start[:, None] + side[:, None] * centres) * 2 - 1


def recolored(images: Tensor, strength: float) -> Tensor:
    """Change brightness, contrast and saturation of each image, each by a factor from 1 - strength to 1 + strength.

    The three changes are linear in the colours, so they are one matrix an image. Brightness is applied first, and
    contrast keeps the picture's mean grey. Grey images have no saturation.
    """
    count, channels = images.shape[:2]
    device = images.device
    brightness, contrast, saturation = 1 + strength * (torch.rand(3, count, 1, 1, device=device) * 2 - 1)
    pixels = images.flatten(2).float()  # (B, C, H*W)
    grey = torch.full((1, channels), 1 / channels, device=device)
    if channels == 3:
        grey = torch.tensor([[0.299, 0.587, 0.114]], device=device)  # ITU-R BT.601
    identity = torch.eye(channels, device=device)
    saturated = saturation * identity + (1 - saturation) * grey  # (B, C, C): each row adds grey to one channel
    mean = (grey @ pixels.mean(2, keepdim=True)) * brightness  # (B, 1, 1)
    changed = torch.baddbmm(mean * (1 - contrast), brightness * contrast * saturated, pixels)
    return changed.clamp_(0, 255).round_().to(torch.uint8).view_as(images)


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
