"""Files of a comparison: a page with its pictures, JSON, and a description for MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prenda.report import figures, tables
from prenda.report.comparison.results import (
    MOST_RUNS_SHOWN,
    ComparedRun,
    Comparison,
    Group,
    class_table,
    classes_title,
    difference,
    disagreement,
    score_table,
)
from prenda.report.comparison.significance import (
    IMAGES_TITLE,
    SEEDS_TITLE,
    accuracy_table,
    group_table,
    has_groups,
    over_images,
    over_seeds,
    pair_table,
    seed_table,
    seeds_note,
)
from prenda.report.figures import IndexedImages, save
from prenda.report.page import Section, Table, write_page
from prenda.scoring.metrics import METRIC_BY_NAME
from prenda.scoring.significance import accuracy_interval, difference_interval
from prenda.system.foreign_text import markdown_text

IMAGES_SHOWN = 12  # in a gallery


def write(folder: Path, comparison: Comparison, images: IndexedImages | None, missing: str) -> None:
    """Write `comparison.html` and `.json`, and the pictures.

    Args:
        folder: Folder of the comparison.
        comparison: Results to write.
        images: Test images, (N, C, H, W); None leaves them out.
        missing: Reason for the missing images, if any.
    """
    matrices, differences = _write_confusions(folder / "confusion", comparison)
    galleries = [] if images is None else _write_galleries(folder / "disagreements", comparison, images)
    tables.write_json(_content(comparison), folder / "comparison.json")
    cap = "" if len(comparison.runs) <= MOST_RUNS_SHOWN else f" Of the first {MOST_RUNS_SHOWN} runs."
    sections = [
        Section("Runs", tables=[_run_table(comparison), _settings_table(comparison)]),
        Section("Scores", "Test images; differences of accuracies in points.", [score_table(comparison)]),
        _over_images(comparison),
        _over_seeds(comparison),
        Section(classes_title(comparison), "Test images, the largest change first.", [class_table(comparison)]),
        Section("Confusion matrices", f"Test images.{cap}", pictures=matrices, side_by_side=True),
        Section(
            "Difference of the confusion matrices from A",
            f"Orange cells hold more images than in A, purple cells fewer.{cap}",
            pictures=differences,
            side_by_side=True,
        ),
        Section("Disagreements", f"{disagreement(comparison)} {missing}", pictures=galleries),
    ]
    summary = " ".join(filter(None, (over_images(comparison), over_seeds(comparison), *comparison.notes)))
    write_page(folder / "comparison.html", comparison.name, summary, sections)


def describe(comparison: Comparison) -> str:
    """Return a comparison in Markdown, as MLflow shows it."""
    table = score_table(comparison)
    tests = [over_images(comparison), "", over_seeds(comparison)]
    lines = [
        *tests,
        "",
        *(f"- {run.letter}: {markdown_text(f'{run.name} ({run.place})')}" for run in comparison.runs),
        "",
    ]
    accuracy = accuracy_table(comparison)
    scores, intervals = (tables.markdown_table(each.columns, each.rows) for each in (table, accuracy))
    return "\n".join([*lines, scores, "", intervals, *("\n" + note for note in comparison.notes)])


def _write_confusions(folder: Path, comparison: Comparison) -> tuple[list[Path], list[Path]]:
    first, *others = comparison.runs[:MOST_RUNS_SHOWN]
    names, matrices, differences = comparison.class_names, [], []
    for run in (first, *others):
        title = f"{run.letter}: accuracy {METRIC_BY_NAME['accuracy'].text(run.scores.metrics['accuracy'])}"
        matrices.append(folder / f"{run.letter}.png")
        save(figures.confusion_figure(run.scores.confusion, names, title), matrices[-1])
    for run in others:
        figure = figures.confusion_difference_figure(
            first.scores.confusion, run.scores.confusion, names, f"{run.letter} − A, images"
        )
        differences.append(folder / f"{run.letter}-A.png")
        save(figure, differences[-1])
    return matrices, differences


def _write_galleries(folder: Path, comparison: Comparison, images: IndexedImages) -> list[Path]:
    """Write galleries of disagreements: one run right and the other wrong; of more runs, the most divided images."""
    written = []
    if len(comparison.runs) == 2:
        a, b = comparison.runs
        for wrong, right in ((a, b), (b, a)):
            chosen, captions = _won(wrong, right, comparison.class_names)
            if len(chosen):
                written.append(folder / f"{right.letter}_right_{wrong.letter}_wrong.png")
                title = f"{right.letter} is right, {wrong.letter} wrong: true class, and prediction of {wrong.letter}"
                save(figures.gallery_figure(images[chosen], captions, title), written[-1])
        return written
    chosen, captions = _divided(comparison)
    if len(chosen):
        written.append(folder / "divided.png")
        save(figures.gallery_figure(images[chosen], captions, "Most divided predictions: true class"), written[-1])
    return written


def _won(wrong: ComparedRun, right: ComparedRun, class_names: Sequence[str]) -> tuple[NDArray[np.int64], list[str]]:
    """Return images that one run has right and the other wrong, of every true class in turn.

    Within a class, those with the largest gap in the probability of the true class come first.
    """
    labels, predicted = right.scores.labels, wrong.scores.predicted
    truth = np.arange(len(labels)), labels
    gain = right.scores.probabilities[truth] - wrong.scores.probabilities[truth]
    candidates = np.flatnonzero(right.right & ~wrong.right)
    chosen = _of_all_classes(candidates[np.argsort(-gain[candidates], kind="stable")], labels, IMAGES_SHOWN)
    confidence = wrong.scores.probabilities.max(1)
    captions = [
        f"{class_names[labels[i]]}\n{wrong.letter}: {class_names[predicted[i]]}, {confidence[i]:.0%}" for i in chosen
    ]
    return chosen, captions


def _divided(comparison: Comparison) -> tuple[NDArray[np.int64], list[str]]:
    """Return images that some runs have right and others wrong, of every true class in turn.

    Within a class, the most evenly divided come first.
    """
    right = np.stack([run.right for run in comparison.runs])  # (runs, N)
    votes, count = right.sum(0), len(comparison.runs)
    candidates = np.flatnonzero((votes > 0) & (votes < count))
    labels, captions = comparison.runs[0].scores.labels, []
    divided_first = candidates[np.argsort(np.abs(votes[candidates] - count / 2), kind="stable")]
    chosen = _of_all_classes(divided_first, labels, 2 * IMAGES_SHOWN)
    for image in chosen:
        letters = " ".join(run.letter for run in comparison.runs if run.right[image])
        who = f"right: {letters}" if count <= MOST_RUNS_SHOWN else f"{votes[image]} of {count} right"
        captions.append(f"{comparison.class_names[labels[image]]}\n{who}")
    return chosen, captions


def _of_all_classes(images: NDArray[np.int64], labels: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most so many images: the first of each class, then the second of each, and so on.

    Shapes:
        images (M,), numbers of images in their order of preference; labels (N,), the true classes of all images.
    """
    place = np.empty(len(images), np.int64)  # of each image within its class
    for label in np.unique(labels[images]):
        of_class = labels[images] == label
        place[of_class] = np.arange(of_class.sum())
    return images[np.argsort(place, kind="stable")[:most]]


