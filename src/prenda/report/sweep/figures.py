"""Pictures of a sweep: its history, parameter importance, curves of its trials, and its Pareto front.

States differ in their markers, not in colour alone. Every picture is 800 pixels wide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from prenda.report.figures import BLUE, ORANGE
from prenda.report.sweep.trials import STATES, Scale, Swept, SweptTrial, best_so_far, finite, scale, shortened

MOST_BARS = 20
MOST_LABELLED = 12  # trials of a front
STYLES: Mapping[str, Mapping[str, Any]] = {
    "finished": {"marker": "o", "color": BLUE},
    "pruned": {"marker": "x", "color": ORANGE},
    "failed": {"marker": "s", "color": "black", "markerfacecolor": "none"},
    "interrupted": {"marker": "^", "color": "dimgrey", "markerfacecolor": "none"},
    "skipped": {"marker": "+", "color": "dimgrey"},
}


def plain(text: str) -> str:
    """Escape dollar signs, which start formulas in matplotlib."""
    return text.replace("$", r"\$")


def better(swept: Swept, objective: int = 0) -> str:
    """Return the label of an objective's axis, with the better direction."""
    word = "higher" if swept.directions[objective] == "maximize" else "lower"
    return f"{plain(shortened(swept.objectives[objective], 40))} ({word} is better)"


def history_figure(swept: Swept) -> Figure:
    """Draw the score of each trial in the order of start, and the best so far; a panel for each objective.

    A strip on the bad side of the axis holds the trials that diverged off the scale, and those without a score.
    """
    count = len(swept.objectives)
    figure = Figure(figsize=(8, 1.5 + 3.2 * count), layout="constrained")
    panels = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    for objective, axes in enumerate(panels):
        _draw_history(axes, swept, objective)
    panels[-1].set_xlabel("Trial")
    _count_along(panels[-1], [trial.number for trial in swept.trials])
    handles = [_state_handle(state, len(swept.of_state(state))) for state in STATES if swept.of_state(state)]
    if any(best_so_far(swept, objective) for objective in range(count)):
        handles.append(Line2D([], [], color="black", linewidth=1.5, label="best so far"))
    figure.suptitle("Score of every trial")
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=10)
    return figure


