"""Near-duplicates among photos: the same picture at another size, quality or brightness, or mirrored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MOST_BITS = 3  # finds every copy of half the size; 1 of 7 million pairs of different photos of clothing is so near
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


def groups(hashes: Sequence[int], most_bits: int = MOST_BITS) -> NDArray[np.int64]:
    """Return the group of each photo, (N,), numbered by first appearance.

    Photos whose hashes, or mirrored hashes, differ by at most `most_bits` share a group, and so do those that other
    photos connect. Hashes are compared within bands that near ones share, so 100,000 photos take seconds.
    """
    unique, position = np.unique(np.array(hashes, np.uint64), return_inverse=True)
    count = len(unique)
    both = np.concatenate([unique, unique ^ np.uint64(MIRRORED)])
    roots = np.arange(count)
    for first, second in _near_pairs(both, most_bits):
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
