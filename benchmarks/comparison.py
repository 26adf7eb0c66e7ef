"""Seconds, ratios and goals from samples of epochs.

A sample is the output of `python benchmarks/epochs.py one …` with its round.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from written import table

Sample = dict[str, Any]


@dataclass(frozen=True)
class Ratio:
    """Ratio of two participants' median seconds, with the range of the rounds' ratios."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"


@dataclass(frozen=True)
class Goal:
    """Limit for the ratio of two participants' times, from above or below."""

    network: str
    one: str
    other: str
    most: float | None = None
    least: float | None = None

    def met(self, ratio: float) -> bool:
        return (self.most is None or ratio <= self.most) and (self.least is None or ratio >= self.least)

    def __str__(self) -> str:
        bound = f"at most {self.most}" if self.most is not None else f"at least {self.least}"
        return f"{self.network}: {self.one} / {self.other} {bound}"


GOALS = (
    Goal("dense", "prenda", "bare", most=1.15),
    Goal("dense", "template", "prenda", least=10),
    Goal("cnn", "prenda", "bare", most=1.05),
    Goal("cnn", "template", "prenda", least=2.5),
    Goal("cnn", "keras", "prenda", least=1.8),
)


def seconds(sample: Sample, figure: str = "steps") -> float:
    """Return the seconds of the sample's median epoch, with its steps scaled to `epoch_images`."""
    steps = median(sample["steps"])
    between = median(sample[figure]) - steps
    return steps * sample["epoch_images"] / sample["images"] + between


def taken(samples: Iterable[Sample], network: str, participant: str, figure: str = "steps") -> list[float]:
    """Return the seconds of each round."""
    ours = [sample for sample in samples if (sample["network"], sample["participant"]) == (network, participant)]
    return [seconds(sample, figure) for sample in sorted(ours, key=lambda sample: sample["round"])]


def ratio(samples: Sequence[Sample], network: str, one: str, other: str) -> Ratio | None:
    """Return the ratio of two participants, or None if one of them was not measured."""
    ones, others = taken(samples, network, one), taken(samples, network, other)
    if not (ones and others):
        return None
    rounds = [first / second for first, second in zip(ones, others, strict=True)]
    return Ratio(median(ones) / median(others), min(rounds), max(rounds))


def check_parameters(samples: Iterable[Sample]) -> None:
    """Assert that every participant trained a network of the same size."""
    sizes: dict[str, dict[str, int]] = {}
    for sample in samples:
        sizes.setdefault(sample["network"], {})[sample["participant"]] = sample["parameters"]
    for network, parameters in sizes.items():
        assert len(set(parameters.values())) == 1, f"{network} differs in parameters: {parameters}"


def figures(samples: Sequence[Sample]) -> str:
    """Return the table of every network and participant."""
    rows = []
    for network, participant in dict.fromkeys((sample["network"], sample["participant"]) for sample in samples):
        steps, whole = (median(taken(samples, network, participant, figure)) for figure in ("steps", "whole"))
        row = [network, participant, f"{steps:.3f}"]
        if participant == "bare":  # it does nothing after its steps
            rows.append([*row, "1", ""])
        else:
            rows.append([*row, str(ratio(samples, network, participant, "bare") or ""), f"{whole:.3f}"])
    return table(["network", "participant", "steps, s", "to bare (rounds)", "whole epoch, s"], rows, left=2)


def scaled(samples: Iterable[Sample]) -> list[str]:
    """Return a line for each figure that is scaled to more images than were trained on."""
    images_by_participant = {
        (sample["network"], sample["participant"]): (sample["images"], sample["epoch_images"])
        for sample in samples
        if sample["images"] != sample["epoch_images"]
    }
    return [
        f"{network}: {participant} trained on {images:,} images an epoch; its steps are scaled to {of:,}."
        for (network, participant), (images, of) in images_by_participant.items()
    ]


def goals(samples: Sequence[Sample]) -> list[str]:
    """Return a line for each goal whose participants were measured."""
    lines = []
    for goal in GOALS:
        measured = ratio(samples, goal.network, goal.one, goal.other)
        if measured is not None:
            lines.append(f"{goal}: {measured}, {'met' if goal.met(measured.median) else 'missed'}")
    return lines
