"""Near-duplicates among photos: the same picture at another size, quality or brightness, mirrored or cropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MOST_BITS = 3  # finds every copy of half the size; 1 of 7 million pairs of different photos of clothing is so near
# Of copies of photos of clothing, cropped by 2% at each edge, 3 bits find 34%, and 6 bits 78%, but with 43 pairs
# of different photos more. Thumbnails that correlate tell these apart: 78% are found, with no further pair.
MOST_BITS_CROPPED = 6
LEAST_CORRELATION = 0.98
THUMBNAIL = 8  # pixels a side
SIDE = 32  # pixels, of the picture that is transformed
FREQUENCIES = 8  # lowest ones, in each direction
ROUNDING = 1e-6  # a plain picture has no frequencies
_positions = np.arange(SIDE)
COSINES = np.cos(np.pi * (2 * _positions + 1) * np.arange(FREQUENCIES)[:, None] / (2 * SIDE))  # (frequency, position)
MIRRORED = sum(1 << bit for bit in range(1, FREQUENCIES**2, 2))  # bits that mirroring inverts: odd cosines


def perceptual_hash(image: Image.Image) -> int:
    """Return a 64-bit hash of what a picture shows; those of near-duplicates differ by a few bits.

    Each bit is the sign of one of the 8 x 8 lowest frequencies of the grey picture's cosine transform, the mean (bit 0)
    aside: the DCT hash of C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), with
    0 in the median's place. A difference hash takes all photos of one table in one light for the same.
    """
    small = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    spectrum = COSINES @ np.asarray(small, np.float64) @ COSINES.T
    spectrum[0, 0] = 0
    bits = np.packbits(spectrum.ravel() > ROUNDING, bitorder="little")
    return int.from_bytes(bits.tobytes(), "little")


def thumbnail(image: Image.Image) -> NDArray[np.float64]:
    """Return a picture at 8x8 pixels, (8, 8, 3), which a small crop hardly changes."""
    small = image.convert("RGB").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, np.float64)


def groups(
    hashes: Sequence[int], most_bits: int = MOST_BITS, thumbnails: Callable[[int], NDArray[np.float64]] | None = None
) -> NDArray[np.int64]:
    """Return the group of each photo, (N,), numbered by first appearance.

    Photos whose hashes, or mirrored hashes, differ by at most `most_bits` share a group, and so do those that other
    photos connect. Hashes are compared within bands that near ones share, so 100,000 photos take seconds.

    Args:
        hashes: Perceptual hash of each photo.
        most_bits: Bits by which hashes of one group may differ.
        thumbnails: Returns the thumbnail of a photo by its place in `hashes`. Photos whose hashes differ by more than
            `MOST_BITS` then share a group only if their thumbnails correlate.
    """
    unique, places, position = np.unique(np.array(hashes, np.uint64), return_index=True, return_inverse=True)
    count = len(unique)
    both = np.concatenate([unique, unique ^ np.uint64(MIRRORED)])
    roots = np.arange(count)
    for first, second in _near_pairs(both, most_bits):
        if thumbnails is not None:
            mirrored = (first < count) != (second < count)
            far = np.bitwise_count(both[first] ^ both[second]) > MOST_BITS
            pairs = zip(places[first % count], places[second % count], mirrored, far, strict=True)
            alike = [not is_far or _correlate(thumbnails, *pair) for *pair, is_far in pairs]
            first, second = first[alike], second[alike]
        roots = _joined(roots, first % count, second % count)
    return _by_first_appearance(roots[position])


def _near_pairs(hashes: NDArray[np.uint64], most_bits: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the positions of pairs of near hashes: two that differ by k bits agree in one of k + 1 bands of bits."""
    edges = np.linspace(0, 64, most_bits + 2).astype(int)
    for low, high in pairwise(edges.tolist()):
        band = (hashes >> np.uint64(low)) & np.uint64(2 ** (high - low) - 1)
        order = np.argsort(band, kind="stable")
        band, ordered = band[order], hashes[order]
        same = np.arange(len(hashes))
        for step in range(1, len(hashes)):
            same = same[same + step < len(hashes)]
            same = same[band[same] == band[same + step]]
            if len(same) == 0:
                break
            near = same[np.bitwise_count(ordered[same] ^ ordered[same + step]) <= most_bits]
            if len(near):
                yield order[near], order[near + step]


def _correlate(thumbnails: Callable[[int], NDArray[np.float64]], first: int, second: int, mirrored: bool) -> bool:
    """Return whether the thumbnails of two photos, of which one may be mirrored, are nearly equal but for contrast."""
    one, other = thumbnails(int(first)), thumbnails(int(second))
    one, other = (each - each.mean() for each in (one[:, ::-1] if mirrored else one, other))
    return bool((one * other).sum() > LEAST_CORRELATION * np.sqrt((one**2).sum() * (other**2).sum()))


def _joined(roots: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the smallest member of each one's group after these pairs are joined."""
    while True:
        one, other = roots[first], roots[second]
        if (one == other).all():
            return roots
        np.minimum.at(roots, np.maximum(one, other), np.minimum(one, other))
        while (roots != roots[roots]).any():
            roots = roots[roots]


def _by_first_appearance(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    _, first, numbers = np.unique(labels, return_index=True, return_inverse=True)
    ranks = np.empty(len(first), np.int64)
    ranks[np.argsort(first)] = np.arange(len(first))
    return ranks[numbers]
