from __future__ import annotations

import csv
import json
import math
import time

import numpy as np
import pytest

from prenda.report.sweep import figures as sweep_figures
from prenda.report.sweep import parallel as sweep_parallel
from prenda.report.sweep.report import Swept, SweptTrial, markdown, summary, trial_table, write_sweep
from prenda.report.sweep.trials import Scale, best_so_far, format_value, scale, score_text, shortened, spans_much

PICTURES = {"history.png", "importance.png", "parallel.png", "curves.png", "pareto.png"}
UNITS = ("[128]", "[128, 128, 128]")


def trial(number, value=None, *, state="finished", curve=None, note="", second=None, **parameters):
    curve = {1: value - 0.1, 2: value} if curve is None and value is not None else curve or {}
    values = [v for v in (value, second) if v is not None]
    chosen = {name.replace("__", "."): value for name, value in parameters.items()}
    return SweptTrial(number, state, chosen, values, curve, 12.5 if values else None, note)


def sweep(*trials, best=(), importance=None, two=False, minimize=False, name="a search", command="prenda sweep"):
    objectives = ("val/accuracy", "parameters") if two else ("val/loss" if minimize else "val/accuracy",)
    directions = ("maximize", "minimize") if two else ("minimize" if minimize else "maximize",)
    return Swept(name, command, objectives, directions, trials, importance or {}, best)


def search(count=40, *, two=False):
    """Over a backbone with settings of its own, some trials pruned, one failed, one skipped, one diverged."""
    draw = np.random.default_rng(0)
    trials = []
    for number in range(count):
        dense = bool(draw.integers(2))
        own = {"backbone__units": str(draw.choice(UNITS))} if dense else {"backbone__filters": "[32, 64]"}
        settings = {"backbone": "dense" if dense else "cnn", **own, "optimizer__lr": float(10 ** draw.uniform(-4, -2))}
        value, second = float(draw.normal(0.9, 0.01)), float(draw.integers(10**4, 10**6)) if two else None
        if number % 5 == 4:
            curve = {1: value - 0.2, 2: value - 0.15}
            trials.append(trial(number, state="pruned", curve=curve, note="epoch 2: below the median", **settings))
        elif number == 2:
            trials.append(trial(number, state="failed", note="ValueError: no", **settings))
        elif number == 3:
            trials.append(trial(number, state="skipped", **settings))
        else:
            trials.append(trial(number, 0.1 if number == 5 else value, second=second, **settings))
    finished = [one for one in trials if one.state == "finished"]
    best = [max(finished, key=lambda one: one.values[0]).number]
    importance = {"backbone": 0.5, "optimizer.lr": 0.3, "backbone.units": 0.2}
    return sweep(*trials, best=best, importance=importance, two=two)


def rows_of(folder):
    with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file)), json.loads((folder / "trials.json").read_text(encoding="utf-8"))


def test_tables_have_a_row_a_trial_and_tell_null_from_absent(tmp_path):
    first = trial(0, 0.5, backbone="cnn", optimizer__lr=0.01, clip=None, amp=True)
    second = trial(1, state="failed", note="ValueError: no", backbone="dense", backbone__units="[128]")
    write_sweep(tmp_path / "new", sweep(first, second, best=[0]))
    table, content = rows_of(tmp_path / "new")
    columns = ["backbone", "optimizer.lr", "clip", "amp", "backbone.units"]
    assert list(table[0]) == ["number", "state", "val/accuracy", "seconds", *columns, "note"]
    assert list(table[0].values()) == ["0", "finished", "0.5", "12.5", "cnn", "0.01", "null", "True", "", ""]
    assert list(table[1].values()) == ["1", "failed", "", "", "dense", "", "", "", "[128]", "ValueError: no"]
    assert content[0]["clip"] is None
    assert "clip" not in content[1]
    assert "val/accuracy" not in content[1]


