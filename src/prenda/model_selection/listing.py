"""List of registered models and their versions."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from prenda.errors import UserError
from prenda.report.markup import plain
from prenda.scoring.metrics import HEADLINE, Metric
from prenda.system.redaction import without_passwords
from prenda.tracking.registry import DECISION, UNFINISHED, Registry, Version
from prenda.tracking.store import store_address


def show_models(model: str | None = None, uri: str | None = None) -> None:
    """Print the versions of a registered model, the newest first.

    Args:
        model: Name of the registered model; None prints all.
        uri: Address of the MLflow store or server; None takes MLFLOW_TRACKING_URI, else this project's own store.
    """
    if model is not None:
        check_name(model)
    registry = Registry(store_address(uri))
    found = {name: registry.versions(name) for name in (registry.models() if model is None else [model])}
    out = Console()
    if not out.is_terminal:
        out.width = 160  # a file or a pipe has no width
    for name, versions in found.items():
        if versions:
            out.print(_table(name, versions))
            for version in versions:
                if version.tags.get(DECISION) == UNFINISHED:
                    print(f"Version {version.number} is unfinished: repeat `prenda promote {version.run_id[:8]}`.")
    if not any(found.values()):
        which = "No model has any" if model is None else f"{model!r} has no"
        print(f"{which} versions in {without_passwords(registry.uri)}: `prenda promote RUN` registers one.")


def check_name(model: str) -> None:
    """Raise UserError if `--model` names no possible registered model."""
    if not model.strip(" .") or set(model) & set("/:@'"):
        raise UserError(f"--model is {model!r}: give a name without / : @ and '.")


def _table(model: str, versions: Sequence[Version]) -> Table:
    figures = [metric.title[0].upper() + metric.title[1:] for metric in HEADLINE]
    task = versions[0].tags.get("prenda.task")
    title = plain(model if task is None else f"{model}, task {task}")
    table = Table(
        "Version",
        "Alias",
        "Run",
        "Backbone",
        "Data",
        *figures,
        "Registered",
        "Decision",
        title=title,
        title_justify="left",
    )
    for column in table.columns:
        column.overflow = "fold"
    for version in versions:
        facts = [plain(version.tags.get(f"prenda.{name}", "–")) for name in ("run", "backbone", "data")]
        facts += [_tested_text(version, metric) for metric in HEADLINE]
        decision = version.tags.get(DECISION, "–")
        when = version.registered.strftime("%Y-%m-%d %H:%M")
        table.add_row(str(version.number), plain(", ".join(version.aliases)), *facts, when, plain(decision))
    return table


def _tested_text(version: Version, metric: Metric) -> str:
    """Return a test score from the version's tags; – if the version has none."""
    tag = version.tags.get(f"prenda.test/{metric.name}")
    return "–" if tag is None else metric.text(float(tag))
