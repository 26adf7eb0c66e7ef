"""Separation of a garment from the background of its photo: dark, coloured and unevenly lit backgrounds too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

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
    distance = background_distance(np.asarray(small.filter(ImageFilter.MedianFilter(3)), np.float32))
    border = distance[_border(distance.shape)]
    noise = float(np.median(border)) + OUTLIER * 1.4826 * float(np.median(np.abs(border - np.median(border))))
    split = otsu(distance)
    threshold = max(LEAST_DISTANCE, OTSU_SHARE * split, min(noise, NOISE_CAP * split))
    return _filled(_large_components(distance > threshold))


def background_distance(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each pixel's distance from the background in RGB, float32 (H, W) for pixels (H, W, 3)."""
    height, width = pixels.shape[:2]
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    plane = np.stack([np.ones_like(rows), rows, columns], axis=-1)
    border = _border((height, width))
    known, colors = plane[border], pixels[border]
    kept = np.abs(colors - np.median(colors, axis=0)).max(axis=1)
    kept = kept <= np.quantile(kept, 0.7)
    for _ in range(5):
        coefficients, *_ = np.linalg.lstsq(known[kept], colors[kept], rcond=None)
        residuals = np.abs(colors - known @ coefficients).max(axis=1)
        spread = 1.4826 * np.median(residuals[kept])
        kept = residuals <= max(LEAST_DISTANCE, OUTLIER * spread)
    distance: NDArray[np.float32] = np.abs(pixels - plane @ coefficients).max(axis=2)
    return distance


def _border(shape: Sequence[int]) -> NDArray[np.bool_]:
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
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1:][np.nanargmax(np.nan_to_num(between))])


def components(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the number of each pixel's 4-connected component, from 1; 0 outside the mask."""
    parents = [0]
    labels = np.zeros(mask.shape, np.int32)
    previous: list[tuple[int, int, int]] = []
    for row, line in enumerate(mask):
        changes = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(np.int8), [0]])))
        current = []
        for start, end in zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True):
            touching = {_root(parents, label) for first, last, label in previous if first < end and start < last}
            label = min(touching, default=len(parents))
            if not touching:
                parents.append(label)
            for other in touching:
                parents[other] = label
            labels[row, start:end] = label
            current.append((start, end, label))
        previous = current
    roots = np.array([_root(parents, label) for label in range(len(parents))], np.int32)
    return roots[labels]


def _root(parents: list[int], label: int) -> int:
    while parents[label] != label:
        label = parents[label]
    return label


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
    return mask | ~np.isin(labels, outside[outside > 0])
