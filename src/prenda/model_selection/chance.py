"""Kinds of chance that a promotion excludes: in the choice of test images, and in training."""

from __future__ import annotations

from collections.abc import Sequence

from prenda.scoring.significance import SIGNIFICANCE, welch
from prenda.tracking.seeds import Seeds


def excluded(significant_over_images: bool, champion: Seeds, entrant: Seeds) -> str:
    """Return two sentences that say which kinds of chance are excluded as the reason for a better result.

    Args:
        significant_over_images: Whether McNemar's test finds the entrant better.
        champion: The seeds of the champion's configuration.
        entrant: The seeds of the entrant's configuration.
    """
    return (
        f"Chance in the choice of test images is {_excluded(significant_over_images)}. "
        f"Chance in training is {_in_training(champion, entrant)}."
    )


def _in_training(champion: Seeds, entrant: Seeds) -> str:
    if entrant.configuration is not None and entrant.configuration == champion.configuration:
        return "not excluded: both runs have one configuration and differ in their seed"
    theirs, ours = (list(seeds.accuracies.values()) for seeds in (champion, entrant))
    if min(len(theirs), len(ours)) < 2:
        return (
            "not excluded: that takes two or more recorded seeds of both configurations, and there are "
            f"{max(len(ours), 1)} of this one and {max(len(theirs), 1)} of the champion's"
        )
    return _over_seeds(theirs, ours)


def _over_seeds(theirs: Sequence[float], ours: Sequence[float]) -> str:
    test = welch(theirs, ours, "greater")
    if not test.defined:
        return "not excluded: accuracy does not vary over the recorded seeds, so no test is possible"
    significant = test.p_value < SIGNIFICANCE
    return (
        f"{_excluded(significant)}: over {len(ours)} and {len(theirs)} seeds, the mean accuracy of its configuration "
        f"is {100 * test.difference:+.2f} ± {100 * test.half_width:.2f} points from that of the champion's "
        f"(Welch's t-test, one-sided, p = {test.p_value:.2g})"
    )


def _excluded(significant: bool) -> str:
    return "excluded" if significant else "not excluded"
