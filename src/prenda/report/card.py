"""The model card: what one should know before using a model, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prenda.bundle.format import Bundle
from prenda.scoring.metrics import METRIC, SUMMARY

Row = Mapping[str, str | float]

_DATA = {
    "fashion_mnist": "Fashion-MNIST: catalogue pictures of a fashion shop, made into grey thumbnails of 28x28 pixels "
    "(Xiao and others, arXiv 1708.07747).",
    "mnist": "MNIST: handwritten digits, grey, centred, 28x28 pixels.",
    "kmnist": "Kuzushiji-MNIST: ten cursive Japanese characters from old books, grey, 28x28 pixels.",
    "generated": "Drawn stripes with noise, under the names of garments: made for trying the program.",
}
_USE = {
    "fashion_mnist": "Sorting pictures of single garments into a catalogue's ten kinds, where a person sees the unsure "
    "ones. Not for pictures of people wearing clothes, for several articles in one picture, or for any decision about "
    "a person.",
    "mnist": "Telling single handwritten digits apart, as an exercise and a reference. Not for reading whole numbers.",
    "kmnist": "Telling ten cursive characters apart, as an exercise and a reference. Not for reading old books.",
    "generated": "None: it knows no real picture.",
}
_LIMITS = {
    "fashion_mnist": (
        "It learned from an article seen from the front, cut out, light on black and centred, its longer side filling "
        "the picture. A photo must be brought to that form first; given as it is, nearly everything becomes a bag.",
        "White articles were left out when the pictures were collected: what it answers for them is unknown.",
        "Shoes point to the left in every picture that it was taught and tested with{mirrored}.",
        "At 28x28 pixels, cloth, seams and most prints are gone: shirts, T-shirts, pullovers and coats look alike.",
        "The pictures are those of one shop before 2017; other shops and later fashion score lower than this test set.",
    ),
    "generated": ("Its test images are drawn by the same rule as its training images, so its scores say little.",),
}


def card(bundle: Bundle, rows: Sequence[Row], run_name: str) -> str:
    """The card of a run's model.

    Args:
        bundle: What the run kept of its model.
        rows: Precision, recall, F1 and support of each class on the test images; other rows are left out.
        run_name: What the card is headed with.
    """
    rows = [row for row in rows if row["class"] in bundle.class_names]
    parts = {
        "Intended use": [_USE.get(bundle.data["name"], "What its data is a fair sample of, and nothing else.")],
        "Data": _data(bundle, rows),
        "Training": _training(bundle),
        "Scores on the test images": _scores(bundle, rows),
        "Calibration": _calibration(bundle),
        "Limits": [f"- {limit}" for limit in _limits(bundle, rows)],
    }
    channels, height, width = bundle.image_shape
    colour = "grey" if channels == 1 else f"{channels}-channel"
    opening = f"Tells {len(bundle.class_names)} classes apart in {colour} pictures of {height}x{width} pixels."
    sections = [f"## {title}\n\n" + "\n".join(lines) for title, lines in parts.items()]
    return "\n\n".join([f"# {run_name}", opening, *sections]) + "\n"


def _data(bundle: Bundle, rows: Sequence[Row]) -> list[str]:
    name, settings = bundle.data["name"], bundle.config.get("data", {})
    tested = sum(int(row["support"]) for row in rows)
    lines = [
        _DATA.get(name, f"The data set `{name}`."),
        "",
        f"- Content: SHA-256 `{bundle.data['content_hash']}`",
        f"- Test: {tested:,} images, kept apart from the start and scored once",
    ]
    if "val_size" in settings:
        cut = f"cut from training by split seed {settings.get('split_seed')}"
        lines.append(f"- Validation: {settings['val_size']:,} images {cut}")
    if settings.get("limit_train") is not None:
        lines.append(f"- Training: only {settings['limit_train']} of the images that were left")
    return lines


def _training(bundle: Bundle) -> list[str]:
    config, scores = bundle.config, bundle.scores
    lines = [
        f"- {group.capitalize()}: `{config[group].get('_target_')}`, {_settings(config[group])}"
        for group in ("backbone", "optimizer", "scheduler")
        if config.get(group)
    ]
    lines.append(f"- Augmentation: {_settings(config.get('augment', {}))}")
    if "best/epoch" in scores:
        epochs = config.get("trainer", {}).get("epochs")
        lines.append(f"- Epoch {scores['best/epoch']:.0f} of {epochs}, chosen by validation accuracy")
    if "parameters" in scores:
        lines.append(f"- {scores['parameters']:,.0f} parameters")
    if "train/seconds" in scores:
        lines.append(f"- {scores['train/seconds']:.0f} seconds")
    return [*lines, f"- Seed {config.get('seed')}, run `{bundle.run_id}`"]


def _scores(bundle: Bundle, rows: Sequence[Row]) -> list[str]:
    recorded = {metric: bundle.scores.get(f"test/{metric.name}") for metric in SUMMARY}
    lines = [f"- {metric.title}: {metric.text(value)}" for metric, value in recorded.items() if value is not None]
    lines += ["", "| class | precision | recall | F1 | images |", "|---|---|---|---|---|"]
    for row in rows:
        figures = " | ".join(f"{row[column]:.3f}" for column in ("precision", "recall", "f1-score"))
        lines.append(f"| {row['class']} | {figures} | {row['support']} |")
    return lines


def _calibration(bundle: Bundle) -> list[str]:
    before, after = (bundle.scores.get(f"test/{name}ece") for name in ("", "calibrated/"))
    line = f"Logits are divided by {bundle.temperature:.3f}, fitted on validation, before they become probabilities."
    if before is None or after is None:
        return [line]
    return [
        line,
        f"How far probabilities are from how often they are right (expected calibration error on the test images): "
        f"{METRIC['ece'].text(before)} without, {METRIC['ece'].text(after)} with it.",
    ]


def _limits(bundle: Bundle, rows: Sequence[Row]) -> list[str]:
    limits = [
        f"It always answers with one of its {len(bundle.class_names)} classes: it has no answer for none of them."
    ]
    if rows:
        worst = min(rows, key=lambda row: row["f1-score"])
        limits.append(f"It is weakest on {worst['class']}, with an F1 of {worst['f1-score']:.3f}.")
    flip = bundle.config.get("augment", {}).get("flip", 0)
    mirrored = "; training mirrored some of them" if flip else ", and training mirrored none"
    return limits + [text.format(mirrored=mirrored) for text in _LIMITS.get(bundle.data["name"], ())]


def _settings(group: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in group.items() if not key.startswith("_")) or "no settings"
