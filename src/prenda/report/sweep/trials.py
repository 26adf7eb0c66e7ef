"""What a sweep's report is made of: its trials, their order, and where an axis of their scores is cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STATES = ("finished", "pruned", "failed", "interrupted", "skipped")  # as they are listed
LARGEST = 1e30  # what diverged beyond it counts as infinite: matplotlib's own arithmetic overflows near 1e308
LOG_FACTOR = 30  # positive numbers that span more stand on a logarithmic axis


@dataclass(frozen=True)
class SweptTrial:
    """One trial of a sweep, as it ended.

    Attributes:
        state: "finished", "pruned", "failed", "skipped" (same settings as an earlier trial) or "interrupted".
        parameters: What was chosen, by dotted name; a conditional one is absent where its condition does not hold.
        values: One per objective; empty where none was reached.
        curve: Validation score of the first objective after each epoch, as far as the trial came.
        note: The last line of an error, say, or why it was pruned.
    """

    number: int
    state: str
    parameters: Mapping[str, Any]
    values: Sequence[float]
    curve: Mapping[int, float]
    seconds: float | None
    note: str = ""

    def reached(self, objective: int = 0) -> float:
        """Its value or, of the first objective without one, the last of its curve; NaN where neither is a number."""
        if objective < len(self.values):
            return finite(self.values[objective])
        return finite(self.curve[max(self.curve)]) if self.curve and not objective else float("nan")


@dataclass(frozen=True)
class Swept:
    """A sweep, as it ended.

    Attributes:
        command: What was typed.
        objectives: Names, such as `val/accuracy`.
        directions: "maximize" or "minimize", of each objective.
        importance: Of each parameter, adding up to 1; empty where it cannot be told.
        best: The number of the best trial or, of several objectives, those of the Pareto front.
    """

    name: str
    command: str
    objectives: Sequence[str]
    directions: Sequence[str]
    trials: Sequence[SweptTrial]
    importance: Mapping[str, float]
    best: Sequence[int]

    def of_state(self, *states: str) -> list[SweptTrial]:
        """Its trials that ended so."""
        return [trial for trial in self.trials if trial.state in states]

    def parameters(self) -> list[str]:
        """Every parameter that a trial has, in the order of appearance."""
        return list(dict.fromkeys(name for trial in self.trials for name in trial.parameters))

    def changing(self) -> list[str]:
        """The parameters that differ between trials; absent is a value too."""
        absent = object()
        return [n for n in self.parameters() if len({str(t.parameters.get(n, absent)) for t in self.trials}) > 1]

    def ranked(self) -> list[SweptTrial]:
        """The best first, then what finished, then what came less far, each by its score."""
        sign = -1 if self.directions[0] == "maximize" else 1

        def key(trial: SweptTrial) -> tuple[bool, int, bool, float, int]:
            score = trial.reached()
            place = STATES.index(trial.state) if trial.state in STATES else len(STATES)
            unknown = bool(np.isnan(score))
            return trial.number not in self.best, place, unknown, 0.0 if unknown else sign * score, trial.number

        return sorted(self.trials, key=key)


@dataclass(frozen=True)
class Scale:
    """An axis from low to high, linear or logarithmic.

    Attributes:
        cut: Whether some values lie outside, on the side of the bad ones.
    """

    low: float
    high: float
    log: bool = False
    cut: bool = False

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high one; half where both are the same."""
        low, high, value = (self._flat(number) for number in (self.low, self.high, value))
        return (value - low) / (high - low) if high > low else 0.5

    def at(self, place: float) -> float:
        """The value there; an axis whose ends are the same has some room around them."""
        low, high = self._flat(self.low), self._flat(self.high)
        room = high - low if high > low else (abs(high) or 1.0) * 0.1
        value = low + (place if high > low else place - 0.5) * room
        return float(10**value) if self.log else value

    def holds(self, value: float) -> bool:
        """Whether a value lies inside; NaN does not."""
        return self.low <= value <= self.high

    def clamped(self, value: float) -> float:
        """The value, or the nearest inside."""
        return min(max(value, self.low), self.high)

    def _flat(self, value: float) -> float:
        return float(np.log10(value)) if self.log else value


def finite(value: float) -> float:
    """The value, or NaN where it is infinite or about to be."""
    return float(value) if abs(value) < LARGEST else float("nan")


def is_number(value: Any) -> bool:
    """Whether a parameter can stand on an axis of numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def scale(values: Iterable[float], direction: str) -> Scale:
    """From the best value to the worst that is not far off.

    Far off: beyond the worse quartile by more than thrice its distance from the best. One diverged trial would
    otherwise press all others into a line.
    """
    numbers = np.array([value for value in map(finite, values) if not np.isnan(value)])
    if not len(numbers):
        return Scale(0.0, 1.0)
    flat: NDArray[np.float64] = np.log10(numbers) if spans_much(map(float, numbers)) else numbers
    gains = flat if direction == "maximize" else -flat
    best, quartile = float(gains.max()), float(np.quantile(gains, 0.25))
    shown = numbers[gains >= quartile - 3 * (best - quartile)]
    low, high = float(shown.min()), float(shown.max())
    return Scale(low, high, spans_much(map(float, shown)), len(shown) < len(numbers))


def spans_much(values: Iterable[float]) -> bool:
    """Whether positive numbers are read better on a logarithmic axis.

    They span more than a factor of `LOG_FACTOR`, and the middle one lies nearer to the middle of that axis: even draws
    from 0 to 0.5 span as much, but bunch at its end.
    """
    numbers = sorted(values)
    low, middle, high = numbers[0], numbers[(len(numbers) - 1) // 2], numbers[-1]
    if low <= 0 or high / low <= LOG_FACTOR:
        return False
    off = [abs(Scale(low, high, log).place(middle) - 0.5) for log in (False, True)]
    return off[1] <= off[0]


def best_so_far(swept: Swept, objective: int = 0) -> list[tuple[int, float]]:
    """Number and value of each finished trial that was better than all before it, in the order of their numbers."""
    sign = 1 if swept.directions[objective] == "maximize" else -1
    steps: list[tuple[int, float]] = []
    for trial in sorted(swept.of_state("finished"), key=lambda trial: trial.number):
        value = trial.reached(objective)
        if not np.isnan(value) and (not steps or sign * value > sign * steps[-1][1]):
            steps.append((trial.number, value))
    return steps


def format_value(value: Any) -> str:
    """A parameter as it is typed on the command line, floats to four digits."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else " ".join(str(value).split())


def score_text(value: float) -> str:
    """Four digits after the point; large numbers and counts with thousands separated."""
    if not np.isfinite(value):
        return str(float(value))
    if abs(value) >= 1e9:
        return f"{value:.3g}"
    if abs(value) >= 1000 or (float(value).is_integer() and abs(value) > 1):
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) >= 0.001 or not value else f"{value:.3g}"


def shortened(text: str, most: int) -> str:
    """At most so many characters, the middle left out."""
    head, tail = most // 2, most - most // 2 - 1
    return text if len(text) <= most else f"{text[:head]}…{text[len(text) - tail :]}"
