"""Report of a sweep: tables, pictures, a page with all of them, and a description for MLflow."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prenda.report import tables
from prenda.report.figures import save
from prenda.report.page import Section, Table, write_page
from prenda.report.sweep.figures import curves_figure, history_figure, importance_figure, pareto_figure
from prenda.report.sweep.parallel import parallel_figure
from prenda.report.sweep.trials import STATES, Swept, SweptTrial, digits_of, format_value, score_text, shortened
from prenda.system.atomic_write import write_atomically
from prenda.system.foreign_text import cell, markdown_text

__all__ = ["Swept", "SweptTrial", "markdown", "summary", "write_sweep"]

MOST_ROWS = 100  # trials in the page's table
MOST_DESCRIBED = 10  # trials in the description
MOST_NAMED = 8  # parameters in the summary
ENDED = {"pruned": ("was pruned", "were pruned"), "interrupted": ("was interrupted", "were interrupted")}
ENDED["skipped"] = ("was skipped", "were skipped")


def write_sweep(folder: Path, swept: Swept) -> None:
    """Write `trials.csv` and `.json`, the pictures, and `sweep.html` with all of them.

    No empty picture is written: `parallel.png` needs a score, `curves.png` an epoch, `importance.png` a known
    importance, and `pareto.png` two objectives.
    """
    rows = [_row(trial, swept) for trial in swept.trials]
    tables.write_json([_json_row(row) for row in rows], folder / "trials.json")
    _write_csv(rows, swept, folder / "trials.csv")
    sections = [Section("Command", code=swept.command), *_pictures(folder, swept)]
    cut = (
        f"The {MOST_ROWS} best of {len(swept.trials)}; all are in trials.csv." if len(swept.trials) > MOST_ROWS else ""
    )
    sections.append(Section("Trials", f"Best first. {cut}".strip(), [trial_table(swept, MOST_ROWS)]))
    write_page(folder / "sweep.html", swept.name, summary(swept), sections)


def summary(swept: Swept) -> str:
    """Return a sweep in one sentence: the states of its trials, and the best trial."""
    counts = Counter(trial.state for trial in swept.trials)
    if not counts:
        return "No trial was run."
    ordered = sorted(counts, key=lambda state: STATES.index(state) if state in STATES else len(STATES))
    ended = [f"{counts[state]} {ENDED.get(state, (state, state))[counts[state] > 1]}" for state in ordered]
    states = ended[0] if len(ended) == 1 else f"{', '.join(ended[:-1])} and {ended[-1]}"
    return f"Of {len(swept.trials)} trial{'s'[: len(swept.trials) > 1]}, {states}; {_best(swept)}."


def markdown(swept: Swept) -> str:
    """Return a sweep in Markdown, as MLflow shows it: the summary, the command, the best trials."""
    table = trial_table(swept, MOST_DESCRIBED)
    heading, sentence = markdown_text(swept.name), markdown_text(summary(swept))
    lines = [f"## {heading}", "", sentence, "", "```", swept.command, "```", ""]
    lines.append(tables.markdown_table(table.columns, table.rows))
    if len(swept.trials) > MOST_DESCRIBED:
        lines += ["", f"The {MOST_DESCRIBED} best of {len(swept.trials)} trials."]
    return "\n".join(lines)


def trial_table(swept: Swept, most: int) -> Table:
    """Return a table of trials, the best first, with the parameters that change; – stands for a missing value."""
    names = swept.changing() or swept.parameters()
    trials = swept.ranked()[:most]
    digits = {name: digits_of(trial.parameters.get(name) for trial in trials) for name in names}
    has_notes = any(trial.note for trial in trials)
    columns = ["trial", "state", *swept.objectives, "seconds", *names, *(["note"] if has_notes else [])]
    rows = []
    for trial in trials:
        scores = [score_text(value) for value in trial.values] or ["–"] * len(swept.objectives)
        seconds = "–" if trial.seconds is None else f"{trial.seconds:,.1f}"
        cells = [
            shortened(format_value(trial.parameters[name], digits[name]), 60) if name in trial.parameters else "–"
            for name in names
        ]
        note = [shortened(" ".join(trial.note.split()), 90)] if has_notes else []
        rows.append([str(trial.number), trial.state, *scores, seconds, *cells, *note])
    return Table(columns, rows)


def _best(swept: Swept) -> str:
    """Return the end of the summary: the best trial, or the Pareto front."""
    best = [trial for trial in swept.ranked() if trial.number in swept.best]
    if not best:
        return "none has a score" if len(swept.trials) > 1 else "it has no score"
    if len(swept.objectives) > 1:
        return _front(swept, best)
    names = [name for name in swept.changing() or swept.parameters() if name in best[0].parameters]
    chosen = ", ".join(f"{name}={format_value(best[0].parameters[name])}" for name in names[:MOST_NAMED])
    chosen += f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    scores = f"trial {best[0].number} is the best with {swept.objectives[0]} {score_text(best[0].reached())}"
    return f"{scores}: {chosen}" if chosen else scores


def _front(swept: Swept, best: Sequence[SweptTrial]) -> str:
    spans = []
    for objective, name in enumerate(swept.objectives):
        values = [trial.reached(objective) for trial in best]
        low, high = score_text(min(values)), score_text(max(values))
        spans.append(f"{name} {low} to {high}" if low != high else f"{name} {low}")
    numbers = f"trial {best[0].number} is" if len(best) == 1 else f"{len(best)} are"
    return f"{numbers} on the Pareto front, with {' and '.join(spans)}"


def _pictures(folder: Path, swept: Swept) -> list[Section]:
    """Draw every picture that would not be empty."""
    scored = any(not np.isnan(trial.reached()) for trial in swept.of_state("finished", "pruned"))
    drawn = []
    if swept.trials:
        text = (
            "Each mark is a trial at its score; a pruned trial is at its last score. The line is the best score so "
            "far: where it stays flat, more trials of the same kind are unlikely to help."
        )
        drawn.append(("History", text, "history", history_figure(swept)))
    if swept.importance:
        text = (
            f"Share of the variation of {swept.objectives[0]} that each parameter explains in the searched range. "
            "A short bar means that other values of the parameter are as good."
        )
        drawn.append(("Importance", text, "importance", importance_figure(swept.importance)))
    if scored and swept.parameters():
        text = (
            "Each line is a trial: it crosses every axis at its setting and ends at its score. Settings that the "
            "good trials share are where the dark lines meet."
        )
        drawn.append(("Settings and scores", text, "parallel", parallel_figure(swept)))
    if any(trial.curve for trial in swept.trials):
        text = (
            "Thin lines are trials, thick lines the best; a cross marks the epoch of pruning. Trials that diverged "
            "far from the others leave the picture."
        )
        drawn.append(("Curves", text, "curves", curves_figure(swept)))
    if len(swept.objectives) == 2:
        text = (
            "Each mark is a trial. Choose among the trials on the line: a gain in one objective is a loss in the other."
        )
        drawn.append(("Pareto front", text, "pareto", pareto_figure(swept)))
    sections = []
    for heading, text, stem, figure in drawn:
        picture = folder / f"{stem}.png"
        save(figure, picture)
        sections.append(Section(heading, text, pictures=[picture]))
    return sections


def _row(trial: SweptTrial, swept: Swept) -> dict[str, Any]:
    """Return a trial as a row, without the fields that it lacks."""
    return {
        "number": trial.number,
        "state": trial.state,
        **dict(zip(swept.objectives, map(float, trial.values), strict=False)),
        **({} if trial.seconds is None else {"seconds": trial.seconds}),
        **trial.parameters,
        "note": trial.note,
    }


def _json_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row for JSON: infinity and NaN become null."""
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in row.items()}


def _write_csv(rows: Sequence[Mapping[str, Any]], swept: Swept, path: Path) -> None:
    """Write the trials; missing fields are empty, and null is spelled out."""
    columns = ["number", "state", *swept.objectives, "seconds", *swept.parameters(), "note"]
    text = io.StringIO()
    table = csv.DictWriter(text, columns)
    table.writeheader()
    for row in rows:
        table.writerow({name: "null" if value is None else cell(value) for name, value in row.items()})
    write_atomically(path, text.getvalue())