def test_a_search_is_written_whole(tmp_path):
    swept = search()
    write_sweep(tmp_path, swept)
    assert {path.name for path in tmp_path.glob("*.png")} == PICTURES - {"pareto.png"}
    table, content = rows_of(tmp_path)
    assert len(table) == len(content) == 40
    assert sum(row["state"] == "pruned" for row in table) == 8
    page = (tmp_path / "sweep.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") == 4
    first = page.split("<tbody>")[1].split("<td>")[1]
    assert first.startswith(f"{swept.best[0]}<")
    assert "epoch 2: below the median" in page


@pytest.mark.slow
def test_two_objectives_have_a_front(tmp_path):
    swept = search(two=True)
    write_sweep(tmp_path, swept)
    assert {path.name for path in tmp_path.glob("*.png")} == PICTURES
    table, _ = rows_of(tmp_path)
    assert float(table[0]["parameters"]) == swept.trials[0].values[1]


def test_the_summary_counts_states_and_names_the_best():
    swept = sweep(
        trial(0, 0.8, backbone="cnn", seed=1),
        trial(1, 0.91234, backbone="dense", backbone__units="[64]", seed=1),
        trial(2, state="pruned", curve={1: 0.4}, backbone="cnn", seed=1),
        trial(3, state="failed", backbone="cnn", seed=1),
        trial(4, state="skipped", backbone="cnn", seed=1),
        best=[1],
    )
    assert summary(swept) == (
        "Of 5 trials, 2 finished, 1 was pruned, 1 failed and 1 was skipped; "
        "trial 1 is the best with val/accuracy 0.9123: backbone=dense, backbone.units=[64]."
    )


def test_the_summary_of_a_front_says_what_it_spans():
    swept = sweep(trial(0, 0.8, second=1200.0), trial(1, 0.9, second=54321.0), best=[0, 1], two=True)
    assert summary(swept) == (
        "Of 2 trials, 2 finished; 2 are on the Pareto front, with val/accuracy 0.8000 to 0.9000 and "
        "parameters 1,200 to 54,321."
    )


@pytest.mark.parametrize(
    ("swept", "told"),
    [
        (sweep(), "No trial was run."),
        (sweep(trial(0, state="failed")), "Of 1 trial, 1 failed; it has no score."),
        (
            sweep(*(trial(n, state="interrupted") for n in range(2))),
            "Of 2 trials, 2 were interrupted; none has a score.",
        ),
        (
            sweep(trial(7, 0.5, lr=0.1), best=[7]),
            "Of 1 trial, 1 finished; trial 7 is the best with val/accuracy 0.5000: lr=0.1.",
        ),
    ],
)
def test_the_summary_of_little(swept, told):
    assert summary(swept) == told


def test_a_summary_of_many_parameters_names_eight():
    one = trial(0, 0.5, **{f"p{index}": index for index in range(10)})
    assert "p7=7 and 2 more." in summary(sweep(one, best=[0]))


