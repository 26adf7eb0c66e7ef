"""Significance in a comparison, as sentences and tables: over test images and over training seeds.

Over test images: would these trained models differ on other images of this kind?
Over training seeds: would their configurations differ if they were trained again with other seeds?
"""

from __future__ import annotations

from prenda.report.comparison.results import Comparison, Pair, SeedTest
from prenda.report.page import Table
from prenda.scoring.metrics import HEADLINE, METRIC_BY_NAME
from prenda.scoring.significance import SIGNIFICANCE, accuracy_interval, difference_interval

MOST_PAIRS_SHOWN = 15
ACCURACY = METRIC_BY_NAME["accuracy"]
IMAGES_TITLE, SEEDS_TITLE = "Significance over test images", "Significance over training seeds"
SEEDS_ONLY = "yes, seeds"


def over_images(comparison: Comparison) -> str:
    """Return the result of the tests over test images in sentences."""
    if comparison.cochran is None:
        return _over_images_of_two(comparison.pairs[0])
    q, p_value = comparison.cochran
    best = max(comparison.runs, key=lambda run: run.scores.metrics["accuracy"])
    highest = ACCURACY.text(best.scores.metrics["accuracy"])
    significant_pairs = sum(pair.p_value < SIGNIFICANCE for pair in comparison.pairs)
    return (
        f"Of {len(comparison.runs)} models, {best.letter} has the highest accuracy ({highest}). Over test images, "
        f"their differences are {_significance(p_value)} (Cochran's Q = {q:.1f}, {p_text(p_value)}), and "
        f"{significant_pairs} of {len(comparison.pairs)} pairs differ significantly (McNemar, exact, Holm-corrected)."
    )


def over_seeds(comparison: Comparison) -> str:
    """Return the result of the tests over training seeds in sentences, or the reason why nothing was tested."""
    tests = comparison.seed_tests
    if len(comparison.groups) == 1:
        return (
            "All runs have the same configuration and differ in their seed alone: their differences are chance in "
            "training."
        )
    if not tests:
        return (
            "Over training seeds, nothing was tested: that needs runs with two or more seeds of each configuration. "
            "Chance in training may explain the difference."
        )
    if len(tests) == 1:
        return _over_seeds_of_two(tests[0])
    significant = sum(test.p_value < SIGNIFICANCE for test in tests)
    return (
        f"Over training seeds, {significant} of {len(tests)} pairs of configurations differ significantly in their "
        "mean accuracy (Welch's t-test, Holm-corrected)."
    )


def accuracy_table(comparison: Comparison) -> Table:
    """Return a table of accuracies and their differences from the first run, with 95% intervals over test images."""
    first, *_ = comparison.runs
    images = len(first.scores.labels)
    against_first = {pair.second.letter: pair.test for pair in comparison.pairs if pair.first is first}
    rows = []
    for run in comparison.runs:
        low, high = accuracy_interval(int(run.right.sum()), images)
        row = [run.letter, ACCURACY.text(run.scores.metrics["accuracy"]), f"{low:.2%} to {high:.2%}"]
        if test := against_first.get(run.letter):
            low, high = difference_interval(test.only_first, test.only_second, images)
            change = run.scores.metrics["accuracy"] - first.scores.metrics["accuracy"]
            row += [ACCURACY.change_text(change), f"{ACCURACY.change_text(low)} to {ACCURACY.change_text(high)}"]
        rows.append([*row, *[""] * (5 - len(row))])
    return Table(("", "accuracy", "95% interval", "− A", "95% interval"), rows)


def pair_table(comparison: Comparison) -> Table:
    """Return a table of pairs with Holm-corrected p-values, the smallest first."""
    rows = [
        (
            f"{pair.first.letter}, {pair.second.letter}",
            str(pair.different),
            str(pair.test.only_first),
            str(pair.test.only_second),
            _p_number(pair.p_value),
            (SEEDS_ONLY if pair.seeds_only else "yes") if pair.p_value < SIGNIFICANCE else "no",
        )
        for pair in sorted(comparison.pairs, key=lambda pair: pair.p_value)[:MOST_PAIRS_SHOWN]
    ]
    return Table(("pair", "differ", "only 1st right", "only 2nd right", "p, Holm", "significant"), rows)


def seeds_note(comparison: Comparison) -> str:
    """Return a sentence about significant pairs that differ in their seed only; empty if there are none."""
    if not any(pair.seeds_only and pair.p_value < SIGNIFICANCE for pair in comparison.pairs):
        return ""
    return (
        f'"{SEEDS_ONLY}": one of these models is better, but both have the same configuration, so the difference is '
        "chance in training."
    )


def group_table(comparison: Comparison) -> Table:
    """Return a table with the means of each configuration over its seeds."""
    rows = [
        (
            group.letters,
            "1 run" if len(group.runs) == 1 else str(group.seeds),
            *(metric.interval_text(*group.means[metric.name]) for metric in HEADLINE),
        )
        for group in comparison.groups
    ]
    return Table(("runs", "seeds", *(metric.name for metric in HEADLINE)), rows)


def seed_table(comparison: Comparison) -> Table:
    """Return a table of pairs of configurations with Holm-corrected p-values, the smallest first."""
    rows = [
        (
            f"{test.second.letters} − {test.first.letters}",
            _change_over_seeds(test),
            _p_number(test.p_value),
            "yes" if test.p_value < SIGNIFICANCE else "no",
        )
        for test in sorted(comparison.seed_tests, key=lambda test: test.p_value)[:MOST_PAIRS_SHOWN]
    ]
    return Table(("configurations", "mean accuracy", "p, Holm", "significant"), rows)


def has_groups(comparison: Comparison) -> bool:
    """Return whether any runs differ in their seed only."""
    return any(len(group.runs) > 1 for group in comparison.groups)


def pairs_title(comparison: Comparison) -> str:
    """Return the title of `pair_table`."""
    count = len(comparison.pairs)
    return f"Pairs, the {MOST_PAIRS_SHOWN} most significant of {count}" if count > MOST_PAIRS_SHOWN else "Pairs"


def p_text(p_value: float) -> str:
    """Format a p-value to two digits, such as `p = 0.012`."""
    return f"p = {p_value:.2g}" if p_value > 1e-99 else "p < 1e-99"


def _p_number(p_value: float) -> str:
    return p_text(p_value).removeprefix("p = ").removeprefix("p ")


def _over_images_of_two(pair: Pair) -> str:
    a, b, test = pair.first.letter, pair.second.letter, pair.test
    if not test.only_first + test.only_second:
        return f"{a} and {b} are right on the same images: there is no difference to test."
    return (
        f"{b} is right on {test.only_second} images where {a} is wrong, {a} on {test.only_first} where {b} is wrong. "
        f"Over test images, the difference between these two models is {_significance(pair.p_value)} (McNemar, exact, "
        f"{p_text(pair.p_value)})."
    )


def _over_seeds_of_two(test: SeedTest) -> str:
    start = (
        f"Over training seeds, mean accuracy of {test.second.letters} less that of {test.first.letters} is "
        f"{_change_over_seeds(test)} points"
    )
    if not test.test.defined:
        return f"{start}. No test is possible: accuracy does not vary over the seeds of either configuration."
    return f"{start}, {_significance(test.p_value)} (Welch's t-test, {p_text(test.p_value)})."


def _change_over_seeds(test: SeedTest) -> str:
    interval = f" ± {100 * test.test.half_width:.2f}" if test.test.defined else ""
    return ACCURACY.change_text(test.test.difference) + interval


def _significance(p_value: float) -> str:
    return "statistically significant" if p_value < SIGNIFICANCE else "not significant"
