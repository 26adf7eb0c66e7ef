from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from prenda.photos.near_duplicates import MIRRORED, MOST_BITS, MOST_BITS_CROPPED, groups, perceptual_hash, thumbnail


def picture(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    return Image.fromarray(pixels).resize((240, 180), Image.Resampling.BICUBIC)


COPIES: list[Callable[[Image.Image], Image.Image]] = [
    lambda image: image.resize((120, 90)),
    lambda image: image.resize((300, 300)),
    lambda image: ImageEnhance.Brightness(image).enhance(0.9),
    lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    ImageOps.mirror,
    lambda image: ImageOps.mirror(image).resize((120, 90)),
]


@pytest.mark.parametrize("copy", COPIES)
def test_copies_share_a_group(copy: Callable[[Image.Image], Image.Image]) -> None:
    originals = [picture(seed) for seed in range(20)]
    hashes = [perceptual_hash(image) for image in [*originals, *map(copy, originals)]]

    assert groups(hashes).tolist() == [*range(20), *range(20)]


def test_hash_has_64_bits() -> None:
    assert all(0 <= perceptual_hash(picture(seed)) < 2**64 for seed in range(20))
    assert perceptual_hash(Image.new("RGB", (50, 50), "white")) == 0


def test_bits_are_the_signs_of_frequencies_row_by_row() -> None:
    ramp = np.tile(np.arange(255, 0, -8, np.uint8), (32, 1))  # brighter at the left: odd frequencies alone

    assert perceptual_hash(Image.fromarray(ramp)) == 0b10101010
    assert perceptual_hash(Image.fromarray(ramp.T)) == sum(1 << 8 * row for row in (1, 3, 5, 7))


def test_groups_are_numbered_by_first_appearance() -> None:
    far = [0x0F0F0F0F0F0F0F0F, 0x3333333300000000, 0x00FF00FF00FF00FF]

    found = groups([far[2], far[0], far[2], far[1], far[0]])
    assert (found.tolist(), found.dtype) == ([0, 1, 0, 2, 1], np.int64)
    assert groups([]).tolist() == []


def test_groups_are_transitive_up_to_the_limit() -> None:
    near, too_far = 2**MOST_BITS - 1, 2 ** (MOST_BITS + 1) - 1

    assert groups([0, near]).tolist() == [0, 0]
    assert groups([0, too_far]).tolist() == [0, 1]
    assert groups([0, too_far, near]).tolist() == [0, 0, 0]
    assert groups([0, too_far], most_bits=MOST_BITS + 1).tolist() == [0, 0]


def cropped(image: Image.Image) -> Image.Image:
    """The picture without 2% at each edge."""
    width, height = image.size
    return image.crop((width // 50, height // 50, width - width // 50, height - height // 50))


@pytest.mark.parametrize("copy", [cropped, lambda image: ImageOps.mirror(cropped(image))])
def test_cropped_copies_share_a_group_if_their_thumbnails_correlate(copy) -> None:
    originals = [picture(seed) for seed in range(20)]
    images = [*originals, *map(copy, originals)]
    hashes = [perceptual_hash(image) for image in images]
    distances = [
        min((a ^ b).bit_count(), (a ^ b ^ MIRRORED).bit_count()) for a, b in zip(hashes[:20], hashes[20:], strict=True)
    ]
    near = [distance <= MOST_BITS_CROPPED for distance in distances]
    assert sum(near) > sum(distance <= MOST_BITS for distance in distances)

    found = groups(hashes, MOST_BITS_CROPPED, lambda place: thumbnail(images[place]))

    assert (found[:20] == found[20:]).tolist() == near


def test_different_pictures_with_near_hashes_are_no_group() -> None:
    hashes, thumbnails = [0, 2 ** (MOST_BITS + 1) - 1], np.random.default_rng(0).random((2, 8, 8))
    near = [0, 2**MOST_BITS - 1]

    assert groups(near, MOST_BITS_CROPPED, lambda place: thumbnails[place]).tolist() == [0, 0]
    assert groups(hashes, MOST_BITS_CROPPED).tolist() == [0, 0]
    assert groups(hashes, MOST_BITS_CROPPED, lambda place: thumbnails[place]).tolist() == [0, 1]
    assert groups(hashes, MOST_BITS_CROPPED, lambda place: thumbnails[0]).tolist() == [0, 0]
    assert groups(hashes, MOST_BITS_CROPPED, lambda place: 200 + thumbnails[place]).tolist() == [0, 1]
    assert groups(hashes, MOST_BITS_CROPPED, lambda place: 9 * (1 + place) * thumbnails[0]).tolist() == [0, 0]
    half = thumbnails[0] + 0.5 * thumbnails[1]
    assert groups(hashes, MOST_BITS_CROPPED, lambda place: (half, 100 * thumbnails[0])[place]).tolist() == [0, 1]


def test_thumbnail_is_the_mean_of_each_part() -> None:
    image = picture(0).resize((80, 80))
    means = np.asarray(image, float).reshape(8, 10, 8, 10, 3).mean((1, 3))

    assert np.abs(thumbnail(image) - means).max() <= 1
    assert thumbnail(image.convert("L")).shape == (8, 8, 3)
    assert thumbnail(image).dtype == np.float64


def test_groups_equal_those_of_all_pairs() -> None:
    generator = np.random.default_rng(0)
    originals = generator.integers(0, 2**64, 40, np.uint64)
    flips = np.uint64(1) << generator.integers(0, 64, (400, 3)).astype(np.uint64)
    hashes = generator.choice(originals, 400) ^ np.bitwise_xor.reduce(flips, axis=1)

    found = groups(hashes.tolist())

    distances = np.bitwise_count(hashes[:, None] ^ hashes[None])
    reached = distances <= MOST_BITS
    for _ in range(8):
        reached = reached @ reached
    assert ((found[:, None] == found[None]) == reached).all()


def test_many_photos_are_grouped_quickly() -> None:
    generator = np.random.default_rng(0)
    hashes = generator.integers(0, 2**63, 20_000).tolist()

    found = groups([*hashes, *hashes, *[7] * 20_000])

    assert (found[:20_000] == found[20_000:40_000]).all()
    assert len(set(found[40_000:].tolist())) == 1