def importance_figure(importance: Mapping[str, float]) -> Figure:
    """Draw a bar for each parameter, the most important first."""
    ordered = sorted(importance.items(), key=lambda item: -np.nan_to_num(item[1]))
    rows = ordered[:MOST_BARS]
    figure = Figure(figsize=(8, 1.4 + 0.4 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    shares = [float(np.nan_to_num(share)) for _, share in rows]
    bars = axes.barh(range(len(rows)), shares, color=BLUE)
    axes.bar_label(bars, [f"{share:.1%}" for share in shares], padding=3)
    axes.set_yticks(range(len(rows)), [plain(shortened(name, 40)) for name, _ in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15 * max(shares, default=1.0) or 1.0)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    left_out = f", the first {len(rows)} of {len(ordered)}" if len(rows) < len(ordered) else ""
    figure.suptitle(f"Importance of parameters{left_out}")
    axes.set_xlabel("Share of the score's variation")
    return figure


def curves_figure(swept: Swept) -> Figure:
    """Draw the first objective over the epochs, a line for each trial; a cross marks pruning, thick lines the best."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    trials = [trial for trial in swept.trials if trial.curve and trial.state != "skipped"]
    limits = scale([value for trial in trials for value in trial.curve.values()], swept.directions[0])
    alpha = max(0.12, min(0.8, 12 / max(len(trials), 1)))
    handles = []
    for state in STATES:
        chosen = [trial for trial in trials if trial.state == state and trial.number not in swept.best]
        if chosen:
            handles.append(_draw_curves(axes, chosen, state, limits, alpha))
    handles += _draw_best_curves(axes, [trial for trial in trials if trial.number in swept.best])
    axes.autoscale_view()
    axes.set_ylim(limits.at(-0.04), limits.at(1.04))
    axes.set_yscale("log" if limits.log else "linear")
    if limits.log:
        _label_log(axes.yaxis, limits)
    axes.set(xlabel="Epoch", ylabel=better(swept))
    _count_along(axes, [epoch for trial in trials for epoch in trial.curve])
    figure.suptitle("Validation score over the epochs")
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=10)
    return figure


def pareto_figure(swept: Swept) -> Figure:
    """Draw the first objective over the second, with the Pareto front joined and numbered."""
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.add_subplot()
    points = [(t, t.reached(1), t.reached(0)) for t in swept.of_state("finished") if len(t.values) > 1]
    points = [point for point in points if not np.isnan(point[1:]).any()]
    scales = [scale([p[1] for p in points], swept.directions[1]), scale([p[2] for p in points], swept.directions[0])]
    inside = [point for point in points if scales[0].holds(point[1]) and scales[1].holds(point[2])]
    outside = [_clamped(point, scales) for point in points if point not in inside]
    axes.plot(*_xy(inside), marker="o", color=BLUE, linestyle="", alpha=0.7, label=f"finished ({len(inside)})")
    front = sorted((p for p in points if p[0].number in swept.best), key=lambda point: point[1:])
    _draw_front(axes, [_clamped(point, scales) for point in front], swept)
    if outside:
        label = f"off the scale ({len(outside)})"
        style: dict[str, Any] = {
            "color": "dimgrey",
            "linestyle": "",
            "markerfacecolor": "none",
            "markersize": 11,
            "label": label,
        }
        axes.plot(*_xy(outside), marker="s", zorder=4, **style)
    for axis, objective, span in (("x", 1, scales[0]), ("y", 0, scales[1])):
        limits, label = (span.at(-0.08), span.at(1.08)), better(swept, objective)
        axes.set(**{f"{axis}scale": "log" if span.log else "linear", f"{axis}lim": limits, f"{axis}label": label})
        if span.log:
            _label_log(axes.xaxis if axis == "x" else axes.yaxis, span)
    figure.suptitle("Pareto front (numbered): no trial is better in both objectives")
    figure.legend(loc="outside lower center", ncols=3, fontsize=10)
    return figure


def _draw_history(axes: Axes, swept: Swept, objective: int) -> None:
    maximize = swept.directions[objective] == "maximize"
    limits = scale([trial.reached(objective) for trial in swept.trials], swept.directions[objective])
    strip = -0.12 if maximize else 1.12
    off = [trial for trial in swept.trials if not limits.holds(trial.reached(objective))]
    axes.set_yscale("log" if limits.log else "linear")
    for state in STATES:
        chosen = swept.of_state(state)
        values = [trial.reached(objective) for trial in chosen]
        heights = [value if limits.holds(value) else limits.at(strip) for value in values]
        numbers = [trial.number for trial in chosen]
        axes.plot(numbers, heights, linestyle="", markersize=_size(swept.trials), zorder=3, **STYLES[state])
    steps = best_so_far(swept, objective)
    if steps:
        last = max(trial.number for trial in swept.trials)
        numbers, values = [number for number, _ in steps], [value for _, value in steps]
        axes.step(
            [*numbers, last],
            [*values, values[-1]],
            where="post",
            color="black",
            linewidth=1.5,
            label="best so far",
            zorder=4,
        )
    ends = [-0.05, 1.05]
    if off:
        ends[0 if maximize else 1] = strip + (-0.06 if maximize else 0.06)
        edges = (limits.at(strip - 0.06), limits.at(strip + 0.06))
        axes.axhspan(*edges, color="0.92", zorder=0, label="off the scale")
    axes.set_ylim(limits.at(ends[0]), limits.at(ends[1]))
    if limits.log:
        _label_log(axes.yaxis, limits)
    ticks = [tick for tick in axes.get_yticks() if limits.at(-0.05) <= tick <= limits.at(1.05)]
    axes.set_yticks(ticks)
    axes.set_yticks([limits.at(strip)] if off else [], ["off the scale\nor no score"] if off else [], minor=True)
    axes.tick_params("y", which="minor", length=0)
    axes.set_ylabel(better(swept, objective))


def _draw_front(axes: Axes, front: Sequence[tuple[SweptTrial, float, float]], swept: Swept) -> None:
    """Draw the front, with the numbers on the side without trials."""
    axes.plot(*_xy(front), marker="D", color=ORANGE, linewidth=2, zorder=3, label=f"Pareto front ({len(front)})")
    aside, above = (8 if swept.directions[o] == "maximize" else -8 for o in (1, 0))
    for trial, x, y in front if len(front) <= MOST_LABELLED else []:
        ha, va = "left" if aside > 0 else "right", "bottom" if above > 0 else "top"
        text, place = str(trial.number), (aside, above / 2)
        axes.annotate(text, (x, y), place, textcoords="offset points", ha=ha, va=va, fontsize=10)


def _clamped(point: tuple[SweptTrial, float, float], scales: Sequence[Scale]) -> tuple[SweptTrial, float, float]:
    return point[0], scales[0].clamped(point[1]), scales[1].clamped(point[2])


def _label_log(axis: Axis, limits: Scale) -> None:
    """Label a logarithmic axis with plain numbers at the decades and, if there are few, between them."""
    subs = (1.0,) if limits.high / limits.low > 1e3 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    axis.set_minor_locator(NullLocator())


def _count_along(axes: Axes, numbers: Sequence[int]) -> None:
    """Set the horizontal axis to whole numbers, even for a single number."""
    room = max(0.5, 0.03 * (max(numbers) - min(numbers)))
    axes.set_xlim(min(numbers) - room, max(numbers) + room)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _size(trials: Sequence[SweptTrial]) -> float:
    """Return the size of markers in points, smaller for many trials."""
    return 6 if len(trials) <= 100 else 3.5


def _state_handle(state: str, count: int) -> Line2D:
    return Line2D([], [], linestyle="", label=f"{state} ({count})", **STYLES[state])


def _draw_curves(axes: Axes, trials: Sequence[SweptTrial], state: str, limits: Scale, alpha: float) -> Line2D:
    """Draw thin lines, with the state's marker at the end of unfinished ones, and return the legend entry."""
    style = STYLES[state]
    lines = LineCollection(
        [_points(trial) for trial in trials], colors=style["color"], linewidths=1, alpha=alpha, label=state
    )
    axes.add_collection(lines)
    ends = [_points(trial)[-1] for trial in trials if state != "finished" or len(trial.curve) == 1]
    ends = [(epoch, limits.clamped(value)) for epoch, value in ends if not np.isnan(value)]
    axes.plot([x for x, _ in ends], [y for _, y in ends], linestyle="", markersize=_size(trials), **style)
    marker = {} if state == "finished" else style
    return Line2D([], [], **{"color": style["color"], "linewidth": 1, **marker}, label=f"{state} ({len(trials)})")


def _draw_best_curves(axes: Axes, trials: Sequence[SweptTrial]) -> list[Line2D]:
    style: dict[str, Any] = {"color": "black", "linewidth": 3 if len(trials) == 1 else 1.8, "marker": "."}
    for trial in trials:
        points = _points(trial)
        axes.plot([x for x, _ in points], [y for _, y in points], label="best", zorder=4, **style)
    if not trials:
        return []
    label = f"best: trial {trials[0].number}" if len(trials) == 1 else f"on the Pareto front ({len(trials)})"
    return [Line2D([], [], label=label, **style)]


def _points(trial: SweptTrial) -> list[tuple[int, float]]:
    """Return the points of a trial's curve; the line has a gap at NaN or infinity."""
    return [(epoch, finite(value)) for epoch, value in sorted(trial.curve.items())]


def _xy(points: Sequence[tuple[SweptTrial, float, float]]) -> tuple[list[float], list[float]]:
    return [x for _, x, _ in points], [y for _, _, y in points]
