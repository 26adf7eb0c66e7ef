"""Model card in Markdown: intended use, data, training, scores, calibration and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prenda.bundle.format import Bundle
from prenda.data.contract import CardText
from prenda.data.datasets import find
from prenda.errors import DataError
from prenda.report.tables import markdown_table
from prenda.scoring.metrics import METRIC_BY_NAME, SUMMARY
from prenda.scoring.significance import COVERED, accuracy_text
from prenda.system.foreign_text import markdown_code, markdown_text

Row = Mapping[str, str | float]


def card(bundle: Bundle, rows: Sequence[Row], run_name: str) -> str:
    """Return the card of a run's model.

    Args:
        bundle: Bundle of the run.
        rows: Precision, recall, F1 and support of each class on the test images; other rows are left out.
        run_name: Heading of the card.
    """
    rows = [row for row in rows if row["class"] in bundle.class_names]
    parts = {
        "Intended use": [_text(bundle.data["name"]).intended_use],
        "Data": _data(bundle, rows),
        "Training": _training(bundle),
        "Scores on the test images": _scores(bundle, rows),
        "Calibration": _calibration(bundle),
        "Limits": [f"- {limit}" for limit in _limits(bundle, rows)],
    }
    channels, height, width = bundle.pixel_shape
    colour = "grey" if channels == 1 else f"{channels}-channel"
    opening = f"Classifies {colour} pictures of {height}x{width} pixels into {len(bundle.class_names)} classes."
    sections = [f"## {title}\n\n" + "\n".join(lines) for title, lines in parts.items()]
    return "\n\n".join([f"# {markdown_text(run_name)}", opening, *sections]) + "\n"


def _text(data_name: str) -> CardText:
    """Return the data set's own text, or a neutral one if this installation has no such data set."""
    try:
        return find(data_name).card
    except DataError:
        described = f"The data set {markdown_code(data_name)}."
        return CardText(described, "Only pictures of the kind that its data samples fairly.")


def _data(bundle: Bundle, rows: Sequence[Row]) -> list[str]:
    name, settings = bundle.data["name"], bundle.config.get("data", {})
    tested = sum(int(row["support"]) for row in rows)
    lines = [
        _text(name).description,
        "",
        f"- Content: SHA-256 {markdown_code(bundle.data['content_hash'])}",
        f"- Test: {tested:,} images, held out from the start and scored once",
    ]
    if settings.get("val_size") is not None:
        origin = f"split from training with split seed {_text_of(settings.get('split_seed'))}"
        lines.append(f"- Validation: {_text_of(settings['val_size'], ',')} images {origin}")
    if settings.get("limit_train") is not None:
        lines.append(f"- Training: only {_text_of(settings['limit_train'])} of the remaining images")
    return lines


def _training(bundle: Bundle) -> list[str]:
    config, scores = bundle.config, bundle.scores
    lines = [
        f"- {group.capitalize()}: {markdown_code(config[group].get('_target_'))}, {_settings(config[group])}"
        for group in ("backbone", "optimizer", "scheduler")
        if config.get(group)
    ]
    lines.append(f"- Augmentation: {_settings(config.get('augment', {}))}")
    if "best/epoch" in scores:
        epochs = config.get("trainer", {}).get("epochs")
        lines.append(f"- Epoch {scores['best/epoch']:.0f} of {_text_of(epochs)}, chosen by validation accuracy")
    if "parameters" in scores:
        lines.append(f"- {scores['parameters']:,.0f} parameters")
    if "train/seconds" in scores:
        lines.append(f"- {scores['train/seconds']:.0f} seconds")
    return [*lines, f"- Seed {_text_of(config.get('seed'))}, run {markdown_code(bundle.run_id)}"]


def _scores(bundle: Bundle, rows: Sequence[Row]) -> list[str]:
    recorded = {metric: bundle.scores.get(f"test/{metric.name}") for metric in SUMMARY}
    lines = [f"- {metric.title}: {metric.text(value)}" for metric, value in recorded.items() if value is not None]
    tested = sum(int(row["support"]) for row in rows)
    if tested and lines:
        accuracy = METRIC_BY_NAME["accuracy"]
        lines[0] = f"- {accuracy.title}: {accuracy_text(bundle.scores['test/accuracy'], tested)}"
        lines += ["", COVERED]
    cells = [
        (str(row["class"]), *(f"{row[c]:.3f}" for c in ("precision", "recall", "f1-score")), str(row["support"]))
        for row in rows
    ]
    return [*lines, "", markdown_table(("class", "precision", "recall", "F1", "images"), cells)]


def _calibration(bundle: Bundle) -> list[str]:
    before, after = (bundle.scores.get(f"test/{name}ece") for name in ("", "calibrated/"))
    line = f"Logits are divided by {bundle.temperature:.3f}, fitted on validation, before softmax."
    if before is None or after is None:
        return [line]
    return [
        line,
        f"Expected calibration error on the test images: {METRIC_BY_NAME['ece'].text(before)} without temperature "
        f"scaling, {METRIC_BY_NAME['ece'].text(after)} with it.",
    ]


def _limits(bundle: Bundle, rows: Sequence[Row]) -> list[str]:
    limits = [f'It always predicts one of its {len(bundle.class_names)} classes: it cannot answer "none of them".']
    if bundle.unsure:
        limits.append(
            "`prenda predict` answers `unsure` where the probability is below "
            f"{bundle.unsure['confidence']:.2f}, and for pictures unlike those of {_unlike(bundle.unsure)}). Both "
            "thresholds are fitted on validation."
        )
    if rows:
        worst = min(rows, key=lambda row: row["f1-score"])
        limits.append(f"It is weakest on {_text_of(worst['class'])}, with an F1 of {worst['f1-score']:.3f}.")
    flip = bundle.config.get("augment", {}).get("flip", 0)
    mirrored = "; training mirrored some of them" if flip else ", and training mirrored none"
    return limits + [text.replace("{mirrored}", mirrored) for text in _text(bundle.data["name"]).limits]


def _unlike(unsure: Mapping[str, float]) -> str:
    if "novelty" in unsure:
        return f"training (novelty above {unsure['novelty']:.2f}; virtual-logit matching, arXiv 2203.10807"
    return f"validation (free energy above {unsure['energy']:.2f}"


def _settings(group: Mapping[str, object]) -> str:
    settings = ", ".join(f"{key} {value}" for key, value in group.items() if not key.startswith("_"))
    return markdown_text(settings) or "no settings"


def _text_of(value: object, number: str = "") -> str:
    """Return a recorded value as Markdown; `number` is the format of a whole number."""
    return format(value, number) if isinstance(value, int) else markdown_text(str(value))
