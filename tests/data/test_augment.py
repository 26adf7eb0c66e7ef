from __future__ import annotations

import pytest
import torch

from prenda.data.augment import Augment, blank, mirror, move


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
    augment = Augment(flip=0.5, shift=2, erase=0.5)
    torch.manual_seed(3)
    one = augment(images)
    torch.manual_seed(3)
    assert torch.equal(one, augment(images))
    assert not torch.equal(one, augment(images))
