"""Report of one run: tables, pictures, a page with all of them, and a description for MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prenda.report import figures, tables
from prenda.report.figures import IndexedImages, save
from prenda.report.page import Section, Table, write_page
from prenda.scoring.calibration import reliability
from prenda.scoring.metrics import HEADLINE, METRIC_BY_NAME, METRICS, SUMMARY, Needs, measure, needing
from prenda.scoring.scores import Row, Scores, confused_pairs, overfitting
from prenda.scoring.significance import COVERED, accuracy_text

CLASS_METRICS = {"f1": "f1-score", "precision": "precision", "recall": "recall"}  # our names, the tables' columns
MISTAKES = 24  # shown


@dataclass(frozen=True)
class RunResults:
    """Results of a run, from which its report is written.

    Attributes:
        name: Name of the run.
        settings: Flattened configuration of the run.
        scores: Scores of the chosen checkpoint on `val`, `test` and, for a full report, `train`.
        temperature: Temperature fitted on validation.
        test_images: (N, C, H, W), uint8, in the order of the test scores.
        first_layer: Weights (N, C, h, w) of the first layer; None if it has none of this kind.
    """

    name: str
    settings: Mapping[str, Any]
    class_names: Sequence[str]
    scores: Mapping[str, Scores]
    temperature: float
    best_epoch: int
    test_images: IndexedImages
    first_layer: np.ndarray[Any, np.dtype[np.float32]] | None

    def calibrated(self, split: str) -> dict[str, float]:
        """Return the metrics of probabilities at the fitted temperature."""
        return measure(self.scores[split].at_temperature(self.temperature), needing(Needs.probabilities))

    def metrics(self) -> dict[str, float]:
        """Return all scores by logged name: `test/…`, and `best/val/…` and `best/train/…` for the others."""
        flat: dict[str, float] = {"temperature": self.temperature}
        for split, scores in self.scores.items():
            prefix = split if split == "test" else f"best/{split}"
            flat |= {f"{prefix}/{name}": value for name, value in scores.metrics.items()}
            flat |= {f"{prefix}/calibrated/{name}": value for name, value in self.calibrated(split).items()}
            for row in scores.classes[: len(self.class_names)]:
                class_name = str(row["class"]).replace("/", "-")  # MLflow's UI makes a folder at each slash
                flat |= {f"{prefix}/{name}/{class_name}": float(row[column]) for name, column in CLASS_METRICS.items()}
        return flat


def write_tables(folder: Path, run: RunResults) -> None:
    """Write scores by class, confusion matrices and predictions, which later comparisons read."""
    for split, scores in run.scores.items():
        tables.write_rows(scores.classes, folder / "classes" / split)
        tables.write_confusion(scores.confusion, run.class_names, folder / "confusion" / f"{split}.json")
        if split != "train":
            path = folder / "predictions" / f"{split}.npz"
            tables.write_predictions(scores.logits, scores.labels, run.class_names, path)


def write_confusions(folder: Path, run: RunResults, *, percent: bool) -> None:
    """Draw confusion matrices of counts and, if asked, of percentages."""
    for split, scores in run.scores.items():
        title = f"{run.name}, {split}: accuracy {METRIC_BY_NAME['accuracy'].text(scores.metrics['accuracy'])}"
        figure = figures.confusion_figure(scores.confusion, run.class_names, title)
        save(figure, folder / "confusion" / f"{split}.png")
        if percent:
            figure = figures.confusion_figure(scores.confusion, run.class_names, title, percent=True)
            save(figure, folder / "confusion" / f"{split}_percent.png")


def write_full(folder: Path, run: RunResults) -> None:
    """Write the pictures of a full report and `report.html`; `metrics/metrics.csv` must exist."""
    write_confusions(folder, run, percent=True)
    history = tables.read_history(folder / "metrics" / "metrics.csv")
    save(figures.curves_figure(history, run.best_epoch, run.name), folder / "training" / "curves.png")
    _write_calibration(folder / "calibration", run)
    _write_mistakes(folder / "mistakes", run)
    if run.first_layer is not None:
        kind = "weights of the first units" if run.first_layer.shape[-1] == run.test_images.shape[-1] else "filters"
        figure = figures.first_layer_figure(run.first_layer, f"First layer: {kind}")
        save(figure, folder / "network" / "first_layer.png")
    write_page(folder / "report.html", run.name, headline(run), _sections(folder, run))


def headline(run: RunResults) -> str:
    """Return the result of a run in one sentence, and another on what its interval covers."""
    images = len(run.scores["test"].labels)
    test, chosen_by = run.scores["test"].metrics, METRIC_BY_NAME["accuracy"]
    others = ", ".join(f"{m.title} {m.text(test[m.name])}" for m in HEADLINE if m is not chosen_by)
    return (
        f"Accuracy {accuracy_text(test['accuracy'], images)}, on the {images:,} test images "
        f"({others}), from epoch {run.best_epoch}, chosen by validation "
        f"accuracy {chosen_by.text(run.scores['val'].metrics['accuracy'])}. {COVERED}"
    )


def describe(run: RunResults, command: str) -> str:
    """Return a run in Markdown, as MLflow shows it."""
    table = tables.score_table(SUMMARY, _by_split(run))
    lines = [headline(run), "", tables.markdown_table(table.columns, table.rows)]
    if "train" in run.scores:
        lines += ["", overfitting(run.scores["train"], run.scores["test"])]
    error = METRIC_BY_NAME["ece"].text(run.calibrated("test")["ece"])
    lines += ["", f"At temperature {run.temperature:.2f}, ECE on the test images is {error}."]
    pairs = confused_pairs(run.scores["test"].confusion, run.class_names, most=3)
    confused = "; ".join(f"{pair['true']} as {pair['predicted']} ({pair['images']})" for pair in pairs)
    lines += ["", f"Most confused: {confused or 'nothing'}.", "", f"`{command}`"]
    return "\n".join(lines)


def _write_calibration(folder: Path, run: RunResults) -> None:
    content: dict[str, Any] = {"temperature": run.temperature, "fitted_on": "val"}
    for split, scores in run.scores.items():
        after = run.calibrated(split)
        content[split] = {"before": {name: scores.metrics[name] for name in after}, "after": after}
    tables.write_json(content, folder / "calibration.json")
    test = run.scores["test"]
    trained, scaled = (reliability(test.at_temperature(t)) for t in (1.0, run.temperature))
    title = f"{run.name}, test"
    save(figures.reliability_figure(trained, scaled, run.temperature, title), folder / "reliability.png")


def _write_mistakes(folder: Path, run: RunResults) -> None:
    test = run.scores["test"]
    pairs = confused_pairs(test.confusion, run.class_names)
    tables.write_rows(pairs, folder / "pairs")
    save(figures.pairs_figure(pairs, "Most confused, test images"), folder / "pairs.png")
    worst = worst_mistakes(test, run.class_names, MISTAKES)
    tables.write_rows(worst, folder / "worst")
    captions = [_caption(str(row["true"]), str(row["predicted"]), float(row["confidence"])) for row in worst]
    images = run.test_images[[int(row["image"]) for row in worst]]
    title = "Worst mistakes, test images: true class, predicted class, confidence"
    save(figures.gallery_figure(images, captions, title), folder / "worst.png")


def _caption(true: str, predicted: str, confidence: float) -> str:
    """Return the lines above a mistake; the confidence has a line of its own where the name leaves no room."""
    separator = ", " if len(predicted) + len("as , 99.9%") <= figures.MOST_OF_CAPTION else "\n"
    return f"{true}\nas {predicted}{separator}{confidence:.1%}"


def worst_mistakes(scores: Scores, class_names: Sequence[str], most: int) -> list[Row]:
    """Return the most confident wrong predictions: number of the image, true and predicted class, confidence."""
    confidence = scores.probabilities.max(1)
    wrong = np.flatnonzero(scores.predicted != scores.labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")[:most]]
    return [
        {
            "image": int(image),
            "true": class_names[scores.labels[image]],
            "predicted": class_names[scores.predicted[image]],
            "confidence": float(confidence[image]),
        }
        for image in worst
    ]


def _sections(folder: Path, run: RunResults) -> list[Section]:
    train, test = run.scores["train"], run.scores["test"]
    sections = [
        Section("Scores", overfitting(train, test), [tables.score_table(METRICS, _by_split(run))]),
        Section(
            "Classes",
            "Test images.",
            [class_table(test.classes)],
            [folder / "confusion" / "test.png", folder / "confusion" / "test_percent.png"],
        ),
        Section(
            "Mistakes",
            "Test images.",
            pictures=[folder / "mistakes" / "pairs.png", folder / "mistakes" / "worst.png"],
        ),
        Section(
            "Confidence",
            "Test images, as trained and with the logits divided by the temperature fitted on validation.",
            [_calibration_table(run)],
            [folder / "calibration" / "reliability.png"],
        ),
        Section(
            "Training",
            "Training scores: augmented images, dropout on. Validation scores: plain images, dropout off.",
            pictures=[folder / "training" / "curves.png"],
        ),
    ]
    if run.first_layer is not None:
        text = "Weights of each filter or unit: positive (light) is orange, negative (dark) is purple."
        if run.first_layer.shape[1] == 3:
            text = "Weights of each filter or unit over the three colours."
        sections.append(Section("First layer", text, pictures=[folder / "network" / "first_layer.png"]))
    for split in ("val", "train"):
        name = {"val": "Validation", "train": "Training images"}[split]
        table, picture = class_table(run.scores[split].classes), folder / "confusion" / f"{split}.png"
        sections.append(Section(f"{name}, by class", tables=[table], pictures=[picture]))
    rows = [(key, str(value)) for key, value in run.settings.items()]
    return [*sections, Section("Settings", tables=[Table(("setting", "value"), rows, text=True)])]


def _by_split(run: RunResults) -> dict[str, dict[str, float]]:
    return {split: scores.metrics for split, scores in run.scores.items()}


def class_table(rows: Sequence[Row]) -> Table:
    """Return the formatted table of `class_scores`."""
    columns = list(rows[0])
    return Table(
        columns, [[str(row["class"]), *(f"{row[c]:.4f}" for c in columns[1:-1]), str(row["support"])] for row in rows]
    )


def _calibration_table(run: RunResults) -> Table:
    before, after = run.scores["test"].metrics, run.calibrated("test")
    rows = [(name, *(METRIC_BY_NAME[name].text(values[name]) for values in (before, after))) for name in after]
    return Table(("", "as trained", f"at temperature {run.temperature:.2f}"), rows)
