"""Separation of a garment from the background of its photo: dark, coloured and unevenly lit backgrounds too."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Indices = NDArray[np.int64]

SIDE = 128  # pixels of the longer edge at which the garment is looked for
BORDER_SHARE = 0.03  # width of the border that shows the background, as a share of the shorter edge
LEAST_DISTANCE = 255 * 0.05  # the paper's 5%: colours this near to the background belong to it
OTSU_SHARE = 0.7  # of the distance that separates garment and background best: a garment is pale in places
NOISE_CAP = 1.0  # of the same distance; the border is no noise where the garment crosses it
OUTLIER = 2.5  # robust standard deviations
SMALLEST_PART = 0.1  # of the largest component's area; smaller ones are labels, shadows, dust


def garment_mask(image: Image.Image) -> NDArray[np.bool_]:
    """Return where the garment is, bool (H, W) of a picture whose longer edge has `SIDE` pixels.

    The background is a plane in each colour, fitted robustly to the border, so that a gradient of light is no garment.
    Pixels farther from it than a threshold (Otsu's, at least the paper's 5% and the noise of the border) are the
    garment, with their holes; small components are left out.
    """
    scale = SIDE / max(image.size)
    small = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    distance = background_distance(median_filtered(np.asarray(small)).astype(np.float32))
    border = distance[_border(distance.shape)]
    noise = float(np.median(border)) + OUTLIER * 1.4826 * float(np.median(np.abs(border - np.median(border))))
    split = otsu(distance)
    threshold = max(LEAST_DISTANCE, OTSU_SHARE * split, min(noise, NOISE_CAP * split))
    return _filled(_large_components(distance > threshold))


def median_filtered(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the median of each pixel's 3x3 neighbourhood in each channel, (H, W, channels); edges are repeated.

    The result is that of Pillow's `MedianFilter(3)`, which takes five times as long. Where columns are sorted, the
    median is that of three values: the largest of the lows, the median of the middles, the smallest of the highs.
    """
    padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), "edge")
    columns = _sorted(padded[:-2], padded[1:-1], padded[2:])
    neighbours = [_sorted(rows[:, :-2], rows[:, 1:-1], rows[:, 2:]) for rows in columns]
    return _sorted(neighbours[0][2], neighbours[1][1], neighbours[2][0])[1]


def _sorted(*three: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return three pictures with the values of each place in order."""
    first, second, third = three
    first, second = np.minimum(first, second), np.maximum(first, second)
    second, third = np.minimum(second, third), np.maximum(second, third)
    return np.minimum(first, second), np.maximum(first, second), third


def background_distance(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each pixel's distance from the background in RGB, float32 (H, W) for pixels (H, W, 3)."""
    plane, border = _plane(pixels.shape[:2]), _border(pixels.shape[:2])
    known, colors = plane[border], pixels[border]
    deviations = _largest(np.abs(colors - np.median(colors, axis=0)))
    kept = deviations <= np.quantile(deviations, 0.7)
    for _ in range(5):
        coefficients, *_ = np.linalg.lstsq(known[kept], colors[kept])
        residuals = _largest(np.abs(colors - known @ coefficients))
        spread = 1.4826 * np.median(residuals[kept])
        fitted, kept = kept, residuals <= max(LEAST_DISTANCE, float(OUTLIER * spread))
        if np.array_equal(fitted, kept):  # the next fit would be the same
            break
    distance: NDArray[np.float32] = _largest(np.abs(pixels - plane @ coefficients))
    return distance


def _largest(colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the largest of three channels, (..., 3); `max(axis=-1)` takes several times as long."""
    largest: NDArray[np.float32] = np.maximum(np.maximum(colors[..., 0], colors[..., 1]), colors[..., 2])
    return largest


@lru_cache(maxsize=64)  # photos of a shop have few formats
def _plane(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return 1, row and column of each pixel, (H, W, 3), from -1 to 1."""
    height, width = shape
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    plane: NDArray[np.float32] = np.stack([np.ones_like(rows), rows, columns], axis=-1)
    return plane


@lru_cache(maxsize=64)
def _border(shape: tuple[int, int]) -> NDArray[np.bool_]:
    height, width = shape
    thickness = max(1, round(BORDER_SHARE * min(height, width)))
    border = np.ones((height, width), bool)
    border[thickness : height - thickness, thickness : width - thickness] = False
    return border


def otsu(values: NDArray[np.float32]) -> float:
    """Return the threshold that separates two groups of values best (Otsu, IEEE Trans. SMC 9, 1979)."""
    counts, edges = np.histogram(values, bins=64)
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centers)
    with np.errstate(invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1:][np.argmax(np.nan_to_num(between))])


def components(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the number of each pixel's 4-connected component, from 1; 0 outside the mask.

    Rows are cut into runs of pixels. Runs that touch, one below the other, take the smaller number of the two until
    none changes.
    """
    height, width = mask.shape
    padded = np.zeros((height, width + 2), np.int8)
    padded[:, 1:-1] = mask
    changes = np.flatnonzero(np.diff(padded.ravel()))
    starts, ends = changes[::2], changes[1::2]  # in the padded picture: each row begins and ends outside the mask
    upper, lower = _touching(starts, ends, width + 2)
    numbers = np.arange(1, len(starts) + 1, dtype=np.int32)
    while True:
        smaller = np.minimum(numbers[upper], numbers[lower])
        before = numbers.copy()
        np.minimum.at(numbers, upper, smaller)
        np.minimum.at(numbers, lower, smaller)
        numbers = numbers[numbers - 1]  # a run's number is a run too: take its number at once
        if np.array_equal(before, numbers):
            break
    labels = np.zeros(mask.shape, np.int32)
    labels[mask] = np.repeat(numbers, ends - starts)
    return labels


def _touching(starts: Indices, ends: Indices, row: int) -> tuple[Indices, Indices]:
    """Return the pairs of runs that touch in neighbouring rows, as indices of the upper and of the lower run."""
    first = np.searchsorted(ends, starts - row, side="right")  # upper runs that end behind the lower one's start
    last = np.searchsorted(starts, ends - row, side="left")  # and start before its end
    counts = np.maximum(last - first, 0)
    lower = np.repeat(np.arange(len(starts)), counts)
    offsets = np.arange(len(lower)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(first, counts) + offsets, lower


def _large_components(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels = components(mask)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    large: NDArray[np.bool_] = (areas >= max(1.0, SMALLEST_PART * float(areas.max())))[labels]
    return large


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask with its holes: what the background cannot reach from the border."""
    labels = components(~mask)
    outside = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return mask | ~np.isin(labels, outside)