def test_markdown_has_the_command_and_the_ten_best():
    swept = search()
    told = markdown(swept)
    assert told.startswith("## a search\n\nOf 40 trials, 30 finished")
    assert "\n```\nprenda sweep\n```\n" in told
    rows = [line for line in told.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 10
    assert rows[0].startswith("| trial | state | val/accuracy | seconds | backbone |")
    scores = [float(row.split(" | ")[2]) for row in rows[1:]]
    assert scores == sorted(scores, reverse=True)
    assert told.endswith("The 10 best of 40 trials.")


def test_a_cell_of_markdown_ends_no_row_and_is_no_markup():
    told = markdown(sweep(trial(0, 0.5, choice="a|b\n<b>"), best=[0]))
    assert r"a\|b &lt;b&gt;" in told
    assert "<b>" not in told


def test_names_are_no_markup_in_the_page(tmp_path):
    one = trial(0, 0.5, **{"<i>": "<script>alert(1)</script>"})
    write_sweep(tmp_path, sweep(one, best=[0], name="<script>", command="prenda '<script>'", importance={"<i>": 1.0}))
    page = (tmp_path / "sweep.html").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.slow
def test_hundreds_of_trials_are_cut_in_the_page_alone(tmp_path):
    begun = time.monotonic()
    write_sweep(tmp_path, search(500))
    assert time.monotonic() - begun < 15
    page = (tmp_path / "sweep.html").read_text(encoding="utf-8")
    assert "The 100 best of 500; all are in trials.csv." in page
    assert page.split("<tbody>")[1].count("<tr>") == 100
    assert len(rows_of(tmp_path)[0]) == 500


@pytest.mark.parametrize(
    ("swept", "pictures"),
    [
        (sweep(), set()),
        (sweep(trial(0, state="failed", lr=0.1)), {"history.png"}),
        (sweep(trial(0, state="failed", lr=0.1), two=True), {"history.png", "pareto.png"}),
        (sweep(trial(0, state="pruned", curve={1: 2.5}, lr=0.1)), {"history.png", "parallel.png", "curves.png"}),
        (sweep(trial(0, 0.5, lr=0.1), best=[0]), {"history.png", "parallel.png", "curves.png"}),
        (sweep(trial(0, 0.5, curve={}), best=[0]), {"history.png"}),
        (sweep(*(trial(n, 0.5, lr=0.1) for n in range(3)), best=[0]), {"history.png", "parallel.png", "curves.png"}),
        (
            sweep(*(trial(n, 0.9, second=n + 5.0, lr=0.1) for n in range(3)), best=[0], two=True),
            PICTURES - {"importance.png"},
        ),
    ],
    ids=["none", "failed", "failed_two", "pruned", "single", "no_settings", "constant", "constant_two"],
)
def test_little_is_drawn_without_what_is_empty(tmp_path, swept, pictures):
    write_sweep(tmp_path, swept)
    assert {path.name for path in tmp_path.glob("*.png")} == pictures
    assert len(rows_of(tmp_path)[1]) == len(swept.trials)
    markdown(swept)


@pytest.mark.parametrize(
    ("bad", "minimize"), [(math.nan, False), (math.inf, True), (-math.inf, False), (1e308, True), (-1e308, False)]
)
def test_what_is_no_number_is_kept_and_drawn(tmp_path, bad, minimize):
    trials = [trial(n, 0.8 + n / 100, lr=0.1 * n) for n in range(1, 6)]
    trials.append(trial(6, bad, curve={1: 0.5, 2: bad, 3: bad}, lr=bad))
    trials.append(trial(7, bad, curve={1: bad}, state="pruned", lr=0.2))
    swept = sweep(*trials, best=[5], minimize=minimize, importance={"lr": math.nan})
    write_sweep(tmp_path, swept)
    table, content = rows_of(tmp_path)
    assert table[5][swept.objectives[0]] == str(bad)
    assert content[5][swept.objectives[0]] == (bad if math.isfinite(bad) else None)
    assert "NaN" not in (tmp_path / "trials.json").read_text(encoding="utf-8")
    assert swept.ranked()[0].number == 5


@pytest.mark.slow
def test_long_names_and_formulas_are_drawn(tmp_path):
    settings = {
        f"a.very.long.group.of.names.parameter_{n}_$x$_$\\frac$": f"[128, 128, 128, 128, {n}, $a$]" for n in range(9)
    }
    write_sweep(
        tmp_path, sweep(trial(0, 0.5, **settings), trial(1, 0.6), best=[1], importance=dict.fromkeys(settings, 1 / 9))
    )


def test_three_objectives_have_a_panel_each():
    swept = Swept(
        "s",
        "c",
        "abc",
        ("maximize", "minimize", "minimize"),
        [SweptTrial(0, "finished", {}, (1, 2, 3), {}, 1.0)],
        {},
        [0],
    )
    assert [axes.get_ylabel()[0] for axes in sweep_figures.history_figure(swept).axes] == ["a", "b", "c"]


@pytest.mark.parametrize(("minimize", "steps"), [(False, [(0, 0.5), (3, 0.8)]), (True, [(0, 0.5), (2, 0.3), (5, 0.2)])])
def test_the_best_so_far_is_of_finished_trials_in_their_order(minimize, steps):
    values = {5: 0.2, 3: 0.8, 2: 0.3, 0: 0.5, 4: math.nan}
    pruned = trial(1, state="pruned", curve={1: 0.9 - 0.85 * minimize})
    swept = sweep(pruned, *(trial(n, value) for n, value in values.items()), minimize=minimize)
    assert best_so_far(swept) == steps
    (line,) = [line for line in sweep_figures.history_figure(swept).axes[0].lines if line.get_label() == "best so far"]
    assert list(line.get_xdata()) == [*(number for number, _ in steps), 5]
    assert list(line.get_ydata()) == [*(value for _, value in steps), steps[-1][1]]


def test_states_differ_in_their_markers():
    markers = [style["marker"] for style in sweep_figures.STYLES.values()]
    assert len(set(markers)) == len(markers) == 5
    figure = sweep_figures.history_figure(search())
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told == ["finished (30)", "pruned (8)", "failed (1)", "skipped (1)", "best so far"]
    assert {"o", "x", "s", "+"} <= {line.get_marker() for line in figure.axes[0].lines}


def test_a_diverged_trial_does_not_flatten_the_others():
    swept = sweep(*(trial(n, 0.9 + n / 1000) for n in range(20)), trial(20, 0.1), trial(21, state="failed"), best=[19])
    (axes,) = sweep_figures.history_figure(swept).axes
    low, high = axes.get_ylim()
    assert 0.89 < low < 0.9 < 0.919 < high < 0.93
    (finished,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert low < finished.get_ydata()[20] < 0.9
    assert [text.get_text() for text in axes.get_yticklabels(minor=True)] == ["off the scale\nor no score"]
    assert all(tick >= 0.899 for tick in axes.get_yticks())


def test_trials_and_epochs_are_whole_numbers_even_of_one():
    swept = sweep(trial(4, 0.9, curve={1: 0.9}), best=[4])
    for figure, number in ((sweep_figures.history_figure(swept), 4), (sweep_figures.curves_figure(swept), 1)):
        low, high = figure.axes[0].get_xlim()
        assert [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high] == [number]


def test_without_a_finished_trial_there_is_no_best_and_no_colour():
    swept = sweep(trial(0, state="pruned", curve={1: 0.4}, lr=0.1), trial(1, state="failed", lr=0.2))
    told = [text.get_text() for text in sweep_figures.history_figure(swept).legends[0].get_texts()]
    assert told == ["pruned (1)", "failed (1)"]
    assert len(sweep_parallel.parallel_figure(swept).axes) == 1


def test_the_bad_side_of_a_loss_is_above():
    swept = sweep(*(trial(n, 0.3 + n / 1000) for n in range(20)), trial(20, 1e9), best=[0], minimize=True)
    (axes,) = sweep_figures.history_figure(swept).axes
    low, high = axes.get_ylim()
    assert low < 0.3 < 0.319 < high < 0.33
    assert "lower is better" in axes.get_ylabel()


def test_a_scale_holds_the_best_and_cuts_only_what_is_far_off():
    assert scale([0.9, 0.91, 0.92, 0.93, 0.1], "maximize") == Scale(0.9, 0.93, cut=True)
    assert scale([0.9, 0.91, 0.92, 0.93, 0.1], "minimize") == Scale(0.1, 0.93)
    assert scale([math.nan, math.inf], "minimize") == Scale(0.0, 1.0)
    assert scale([10.0**n for n in range(2, 7)], "minimize") == Scale(1e2, 1e6, log=True)
    assert Scale(1e2, 1e6, log=True).place(1e4) == pytest.approx(0.5)
    assert Scale(1e2, 1e6, log=True).at(0.25) == pytest.approx(1e3)
    assert Scale(2.0, 2.0).at(1.0) > 2.0 > Scale(2.0, 2.0).at(0.0)
    assert Scale(2.0, 2.0).place(2.0) == 0.5


def test_numbers_that_grow_by_factors_are_logarithmic_and_even_ones_are_not():
    draw = np.random.default_rng(0)
    assert spans_much([float(10**value) for value in draw.uniform(-4, -2, 40)])
    assert not spans_much([0.001, *(float(value) for value in draw.uniform(0.001, 0.5, 40))])
    assert not spans_much([0.0, 1e-4, 1e-2])
    assert spans_much([16, 32, 512])
    assert not spans_much([16, 32, 64])


def test_a_coordinate_of_numbers_has_its_ends_as_ticks():
    rates = {n: 10.0 ** (n / 10 - 4) for n in range(21)}
    one = sweep_parallel.coordinate("optimizer.lr", rates)
    assert one.places[10] == pytest.approx(0.5)
    assert [text for _, text in one.ticks] == ["0.0001", "0.001", "0.01"]
    few = sweep_parallel.coordinate("batch_size", {0: 32, 1: 64, 2: 96})
    assert list(few.ticks) == [(0.0, "32"), (0.5, "64"), (1.0, "96")]


def test_a_coordinate_of_names_has_them_in_order():
    one = sweep_parallel.coordinate("clip", {0: None, 1: 10, 2: True, 3: 2, 4: "auto", 5: 1})
    assert [text for _, text in one.ticks] == ["1", "2", "10", "auto", "null", "true"]
    assert one.places[4] == pytest.approx(0.6)
    assert sweep_parallel.coordinate("backbone", {0: "cnn", 1: "cnn"}).places == {0: 0.5, 1: 0.5}
    many = sweep_parallel.coordinate("code", {n: f"{n:03}x" for n in range(300)})
    assert len(many.ticks) <= sweep_parallel.MOST_TICKS


def lines_of(figure, label):
    (lines,) = [one for one in figure.axes[0].collections if one.get_label() == label]
    return [[tuple(point) for point in segment] for segment in lines.get_segments()]


def test_parallel_coordinates_pass_a_missing_parameter_at_the_dash():
    swept = sweep(trial(0, 0.8, backbone="cnn"), trial(1, 0.9, backbone="dense", backbone__units="[64]"), best=[1])
    figure = sweep_parallel.parallel_figure(swept)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["backbone", "backbone.units", "val/accuracy"]
    assert lines_of(figure, "finished") == [[(0, 0.0), (1, sweep_parallel.ABSENT), (2, 0.0)]]
    assert lines_of(figure, "best") == [[(0, 1.0), (1, 0.5), (2, 1.0)]]
    assert [text.get_text() for text in axes.texts] == ["cnn", "dense", "[64]", "–", "0.8", "0.9"]


@pytest.mark.parametrize("minimize", [False, True])
def test_good_scores_are_dark(minimize):
    swept = sweep(*(trial(n, 0.5 + n / 10, a=n) for n in range(4)), best=[0 if minimize else 3], minimize=minimize)
    figure = sweep_parallel.parallel_figure(swept)
    (best,) = [one for one in figure.axes[0].collections if one.get_label() == "best"]
    (rest,) = [one for one in figure.axes[0].collections if one.get_label() == "finished"]
    assert best.get_edgecolor()[0, :3].sum() < min(rest.get_edgecolor()[:, :3].sum(1))
    assert figure.axes[1].get_ylabel().startswith(swept.objectives[0])


def test_pruned_trials_are_faint_and_skipped_ones_left_out():
    swept = search()
    figure = sweep_parallel.parallel_figure(swept)
    assert [len(lines_of(figure, label)) for label in ("best", "finished", "rest")] == [1, 29, 9]


def test_numbers_that_differ_look_different_in_the_table():
    close = sweep(trial(0, 0.8, lr=0.00312345678, dropout=0.5), trial(1, 0.9, lr=0.00312345612, dropout=0.25), best=[1])
    table = trial_table(close, 10)
    column = table.columns.index("lr")
    assert [row[column] for row in table.rows] == ["0.00312345612", "0.00312345678"]
    assert [row[table.columns.index("dropout")] for row in table.rows] == ["0.25", "0.5"]


def test_no_line_runs_through_a_label():
    axes = sweep_parallel.parallel_figure(search()).axes[0]
    labels = [text for text in axes.texts if text.get_text() != "–"]
    assert labels
    for label in labels:
        ground = label.get_bbox_patch()
        assert ground is not None
        assert ground.get_facecolor() == (1.0, 1.0, 1.0, 1.0)
        assert label.get_zorder() > max(lines.get_zorder() for lines in axes.collections)


def test_too_many_parameters_keep_the_most_important():
    names = [f"p{n}" for n in range(15)]
    trials = [trial(n, 0.5 + n / 10, **dict.fromkeys(names, n)) for n in range(3)]
    importance = {name: (n + 1) / 120 for n, name in enumerate(names)}
    swept = sweep(*trials, best=[2], importance=importance)
    assert sweep_parallel.drawn_parameters(swept) == names[3:]
    assert "12 of 15 parameters" in sweep_parallel.parallel_figure(swept).get_suptitle()
    changing = [trial(n, 0.5, **dict.fromkeys(names, 1) | {"p14": n}) for n in range(2)]
    assert "p14" in sweep_parallel.drawn_parameters(sweep(*changing))


def test_importance_is_sorted_and_capped():
    figure = sweep_figures.importance_figure({f"p{n}": n / 300 for n in range(25)})
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [f"p{n}" for n in range(24, 4, -1)]
    assert axes.texts[0].get_text() == "8.0%"
    assert "the first 20 of 25" in figure.get_suptitle()


def test_a_pruned_curve_ends_with_a_cross_and_the_best_is_thick():
    swept = sweep(trial(0, 0.9), trial(1, 0.8), trial(2, state="pruned", curve={1: 0.5, 2: 0.6}), best=[0])
    (axes,) = sweep_figures.curves_figure(swept).axes
    (best,) = [line for line in axes.lines if line.get_label() == "best"]
    assert (list(best.get_xdata()), list(best.get_ydata())) == ([1, 2], [0.8, 0.9])
    assert best.get_linewidth() >= 3
    (crosses,) = [line for line in axes.lines if line.get_marker() == "x"]
    assert (list(crosses.get_xdata()), list(crosses.get_ydata())) == ([2], [0.6])
    assert [one.get_label() for one in axes.collections] == ["finished", "pruned"]


def test_the_front_is_joined_and_numbered():
    swept = sweep(
        trial(0, 0.9, second=300.0),
        trial(1, 0.8, second=100.0),
        trial(2, 0.7, second=200.0),
        trial(3, state="pruned", curve={1: 0.1}),
        best=[0, 1],
        two=True,
    )
    (axes,) = sweep_figures.pareto_figure(swept).axes
    (front,) = [line for line in axes.lines if str(line.get_label()).startswith("Pareto front")]
    assert (list(front.get_xdata()), list(front.get_ydata())) == ([100, 300], [0.8, 0.9])
    assert [text.get_text() for text in axes.texts] == ["1", "0"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("parameters (lower is better)", "val/accuracy (higher is better)")


def test_the_order_is_best_finished_then_the_others():
    swept = sweep(
        trial(0, state="failed"),
        trial(1, state="pruned", curve={1: 0.99}),
        trial(2, math.nan),
        trial(3, 0.5),
        trial(4, 0.7),
        trial(5, state="skipped"),
        best=[4],
    )
    assert [one.number for one in swept.ranked()] == [4, 3, 2, 1, 0, 5]


@pytest.mark.parametrize(
    ("value", "told"),
    [(None, "null"), (True, "true"), (0.0031234, "0.003123"), (128, "128"), ("[1, 2]", "[1, 2]"), ("a\nb", "a b")],
)
def test_parameters_are_shown_as_they_are_typed(value, told):
    assert format_value(value) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.92345, "0.9234"), (1.0, "1.0000"), (12345.0, "12,345"), (0.0, "0.0000"), (1e-5, "1e-05"), (math.nan, "nan")],
)
def test_scores_are_shown_with_four_digits(value, told):
    assert score_text(value) == told


def test_long_text_keeps_both_ends():
    assert shortened("backbone.filters", 20) == "backbone.filters"
    assert shortened("a.rather.long.group.lr", 9) == "a.ra…p.lr"
