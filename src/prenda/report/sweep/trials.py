"""Trials of a sweep for its report: their order, scales of axes, and text formats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STATES = ("finished", "pruned", "failed", "interrupted", "skipped")  # in the order of lists
LARGEST = 1e30  # larger values count as infinite: matplotlib's own arithmetic overflows near 1e308
LOG_FACTOR = 30  # positive numbers that span more get a logarithmic axis


@dataclass(frozen=True)
class SweptTrial:
    """One trial of a sweep, in its final state.

    Attributes:
        state: "finished", "pruned", "failed", "skipped" (same settings as an earlier trial) or "interrupted".
        parameters: Chosen values by dotted name; a conditional parameter is absent if its condition does not hold.
        values: One value an objective; empty if the trial reached none.
        curve: Validation score of the first objective after each finished epoch.
        note: Last line of an error, or the reason for pruning.
    """

    number: int
    state: str
    parameters: Mapping[str, Any]
    values: Sequence[float]
    curve: Mapping[int, float]
    seconds: float | None
    note: str = ""

    def reached(self, objective: int = 0) -> float:
        """Return the value; for the first objective without one, the last point of the curve; NaN without either."""
        if objective < len(self.values):
            return finite(self.values[objective])
        return finite(self.curve[max(self.curve)]) if self.curve and not objective else float("nan")


@dataclass(frozen=True)
class Swept:
    """A sweep, in its final state.

    Attributes:
        command: Command line of the sweep.
        objectives: Names of metrics, such as `val/accuracy`.
        directions: "maximize" or "minimize" for each objective.
        importance: Importance of each parameter, adding up to 1; empty if unknown.
        best: Number of the best trial; for several objectives, numbers of the Pareto front.
    """

    name: str
    command: str
    objectives: Sequence[str]
    directions: Sequence[str]
    trials: Sequence[SweptTrial]
    importance: Mapping[str, float]
    best: Sequence[int]

    def of_state(self, *states: str) -> list[SweptTrial]:
        """Return the trials that ended in these states."""
        return [trial for trial in self.trials if trial.state in states]

    def parameters(self) -> list[str]:
        """Return the parameters of all trials, in order of appearance."""
        return list(dict.fromkeys(name for trial in self.trials for name in trial.parameters))

    def changing(self) -> list[str]:
        """Return the parameters that differ between trials; absence counts as a value."""
        absent = object()
        return [n for n in self.parameters() if len({str(t.parameters.get(n, absent)) for t in self.trials}) > 1]

    def ranked(self) -> list[SweptTrial]:
        """Return the trials: the best first, then by state and score."""
        sign = -1 if self.directions[0] == "maximize" else 1

        def key(trial: SweptTrial) -> tuple[bool, int, bool, float, int]:
            score = trial.reached()
            place = STATES.index(trial.state) if trial.state in STATES else len(STATES)
            unknown = bool(np.isnan(score))
            return trial.number not in self.best, place, unknown, 0.0 if unknown else sign * score, trial.number

        return sorted(self.trials, key=key)


@dataclass(frozen=True)
class Scale:
    """Scale of an axis from low to high, linear or logarithmic.

    Attributes:
        cut: Whether some bad values lie outside.
    """

    low: float
    high: float
    log: bool = False
    cut: bool = False

    def place(self, value: float) -> float:
        """Return 0 at the low end and 1 at the high end; 0.5 if both are equal."""
        low, high, value = (self._flat(number) for number in (self.low, self.high, value))
        return (value - low) / (high - low) if high > low else 0.5

    def at(self, place: float) -> float:
        """Return the value at a place; a scale with equal ends has some room around them."""
        low, high = self._flat(self.low), self._flat(self.high)
        room = high - low if high > low else (abs(high) or 1.0) * 0.1
        value = low + (place if high > low else place - 0.5) * room
        return float(10**value) if self.log else value

    def holds(self, value: float) -> bool:
        """Return whether a value lies inside; NaN does not."""
        return self.low <= value <= self.high

    def clamped(self, value: float) -> float:
        """Return the value, or the nearest value inside."""
        return min(max(value, self.low), self.high)

    def _flat(self, value: float) -> float:
        return float(np.log10(value)) if self.log else value


def finite(value: float) -> float:
    """Return the value, or NaN if its size is `LARGEST` or more."""
    return float(value) if abs(value) < LARGEST else float("nan")


def is_number(value: Any) -> bool:
    """Return whether a value can be drawn on an axis of numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def scale(values: Iterable[float], direction: str) -> Scale:
    """Return a scale from the best value to the worst that is no outlier.

    An outlier is beyond the worse quartile by more than three times its distance from the best. One diverged trial
    would otherwise flatten all others into a line.
    """
    numbers = np.array([value for value in map(finite, values) if not np.isnan(value)])
    if not len(numbers):
        return Scale(0.0, 1.0)
    flat: NDArray[np.float64] = np.log10(numbers) if spans_much(map(float, numbers)) else numbers
    gains = flat if direction == "maximize" else -flat
    best, quartile = float(gains.max()), float(np.quantile(gains, 0.25))
    inliers = numbers[gains >= quartile - 3 * (best - quartile)]
    low, high = float(inliers.min()), float(inliers.max())
    return Scale(low, high, spans_much(map(float, inliers)), len(inliers) < len(numbers))


def spans_much(values: Iterable[float]) -> bool:
    """Return whether numbers are easier to read on a logarithmic axis.

    They must be positive and span more than a factor of `LOG_FACTOR`, with a median nearer to the middle of that axis.
    Uniform draws from 0 to 0.5 span as much, but crowd at the end of a logarithmic axis.
    """
    numbers = sorted(values)
    low, middle, high = numbers[0], numbers[(len(numbers) - 1) // 2], numbers[-1]
    if low <= 0 or high / low <= LOG_FACTOR:
        return False
    off = [abs(Scale(low, high, log).place(middle) - 0.5) for log in (False, True)]
    return off[1] <= off[0]


def best_so_far(swept: Swept, objective: int = 0) -> list[tuple[int, float]]:
    """Return number and value of each finished trial that was better than all earlier ones, by number."""
    sign = 1 if swept.directions[objective] == "maximize" else -1
    steps: list[tuple[int, float]] = []
    for trial in sorted(swept.of_state("finished"), key=lambda trial: trial.number):
        value = trial.reached(objective)
        if not np.isnan(value) and (not steps or sign * value > sign * steps[-1][1]):
            steps.append((trial.number, value))
    return steps


def digits_of(values: Iterable[Any]) -> int:
    """Return the fewest significant digits, from four, with which different numbers look different."""
    numbers = {value for value in values if isinstance(value, float)}
    return next((digits for digits in (4, 6, 9) if len({f"{n:.{digits}g}" for n in numbers}) == len(numbers)), 17)


def format_value(value: Any, digits: int = 4) -> str:
    """Format a parameter as on the command line, floats to so many significant digits."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.{digits}g}" if isinstance(value, float) else " ".join(str(value).split())


def score_text(value: float) -> str:
    """Format a score: four digits after the point; large numbers and counts with thousands separators."""
    if not np.isfinite(value):
        return str(float(value))
    if abs(value) >= 1e9:
        return f"{value:.3g}"
    if abs(value) >= 1000 or (float(value).is_integer() and abs(value) > 1):
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) >= 0.001 or not value else f"{value:.3g}"


def shortened(text: str, most: int) -> str:
    """Shorten text to at most `most` characters by leaving out its middle."""
    head, tail = most // 2, most - most // 2 - 1
    return text if len(text) <= most else f"{text[:head]}…{text[len(text) - tail :]}"
