"""What a sweep shows at its end: tables, pictures, one page that gathers them, and a description for MLflow."""

from __future__ import annotations

import csv
import html
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
from prenda.report.sweep.trials import STATES, Swept, SweptTrial, format_value, score_text, shortened

__all__ = ["Swept", "SweptTrial", "markdown", "summary", "write_sweep"]

MOST_ROWS = 100  # trials in the page's table
MOST_DESCRIBED = 10  # trials in the description
MOST_NAMED = 8  # parameters in the summary
ENDED = {"pruned": ("was pruned", "were pruned"), "interrupted": ("was interrupted", "were interrupted")}
ENDED["skipped"] = ("was skipped", "were skipped")


def write_sweep(folder: Path, swept: Swept) -> None:
    """Writes `trials.csv` and `.json`, the pictures, and `sweep.html` with all of it.

    A picture that would be empty is not written: `parallel.png` without a score, `curves.png` without an epoch,
    `importance.png` where it cannot be told, `pareto.png` unless there are two objectives.
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
    """A sweep in one sentence: how its trials ended, and the best."""
    counts = Counter(trial.state for trial in swept.trials)
    if not counts:
        return "No trial was run."
    ordered = sorted(counts, key=lambda state: STATES.index(state) if state in STATES else len(STATES))
    ended = [f"{counts[state]} {ENDED.get(state, (state, state))[counts[state] > 1]}" for state in ordered]
    told = ended[0] if len(ended) == 1 else f"{', '.join(ended[:-1])} and {ended[-1]}"
    return f"Of {len(swept.trials)} trial{'s'[: len(swept.trials) > 1]}, {told}; {_best(swept)}."


def markdown(swept: Swept) -> str:
    """A sweep in Markdown, as MLflow shows it: the sentence, the command, the best trials."""
    table = trial_table(swept, MOST_DESCRIBED)
    lines = [f"## {_cell(swept.name)}", "", _cell(summary(swept)), "", "```", swept.command, "```", ""]
    lines += [f"| {' | '.join(map(_cell, table.columns))} |", "|---" * len(table.columns) + "|"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in table.rows]
    if len(swept.trials) > MOST_DESCRIBED:
        lines += ["", f"The {MOST_DESCRIBED} best of {len(swept.trials)} trials."]
    return "\n".join(lines)


def trial_table(swept: Swept, most: int) -> Table:
    """The best trials first, with the parameters that change; – where a trial lacks one or has no value."""
    names = swept.changing() or swept.parameters()
    trials = swept.ranked()[:most]
    noted = any(trial.note for trial in trials)
    columns = ["trial", "state", *swept.objectives, "seconds", *names, *(["note"] if noted else [])]
    rows = []
    for trial in trials:
        scores = [score_text(value) for value in trial.values] or ["–"] * len(swept.objectives)
        seconds = "–" if trial.seconds is None else f"{trial.seconds:,.1f}"
        cells = [
            shortened(format_value(trial.parameters[name]), 60) if name in trial.parameters else "–" for name in names
        ]
        note = [shortened(" ".join(trial.note.split()), 90)] if noted else []
        rows.append([str(trial.number), trial.state, *scores, seconds, *cells, *note])
    return Table(columns, rows)


def _best(swept: Swept) -> str:
    """The end of the summary."""
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
    """Draws what there is to draw."""
    scored = any(not np.isnan(trial.reached()) for trial in swept.of_state("finished", "pruned"))
    drawn = []
    if swept.trials:
        text = (
            "Each mark is a trial, at its score or, if it was pruned, at the last that it reached. The line is the "
            "best so far: where it stays flat, more trials of the same kind are unlikely to help."
        )
        drawn.append(("History", text, "history", history_figure(swept)))
    if swept.importance:
        text = (
            f"How much of the variation of {swept.objectives[0]} goes with each parameter, in the range that was "
            "searched. Where the bar is short, other values do as well."
        )
        drawn.append(("Importance", text, "importance", importance_figure(swept.importance)))
    if scored and swept.parameters():
        text = (
            "Each line is a trial: it crosses every axis at its setting and ends at its score. Where the dark lines "
            "meet is what the good trials have in common."
        )
        drawn.append(("Settings and scores", text, "parallel", parallel_figure(swept)))
    if any(trial.curve for trial in swept.trials):
        text = (
            "Thin lines are trials, thick ones the best; a cross marks where one was pruned. What diverged far from "
            "the others leaves the picture."
        )
        drawn.append(("Curves", text, "curves", curves_figure(swept)))
    if len(swept.objectives) == 2:
        text = (
            "Each mark is a trial. Those on the line are the ones to choose from: to gain in one objective is to lose "
            "in the other."
        )
        drawn.append(("Pareto front", text, "pareto", pareto_figure(swept)))
    sections = []
    for heading, text, stem, figure in drawn:
        picture = folder / f"{stem}.png"
        save(figure, picture)
        sections.append(Section(heading, text, pictures=[picture]))
    return sections


def _row(trial: SweptTrial, swept: Swept) -> dict[str, Any]:
    """A trial as it is; what it lacks is left out."""
    return {
        "number": trial.number,
        "state": trial.state,
        **dict(zip(swept.objectives, map(float, trial.values), strict=False)),
        **({} if trial.seconds is None else {"seconds": trial.seconds}),
        **trial.parameters,
        "note": trial.note,
    }


def _json_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: what is no number is null."""
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in row.items()}


def _write_csv(rows: Sequence[Mapping[str, Any]], swept: Swept, path: Path) -> None:
    """What a trial lacks is empty; null is spelled out."""
    columns = ["number", "state", *swept.objectives, "seconds", *swept.parameters(), "note"]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        for row in rows:
            table.writerow({name: "null" if value is None else value for name, value in row.items()})


def _cell(text: str) -> str:
    """Text that is neither markup nor the end of a cell."""
    return html.escape(" ".join(text.split()), quote=False).replace("|", r"\|")
