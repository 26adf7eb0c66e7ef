"""From samples of epochs to seconds, ratios and goals.

A sample is what `python benchmarks/epochs.py one …` prints, with the round that it was taken in.
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
    """Of two participants' median seconds, and the least and most of the rounds' own ratios."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"


@dataclass(frozen=True)
class Goal:
    """How many times as long as another a participant may take, or must at least."""

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
    """Of the sample's median epoch; the steps as those of `epoch_images`, where it trained on fewer."""
    steps = median(sample["steps"])
    between = median(sample[figure]) - steps
    return steps * sample["epoch_images"] / sample["images"] + between


def taken(samples: Iterable[Sample], network: str, participant: str, figure: str = "steps") -> list[float]:
    """The seconds of each round."""
    ours = [sample for sample in samples if (sample["network"], sample["participant"]) == (network, participant)]
    return [seconds(sample, figure) for sample in sorted(ours, key=lambda sample: sample["round"])]


def ratio(samples: Sequence[Sample], network: str, one: str, other: str) -> Ratio | None:
    """None where one of them was not measured."""
    ones, others = taken(samples, network, one), taken(samples, network, other)
    if not (ones and others):
        return None
    rounds = [first / second for first, second in zip(ones, others, strict=True)]
    return Ratio(median(ones) / median(others), min(rounds), max(rounds))


def check_parameters(samples: Iterable[Sample]) -> None:
    """Every participant has trained a network of the same size."""
    sizes: dict[str, dict[str, int]] = {}
    for sample in samples:
        sizes.setdefault(sample["network"], {})[sample["participant"]] = sample["parameters"]
    for network, parameters in sizes.items():
        assert len(set(parameters.values())) == 1, f"{network} differs in parameters: {parameters}"


def figures(samples: Sequence[Sample]) -> str:
    """The table of every network and participant."""
    rows = []
    for network, participant in dict.fromkeys((sample["network"], sample["participant"]) for sample in samples):
        steps, whole = (median(taken(samples, network, participant, figure)) for figure in ("steps", "whole"))
        row = [network, participant, f"{steps:.3f}"]
        if participant == "bare":  # which does nothing after its steps
            rows.append([*row, "1", ""])
        else:
            rows.append([*row, str(ratio(samples, network, participant, "bare") or ""), f"{whole:.3f}"])
    return table(["network", "participant", "steps, s", "to bare (rounds)", "whole epoch, s"], rows, left=2)


def scaled(samples: Iterable[Sample]) -> list[str]:
    """Which figures stand for more images than were trained on."""
    found = {
        (sample["network"], sample["participant"]): (sample["images"], sample["epoch_images"])
        for sample in samples
        if sample["images"] != sample["epoch_images"]
    }
    return [
        f"{network}: {participant} trained on {images:,} images an epoch; its steps are scaled to {of:,}."
        for (network, participant), (images, of) in found.items()
    ]


def goals(samples: Sequence[Sample]) -> list[str]:
    """A line for each goal whose participants were measured."""
    lines = []
    for goal in GOALS:
        found = ratio(samples, goal.network, goal.one, goal.other)
        if found is not None:
            lines.append(f"{goal}: {found}, {'met' if goal.met(found.median) else 'missed'}")
    return lines
