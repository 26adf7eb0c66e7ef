"""Comparison of two runs' results: weights, predictions, metrics of each epoch and final scores."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from prenda.errors import UserError
from prenda.report.tables import UNREADABLE, RecordedPredictions, read_history, read_predictions
from prenda.training.checkpoints import BEST, Checkpoint, load
from prenda.training.starting_point import LAST
from prenda.training.tensor_digest import tensor_digest

# Largest difference that rounding in float32 explains: absolute up to 1, relative to larger values.
TOLERANCE = 1e-4
BITS, ROUNDING, DIFFERENT = "equal to the bit", "equal within rounding", "different"
HISTORY, SCORES = "metrics/metrics.csv", "scores.json"
SHOWN = 12  # characters of a hash
T = TypeVar("T")


@dataclass(frozen=True)
class Results:
    """Results of a run, as far as they were kept.

    Attributes:
        checkpoints: Checkpoints of the best and the last epoch, by these names.
        predictions: Predictions on `val` and `test`.
        history: Metrics of each epoch, by name and epoch.
        scores: Final scores, without times.
    """

    checkpoints: Mapping[str, Checkpoint]
    predictions: Mapping[str, RecordedPredictions]
    history: Mapping[tuple[str, int], float]
    scores: Mapping[str, float]

    @classmethod
    def read(cls, file: Callable[[str], Path | None]) -> Results:
        """Read the results of a run.

        Args:
            file: Returns a file of the run by its name in the run's folder; None if the run has no such file.

        Raises:
            UserError: If a file is damaged.
        """
        paths = {name: file(place.as_posix()) for name, place in (("best", BEST), ("last", LAST))}
        predictions = {split: file(f"predictions/{split}.npz") for split in ("val", "test")}
        history, scores = file(HISTORY), file(SCORES)
        return cls(
            {name: load(path) for name, path in paths.items() if path is not None},
            {split: _read(path, read_predictions) for split, path in predictions.items() if path is not None},
            {} if history is None else _read(history, _history),
            {} if scores is None else _read(scores, _scores),
        )


@dataclass(frozen=True)
class Part:
    """A part of a result, of both runs.

    Attributes:
        what: Name of the part.
        recorded: Digest or size of the recorded part.
        again: The same of the reproduction.
        difference: Largest difference; infinite if the parts cannot be compared value by value.
        where: Place of the largest difference.
        same: Whether all bits are equal.
    """

    what: str
    recorded: str
    again: str
    difference: float
    where: str
    same: bool

    @property
    def verdict(self) -> str:
        """`BITS`, `ROUNDING` or `DIFFERENT`."""
        return BITS if self.same else ROUNDING if self.difference <= TOLERANCE else DIFFERENT


def compare(recorded: Results, again: Results) -> list[Part]:
    """Compare the parts of a result that were kept of both runs."""
    return [
        *(_weights(name, recorded.checkpoints[name], again.checkpoints[name]) for name in recorded.checkpoints),
        *(_logits(split, recorded.predictions[split], again.predictions[split]) for split in recorded.predictions),
        *_epochs(recorded.history, again.history),
        _values("final scores", recorded.scores, again.scores),
    ]


def verdict(compared: Sequence[Part]) -> str:
    """Return the verdict on a whole result: that of its most different part."""
    return max((part.verdict for part in compared), key=(BITS, ROUNDING, DIFFERENT).index)


def difference(recorded: float, again: float) -> float:
    """Return the difference of two values: absolute up to a recorded value of 1, relative above; NaN equals NaN."""
    if math.isnan(recorded) or math.isnan(again):
        return 0.0 if math.isnan(recorded) and math.isnan(again) else math.inf
    return 0.0 if recorded == again else abs(again - recorded) / max(1.0, abs(recorded))


def _read(path: Path, reader: Callable[[Path], T]) -> T:
    try:
        return reader(path)
    except UNREADABLE as error:
        raise UserError(f"{path} is damaged ({error}): restore the file as the run wrote it.") from error


def _history(path: Path) -> dict[tuple[str, int], float]:
    history = read_history(path)
    return {(name, epoch): value for name, epochs in history.items() for epoch, value in epochs.items()}


def _scores(path: Path) -> dict[str, float]:
    scores = json.loads(path.read_text(encoding="utf-8"))
    return {name: float(value) for name, value in scores.items() if not name.endswith("seconds")}


def _weights(name: str, recorded: Checkpoint, again: Checkpoint) -> Part:
    one, two = recorded.weights, again.weights
    digests = [tensor_digest(weights) for weights in (one, two)]
    same = digests[0] == digests[1]
    shapes = [{key: tensor.shape for key, tensor in weights.items()} for weights in (one, two)]
    largest, where = math.inf, "other layers"
    if shapes[0] == shapes[1]:
        largest, where = max((_largest(one[key], two[key]), key) for key in one)
    where = "" if same else where
    if recorded.epochs != again.epochs:
        same, largest = False, math.inf
        where = f"epoch {recorded.epochs} recorded, {again.epochs} now"
    return Part(f"{name} weights", digests[0][:SHOWN], digests[1][:SHOWN], largest, where, same)


def _largest(recorded: Tensor, again: Tensor) -> float:
    """Return the largest difference between two tensors of a shape; see `difference`."""
    one, two = recorded.double(), again.double()
    apart = (two - one).abs() / one.abs().clamp(min=1)
    apart[(one == two) | (one.isnan() & two.isnan())] = 0
    return float(apart.nan_to_num(nan=math.inf, posinf=math.inf).max()) if apart.numel() else 0.0


def _logits(split: str, recorded: RecordedPredictions, again: RecordedPredictions) -> Part:
    one, two = recorded.logits, again.logits
    digests = [sha256(logits.tobytes()).hexdigest()[:SHOWN] for logits in (one, two)]
    largest, where = math.inf, f"{len(one):,} images recorded, {len(two):,} now"
    if one.shape == two.shape:
        largest = _largest(torch.from_numpy(one), torch.from_numpy(two))
        where = f"{int((one.argmax(1) != two.argmax(1)).sum()):,} of {len(one):,} images have another class"
    same = digests[0] == digests[1] and np.array_equal(recorded.labels, again.labels)
    return Part(f"{split} predictions", digests[0], digests[1], largest, "" if same else where, same)


def _epochs(recorded: Mapping[tuple[str, int], float], again: Mapping[tuple[str, int], float]) -> Iterator[Part]:
    if not recorded:
        return
    named = [{f"{name}, epoch {epoch}": value for (name, epoch), value in one.items()} for one in (recorded, again)]
    part = _values("metrics of the epochs", *named)
    apart = [place[1] for place in recorded.keys() & again.keys() if difference(recorded[place], again[place])]
    yield replace(part, where=f"{part.where}; first in epoch {min(apart)}") if apart else part


def _values(what: str, recorded: Mapping[str, float], again: Mapping[str, float]) -> Part:
    sizes = [f"{len(values):,} values" for values in (recorded, again)]
    missing = sorted(recorded.keys() ^ again.keys())
    if missing:
        return Part(what, sizes[0], sizes[1], math.inf, f"{missing[0]} is in one of the two only", same=False)
    apart = {name: difference(value, again[name]) for name, value in recorded.items()}
    largest = max(apart, key=apart.__getitem__)
    same = not any(apart.values())
    where = "" if same else f"{largest}: {recorded[largest]:.6g} recorded, {again[largest]:.6g} now"
    return Part(what, sizes[0], sizes[1], apart[largest], where, same)
