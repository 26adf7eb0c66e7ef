"""Terminal output of a run: its settings, its network and its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.model_summary.model_summary import ModelSummary
from rich.console import Console
from rich.table import Table
from rich.tree import Tree

from prenda.config.convert import as_plain
from prenda.config.defaults import changed
from prenda.config.schema import TrainConfig
from prenda.report.markup import plain
from prenda.report.page import Table as Content
from prenda.report.tables import score_table
from prenda.scoring.metrics import SUMMARY
from prenda.scoring.scores import Scores
from prenda.scoring.significance import COVERED, accuracy_text
from prenda.system.foreign_text import printable, printable_lines
from prenda.system.redaction import without_passwords

MOST_LAYERS = 60  # rows of the network's table


def show_config(console: Console, config: TrainConfig, title: str) -> None:
    """Print the settings that differ from the defaults as a tree, or with `report.settings=all` every setting."""
    every = config.report.settings == "all"
    settings = as_plain(config) if every else changed(config)
    console.print(_tree(Tree(plain(title), guide_style="dim"), settings, settings.pop("choices", {})))
    if not every:
        console.print(
            "All other settings have their defaults; report.settings=all prints them.", style="dim", highlight=False
        )


def _tree(tree: Tree, settings: Mapping[str, Any], files: Mapping[str, str]) -> Tree:
    """Add a branch for each group, with the file that was chosen for it, and a leaf for each setting."""
    for group in [group for group in files if group not in settings]:
        tree.add(plain(f"{group}: {files[group]}"), highlight=True)
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            file = f": {files[key]}" if key in files else ""
            _tree(tree.add(f"[bold]{plain(key)}[/]{plain(file)}"), value, {})
        else:
            tree.add(plain(without_passwords(f"{key}: {value}")), highlight=True)
    return tree


def show_network(console: Console, classifier: pl.LightningModule, image_shape: tuple[int, int, int]) -> None:
    """Print each layer's output shape, parameters and their size."""
    classifier.example_input_array = torch.zeros(2, *image_shape)
    summary = ModelSummary(classifier, max_depth=-1)
    table = Table("Layer", "Type", "Output (B, …)", title="Network", title_justify="left")
    table.add_column("Parameters", justify="right")
    table.add_column("KiB", justify="right")
    shown = _shown([name for name in summary.layer_names if name.startswith("backbone")], classifier)
    layers = zip(summary.layer_names, summary.layer_types, summary.out_sizes, summary.param_nums, strict=True)
    for name, kind, shape, parameters in layers:
        if name not in shown:
            continue
        size = sum(weight.nbytes for weight in classifier.get_submodule(name).parameters()) / 1024
        output = ", ".join(map(str, shape[1:])) if isinstance(shape, list) else "not called"
        table.add_row(name.removeprefix("backbone."), kind, output, f"{parameters:,}", f"{size:,.1f}")
    weights = [weight for weight in classifier.parameters() if weight.requires_grad]
    total, size = sum(weight.numel() for weight in weights), sum(weight.nbytes for weight in weights) / 1024
    table.add_section()
    table.add_row("trainable", "", "", f"{total:,}", f"{size:,.1f}")
    console.print(table)


def _shown(names: Sequence[str], classifier: pl.LightningModule) -> set[str]:
    """Return the layers to print: all without layers of their own; of a large network, the blocks that they form."""
    leaves = {name for name in names if not any(True for _ in classifier.get_submodule(name).children())}
    shown = leaves
    for depth in range(max(name.count(".") for name in names), 1, -1):
        shown = {name for name in names if name.count(".") == depth or (name in leaves and name.count(".") < depth)}
        if len(shown) <= MOST_LAYERS:
            break
    return shown


def show_result(
    console: Console, title: str, scores: Mapping[str, Mapping[str, float]], places: Mapping[str, str]
) -> None:
    """Print the scores of each split, then the places of all files."""
    show_table(console, title, score_table(SUMMARY, scores))
    for name, place in places.items():
        console.print(printable(f"{name:<17} {place}"), soft_wrap=True, highlight=False, markup=False)


def test_accuracy(scores: Mapping[str, Scores]) -> dict[str, str]:
    """Return a line for `show_result` with the test accuracy and its interval; none without test scores."""
    if "test" not in scores:
        return {}
    test = scores["test"]
    return {"Test accuracy": f"{accuracy_text(test.metrics['accuracy'], len(test.labels))}. {COVERED}"}


def show_table(console: Console, title: str, content: Content) -> None:
    """Print a table with its title above; all columns but the first hold numbers."""
    console.print(printable_lines(f"\n{title}"), soft_wrap=True, highlight=False, markup=False)
    table = Table()
    for index, column in enumerate(content.columns):
        table.add_column(plain(column), justify="right" if index else "left")
    for row in content.rows:
        table.add_row(*map(plain, row))
    console.print(table)


def relative(path: Path) -> str:
    """Return the path relative to the current folder, if it lies inside."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