def _run_table(comparison: Comparison) -> Table:
    return Table(("run", "id or folder"), [(f"{run.letter}: {run.name}", run.place) for run in comparison.runs])


def _settings_table(comparison: Comparison) -> Table:
    """Return a table of the settings in which the runs differ."""
    names = dict.fromkeys(name for run in comparison.runs for name in run.settings)
    values = {name: [str(run.settings.get(name, "–")) for run in comparison.runs] for name in names}
    rows = [(name, *cells) for name, cells in values.items() if len(set(cells)) > 1]
    return Table(("settings that differ", *(run.letter for run in comparison.runs)), rows)


def _over_images(comparison: Comparison) -> Section:
    text = (
        f"{over_images(comparison)} {seeds_note(comparison)} These tests and intervals concern these trained models on "
        "other test images."
    )
    pairs = [] if comparison.cochran is None else [pair_table(comparison)]
    return Section(IMAGES_TITLE, text, [accuracy_table(comparison), *pairs])


def _over_seeds(comparison: Comparison) -> Section:
    text = f"{over_seeds(comparison)} These tests concern the configurations, trained again with other seeds."
    if not has_groups(comparison):
        return Section(SEEDS_TITLE, text)
    text += " The table has the mean over the seeds ± its 95% interval (Student)."
    tests = [seed_table(comparison)] if comparison.seed_tests else []
    return Section(SEEDS_TITLE, text, [group_table(comparison), *tests])


def _content(comparison: Comparison) -> dict[str, Any]:
    """Return all results as JSON."""
    first = comparison.runs[0]
    return {
        "over_images": over_images(comparison),
        "over_seeds": over_seeds(comparison),
        "notes": list(comparison.notes),
        "disagreement": disagreement(comparison),
        "class_names": list(comparison.class_names),
        "runs": [
            {
                "letter": run.letter,
                "name": run.name,
                "place": run.place,
                "settings": dict(run.settings),
                "metrics": run.scores.metrics,
                "accuracy_interval": accuracy_interval(int(run.right.sum()), len(run.scores.labels)),
                "difference": {name: difference(first, run, name) for name in run.scores.metrics},
                "classes": run.scores.classes,
                "confusion": run.scores.confusion.tolist(),
            }
            for run in comparison.runs
        ],
        "pairs": [
            {
                "first": pair.first.letter,
                "second": pair.second.letter,
                "different_classes": pair.different,
                "only_first_right": pair.test.only_first,
                "only_second_right": pair.test.only_second,
                "mcnemar_p": pair.test.p_value,
                "holm_p": pair.p_value,
                "seeds_only": pair.seeds_only,
                "difference_interval": difference_interval(
                    pair.test.only_first, pair.test.only_second, len(first.scores.labels)
                ),
            }
            for pair in comparison.pairs
        ],
        "cochran": comparison.cochran and dict(zip(("q", "p"), comparison.cochran, strict=True)),
        "groups": [
            {"runs": [run.letter for run in group.runs], "seeds": group.seeds, "means": _means(group)}
            for group in comparison.groups
        ],
        "seed_tests": [
            {
                "first": [run.letter for run in each.first.runs],
                "second": [run.letter for run in each.second.runs],
                "difference": each.test.difference,
                "half_width": each.test.half_width if each.test.defined else None,
                "welch_p": each.test.p_value if each.test.defined else None,
                "holm_p": each.p_value if each.test.defined else None,
            }
            for each in comparison.seed_tests
        ],
    }


def _means(group: Group) -> dict[str, dict[str, float | None]]:
    """Return means for JSON, which has no infinity: the half width of a single value is null."""
    return {
        name: {"mean": mean, "half_width": half if np.isfinite(half) else None}
        for name, (mean, half) in group.means.items()
    }
