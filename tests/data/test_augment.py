from __future__ import annotations

import pytest
import torch

from prenda.data.augment import Augment, blank, cropped, mirror, move, recolored


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, (400, 3, 12, 10), dtype=torch.uint8, generator=generator)


def test_nothing_is_changed_by_default(images):
    assert Augment()(images) is images


def test_each_image_is_mirrored_by_its_own_draw(images):
    out = mirror(images, 0.5)
    same = (out == images).flatten(1).all(1)
    mirrored = (out == images.flip(-1)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 120 < mirrored.sum() < 280


def test_all_or_none_are_mirrored_at_the_ends(images):
    assert torch.equal(mirror(images, 1.0), images.flip(-1))
    assert torch.equal(mirror(images, 0.0), images)


def test_each_image_is_moved_whole_by_at_most_the_distance(images):
    out = move(images, 2)
    assert out.shape == images.shape
    assert out.dtype == torch.uint8
    padded = torch.nn.functional.pad(images, [2] * 4)
    windows = {(y, x): padded[:, :, y : y + 12, x : x + 10] for y in range(5) for x in range(5)}
    hits = {place: (out == window).flatten(1).all(1) for place, window in windows.items()}
    assert torch.stack(list(hits.values())).sum(0).eq(1).all()
    assert sum(bool(hit.any()) for hit in hits.values()) == 25


def test_a_rectangle_is_blanked_in_some(images):
    out = blank(images, 0.5, 0.2)
    erased = (out == 0).all(1)  # over the channels: (B, H, W)
    touched = erased.flatten(1).any(1)
    assert 100 < touched.sum() < 260
    rows, columns = erased.any(2), erased.any(1)
    assert torch.equal(erased, rows[:, :, None] & columns[:, None, :])
    # A pixel is blank when its middle is: a rectangle of a fifth of 120 pixels covers at most a few more than 24.
    assert erased.flatten(1).sum(1).max() <= 36
    assert torch.equal(out[~touched], images[~touched])


def test_draws_follow_the_global_seed(images):
    augment = Augment(crop=0.5, color=0.3, flip=0.5, shift=2, erase=0.5)
    torch.manual_seed(3)
    one = augment(images)
    torch.manual_seed(3)
    assert torch.equal(one, augment(images))
    assert not torch.equal(one, augment(images))


def gradients(channels: int = 3) -> torch.Tensor:
    """Pictures that grow from left to right and from top to bottom, so that a pixel's value tells its place."""
    ramp = torch.linspace(20, 220, 48)
    return ((ramp[:, None] + ramp) / 2).round().to(torch.uint8).expand(64, channels, 48, 48).contiguous()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_crop_is_a_part_of_the_picture_of_the_wanted_size(channels):
    images = gradients(channels)
    out = cropped(images, 0.25, 40)
    assert out.shape == (64, channels, 40, 40)
    assert out.dtype == torch.uint8
    slope = (out[..., -1].float() - out[..., 0].float()).mean((1, 2))  # 100 over the whole picture
    assert slope.min() >= 47  # half of a side
    assert slope.max() <= 100
    assert len(slope.round().unique()) > 20
    assert (out[:, :, 1:] >= out[:, :, :-1]).all()


def test_a_crop_of_everything_is_a_resize():
    images = gradients()
    resized = torch.nn.functional.interpolate(images, (40, 40), mode="bilinear", antialias=True)
    assert (cropped(images, 1.0, 40).int() - resized.int()).abs().max() <= 2
    assert torch.equal(cropped(images, 1.0), images)


def test_stored_images_are_resized_where_nothing_is_cropped():
    assert Augment(size=40)(gradients()).shape == (64, 3, 40, 40)
    images = gradients()
    assert Augment(size=48)(images) is images


def test_colours_change_by_their_strength(images):
    assert torch.equal(recolored(images, 0.0), images)
    flat = torch.full((300, 3, 4, 4), 100, dtype=torch.uint8)
    values = recolored(flat, 0.4).float()
    assert torch.equal(values.amin((1, 2, 3)), values.amax((1, 2, 3)))  # grey stays grey, flat stays flat
    assert 60 <= values.min() < 70
    assert 130 < values.max() <= 140


def test_a_grey_picture_changes_in_brightness_and_contrast():
    images = gradients(1)
    out = recolored(images, 0.4)
    assert out.shape == images.shape
    spread = out.amax((1, 2, 3)).float() - out.amin((1, 2, 3)).float()
    assert spread.min() < 170 < spread.max()  # 200 in the original


def test_saturation_moves_colours_to_and_from_grey():
    red = torch.tensor([200, 50, 50], dtype=torch.uint8)[None, :, None, None].expand(300, 3, 2, 2).contiguous()
    out = recolored(red, 0.4).float()
    ratio = (out[:, 0] - out[:, 1]).mean((1, 2)) / out.mean((1, 2, 3))
    assert ratio.min() < 1.0 < 1.7 < ratio.max()  # 1.5 in the original
