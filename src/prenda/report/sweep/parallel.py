"""Parallel coordinates of a sweep: an axis for each parameter, the objectives last, a line for each trial."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator

from prenda.report.sweep.figures import better, plain
from prenda.report.sweep.trials import Scale, Swept, SweptTrial, format_value, is_number, scale, shortened, spans_much

MOST_PARAMETERS = 12  # axes; more leave no room for their labels
MOST_TICKS = 24  # on an axis
ABSENT = -0.12  # height of a trial that lacks a parameter
CHARACTER = 6.3  # pixels of one character at 9 points
WIDTH = 640  # approximate pixels between the first and the last axis


@dataclass(frozen=True)
class Coordinate:
    """One axis of the picture.

    Attributes:
        places: Height of each trial that has the parameter, by trial number: 0 at the bottom, 1 at the top.
        ticks: Heights and their labels.
    """

    name: str
    places: Mapping[int, float]
    ticks: Sequence[tuple[float, str]]


def parallel_figure(swept: Swept) -> Figure:
    """Draw finished trials coloured by the first objective, the best thick, and unfinished trials grey.

    At most `MOST_PARAMETERS` parameters are drawn, the most important ones, and the title says so.
    """
    names = drawn_parameters(swept)
    trials = [trial for trial in swept.ranked() if trial.state != "skipped"]
    coordinates = [
        coordinate(name, {t.number: t.parameters[name] for t in trials if name in t.parameters}) for name in names
    ]
    limits = [_limits(swept, objective) for objective in range(len(swept.objectives))]
    for objective, span in enumerate(limits):
        coordinates.append(_score_coordinate(swept, objective, trials, span))
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    colours = _colours(swept, limits[0])
    _draw_trials(axes, swept, trials, coordinates, colours)
    _draw_coordinates(axes, coordinates)
    if any(map(_scored, trials)):
        figure.colorbar(colours, ax=axes, label=better(swept), pad=0.02, aspect=35)
    everything = len(swept.parameters())
    left_out = f": {len(names)} of {everything} parameters, the most important" if len(names) < everything else ""
    figure.suptitle(f"Settings and scores{left_out}")
    figure.legend(handles=_handles(swept, coordinates, trials), loc="outside lower center", ncols=3, fontsize=10)
    return figure


def drawn_parameters(swept: Swept) -> list[str]:
    """Return the parameters with an axis, in order of appearance; of too many, the most important that change."""
    names, changing = swept.parameters(), set(swept.changing())
    ordered = sorted(names, key=lambda name: (-np.nan_to_num(swept.importance.get(name, 0.0)), name not in changing))
    drawn = set(ordered[:MOST_PARAMETERS])
    return [name for name in names if name in drawn]


def coordinate(name: str, values: Mapping[int, Any]) -> Coordinate:
    """Return an axis: of numbers, logarithmic if they span much; of other values, the values in order.

    Args:
        name: Name of the parameter.
        values: Values by trial number.
    """
    if all(map(is_number, values.values())):
        numbers = {trial: float(value) for trial, value in values.items()}
        low, high = min(numbers.values()), max(numbers.values())
        span = Scale(low, high, spans_much(numbers.values()))
        places = {trial: span.place(value) for trial, value in numbers.items()}
        return Coordinate(name, places, _number_ticks(span, sorted(set(numbers.values()))))
    texts = sorted(
        kinds := {format_value(value): value for value in values.values()}, key=lambda text: _order(kinds[text])
    )
    last = max(len(texts) - 1, 1)
    place = {text: index / last if len(texts) > 1 else 0.5 for index, text in enumerate(texts)}
    every = -(-len(texts) // MOST_TICKS)
    ticks = [(place[text], text) for text in texts[::every]]
    return Coordinate(name, {trial: place[format_value(value)] for trial, value in values.items()}, ticks)


def _order(value: Any) -> tuple[bool, float, str]:
    """Return a sort key: numbers by size, then everything else by its text."""
    return not is_number(value), float(value) if is_number(value) else 0.0, format_value(value)


def _number_ticks(span: Scale, values: Sequence[float]) -> list[tuple[float, str]]:
    """Return ticks at both ends and, between them, at the values if they are few, or at round numbers."""
    inner: Sequence[float] = values
    if len(values) > 6:
        locator = LogLocator() if span.log else MaxNLocator(5)
        inner = [float(tick) for tick in locator.tick_values(span.low, span.high)]
    ticks = {span.place(value): value for value in (span.low, span.high)}
    for value in inner:
        if span.holds(value) and all(abs(span.place(value) - place) > 0.05 for place in ticks):
            ticks[span.place(value)] = value
    return [(place, _number(value)) for place, value in sorted(ticks.items())]


def _number(value: float) -> str:
    if value.is_integer() and abs(value) < 1e6:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    return f"{value:.2g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e") if "e" in text else text


def _limits(swept: Swept, objective: int) -> Scale:
    """Return the scale of the finished trials, or of all trials if none finished."""
    trials = [trial for trial in swept.trials if _scored(trial)] or swept.trials
    return scale([trial.reached(objective) for trial in trials], swept.directions[objective])


def _score_coordinate(swept: Swept, objective: int, trials: Sequence[SweptTrial], span: Scale) -> Coordinate:
    scores = {trial.number: trial.reached(objective) for trial in trials}
    places = {n: span.place(span.clamped(value)) for n, value in scores.items() if not np.isnan(value)}
    values = sorted({value for value in scores.values() if span.holds(value)})
    ticks = _number_ticks(span, values)
    if span.cut and swept.directions[objective] == "maximize":
        ticks[0] = (ticks[0][0], f"≤ {ticks[0][1]}")
    elif span.cut:
        ticks[-1] = (ticks[-1][0], f"≥ {ticks[-1][1]}")
    return Coordinate(swept.objectives[objective], places, ticks)


def _colours(swept: Swept, span: Scale) -> ScalarMappable:
    """Return a colour map with dark good scores: the light end is hard to see on white."""
    low, high = (span.low, span.high) if span.high > span.low else (span.at(0), span.at(1))
    norm = LogNorm(low, high) if span.log else Normalize(low, high)
    return ScalarMappable(norm, "viridis_r" if swept.directions[0] == "maximize" else "viridis")


def _draw_trials(
    axes: Axes, swept: Swept, trials: Sequence[SweptTrial], coordinates: Sequence[Coordinate], colours: ScalarMappable
) -> None:
    """Draw the worst trials first, so that the best lie on top."""
    behind = list(reversed(trials))
    finished = [trial for trial in behind if _scored(trial) and trial.number not in swept.best]
    best = [trial for trial in behind if trial.number in swept.best]
    rest = [trial for trial in behind if not _scored(trial) and trial.number not in swept.best]
    alpha = max(0.35, min(0.9, 40 / max(len(finished), 1)))
    grey = max(0.15, min(0.6, 15 / max(len(rest), 1)))
    axes.add_collection(
        LineCollection(_lines(rest, coordinates), colors="grey", linewidths=0.8, alpha=grey, label="rest")
    )
    for chosen, width, opacity, label in ((finished, 1.3, alpha, "finished"), (best, 3.5, 1.0, "best")):
        shades = colours.to_rgba(np.array([trial.reached() for trial in chosen]))
        lines = LineCollection(_lines(chosen, coordinates), colors=shades, linewidths=width, alpha=opacity, label=label)
        axes.add_collection(lines)


def _scored(trial: SweptTrial) -> bool:
    return trial.state == "finished" and not np.isnan(trial.reached())


def _lines(trials: Sequence[SweptTrial], coordinates: Sequence[Coordinate]) -> list[list[tuple[float, float]]]:
    return [
        [(x, coordinate.places.get(trial.number, ABSENT)) for x, coordinate in enumerate(coordinates)]
        for trial in trials
    ]


def _draw_coordinates(axes: Axes, coordinates: Sequence[Coordinate]) -> None:
    """Draw the axes with their names above, and tick labels to the right on a light background."""
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    style: dict[str, Any] = {"fontsize": 9, "bbox": ground, "zorder": 4}
    room = _room(coordinates)
    for x, one in enumerate(coordinates):
        axes.plot([x, x], [0, 1], color="black", linewidth=1, zorder=3)
        for place, text in one.ticks:
            axes.plot([x], [place], marker="_", color="black", markersize=7, zorder=3)
            label = plain(_wrapped(text, room, len(one.ticks)))
            axes.annotate(label, (x, place), (5, 0), textcoords="offset points", va="center", **style)
        if _has_absent(one, coordinates):
            axes.plot([x, x], [0, ABSENT], color="black", linewidth=1, linestyle=":", zorder=3)
            axes.text(x, ABSENT - 0.01, "–", fontsize=13, fontweight="bold", ha="center", va="top")
    _name_coordinates(axes, coordinates)
    widest = max(len(text) for _, text in coordinates[-1].ticks or [(0.0, "")])
    lowest = ABSENT - 0.08 if any(_has_absent(one, coordinates) for one in coordinates) else -0.03
    axes.set_xlim(-0.1, len(coordinates) - 1 + (widest + 2) * CHARACTER * len(coordinates) / WIDTH)
    axes.set_ylim(lowest, 1.04)


def _name_coordinates(axes: Axes, coordinates: Sequence[Coordinate]) -> None:
    """Name the axes; many names are rotated, so that they do not overlap."""
    flat = len(coordinates) <= 6
    room = int(0.85 * _room(coordinates))  # they are set larger than ticks
    names = [_heading(one.name, room) if flat else shortened(one.name, 26) for one in coordinates]
    turned: dict[str, Any] = {} if flat else {"rotation": 35, "ha": "left", "rotation_mode": "anchor"}
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(coordinates)), [plain(name) for name in names], fontsize=10, **turned)
    axes.tick_params(length=0)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _room(coordinates: Sequence[Coordinate]) -> int:
    """Return the number of characters that fit between two axes."""
    return max(6, int(WIDTH / len(coordinates) / CHARACTER))


def _has_absent(one: Coordinate, coordinates: Sequence[Coordinate]) -> bool:
    return len(one.places) < max(len(set().union(*(other.places for other in coordinates))), 1)


def _heading(name: str, room: int) -> str:
    """Break a long dotted name into two lines at its last dot."""
    first, dot, last = name.rpartition(".")
    if len(name) <= room or not dot:
        return shortened(name, room)
    return f"{shortened(first, room)}.\n{shortened(last, room)}"


def _wrapped(text: str, room: int, ticks: int) -> str:
    """Wrap a label to as many lines as fit on the axis, at most three."""
    lines = max(1, min(3, MOST_TICKS // max(ticks, 1)))
    whole = textwrap.wrap(shortened(text, lines * room), room, break_on_hyphens=False) or [""]
    return "\n".join(whole if len(whole) <= lines else [*whole[: lines - 1], shortened(whole[lines - 1] + "…", room)])


def _handles(swept: Swept, coordinates: Sequence[Coordinate], trials: Sequence[SweptTrial]) -> list[Line2D]:
    best = [trial for trial in trials if trial.number in swept.best]
    label = f"best: trial {best[0].number}" if len(best) == 1 else f"on the Pareto front ({len(best)})"
    handles = [Line2D([], [], color="black", linewidth=3.5, label=label)] if best else []
    if any(not _scored(trial) for trial in trials):
        handles.append(Line2D([], [], color="grey", linewidth=0.8, label="pruned or without a score"))
    if any(_has_absent(one, coordinates) for one in coordinates):
        handles.append(Line2D([], [], linestyle="", label="–  not set, or no score"))
    return handles
