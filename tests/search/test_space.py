from __future__ import annotations

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from prenda.search.expressions import parse
from prenda.search.space import Space, display_values, text

CONDITIONAL = {"backbone=cnn,resnet": {"kernel": "choice(3, 5)", "filters": "${double:${width}}"}}


def space(written=None, conditional=None, typed=(), grid=False, known=None) -> Space:
    arguments = OverridesParser.create().parse_overrides(list(typed))
    return Space(parse(written or {}, conditional or {}, arguments, grid), known or {})


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("choice(dense, cnn)", "choice(dense, cnn)"),
        ("dense,cnn", "choice(dense, cnn)"),
        ("choice([1, 2], [3])", "choice([1,2], [3])"),
        ("null,true,0.5", "choice(null, True, 0.5)"),
        ("range(1, 4)", "1 to 3 by 1"),
        ("range(0.0, 0.3, 0.1)", "0.0 to 0.2 by 0.1"),
        ("range(8, 0, -4)", "4 to 8 by 4"),
        ("interval(0, 1.5)", "0.0 to 1.5"),
        ("int(interval(1, 9))", "1 to 9 by 1"),
        ("tag(log, interval(1e-4, 1e-1))", "0.0001 to 0.1, log"),
        (0.5, "0.5"),
        ("${a.b:1}", "${a.b:1}"),
    ],
)
def test_expressions_become_distributions(written, told):
    (parameter,) = space({"x": written}).parameters
    assert parameter.describe() == told


def test_a_grid_is_every_combination_once():
    grid = list(space(typed=["a=1,2,1", "b=range(2)", "c=fixed"], grid=True).grid())
    assert grid == [{"a": 1, "b": 0}, {"a": 1, "b": 1}, {"a": 2, "b": 0}, {"a": 2, "b": 1}]


def test_a_conditional_parameter_is_there_only_where_its_condition_holds():
    conditional = space({"backbone": "choice(dense, cnn)"}, CONDITIONAL, grid=True)
    grid = list(conditional.grid())
    assert grid == [{"backbone": "dense"}, {"backbone": "cnn", "kernel": 3}, {"backbone": "cnn", "kernel": 5}]
    assert conditional.settings(grid[0]) == {"backbone": "dense"}
    assert conditional.settings(grid[1]) == {"backbone": "cnn", "kernel": 3, "filters": "${double:${width}}"}


def test_a_condition_looks_at_what_is_not_chosen_too():
    assert list(space({}, CONDITIONAL, grid=True, known={"backbone": "cnn"}).grid()) == [{"kernel": 3}, {"kernel": 5}]
    assert list(space({}, CONDITIONAL, grid=True, known={"backbone": "dense"}).grid()) == [{}]
    groups = space({}, {"backbone=cnn": {"optimizer": "sgd,adamw"}}, known={"backbone": "cnn"})
    assert list(groups.bases({"optimizer"})) == [{"optimizer": "sgd"}, {"optimizer": "adamw"}]


def test_parameters_behind_one_that_does_not_apply_are_there():
    both = space({"backbone": "choice(dense, cnn)"}, {"backbone=cnn": {"k": "3,5"}, "backbone=dense": {"n": "8,9"}})
    assert both.size(100) == 2 + 2
    assert [set(chosen) for chosen in both.grid()] == [{"backbone", "n"}] * 2 + [{"backbone", "k"}] * 2


def test_the_command_line_wins_over_the_file():
    narrowed = space({"backbone": "choice(dense, cnn)", "lr": "interval(0, 1)"}, {}, ["backbone=dense", "lr=1,2"])
    assert [(p.setting, p.describe()) for p in narrowed.parameters] == [("lr", "choice(1, 2)")]


def test_a_trial_draws_the_same_again():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = space({"a": "interval(0, 1)", "b": "choice(x, y)", "n": "range(1, 9)"})
    first = drawn.choose(study.ask())
    again = drawn.choose(optuna.trial.Trial(study, 0))
    assert first == again
    assert set(first) == {"a", "b", "n"}


@pytest.mark.parametrize(
    ("written", "distribution"),
    [
        ("choice(x, y)", CategoricalDistribution(("x", "y"))),
        ("range(1, 9, 2)", IntDistribution(1, 7, step=2)),
        ("tag(log, range(1, 9))", IntDistribution(1, 8, log=True)),
        ("interval(0, 1)", FloatDistribution(0.0, 1.0)),
        ("range(0.0, 0.5, 0.1)", FloatDistribution(0.0, 0.4, step=0.1)),
        ("tag(log, interval(1e-4, 1e-1))", FloatDistribution(1e-4, 1e-1, log=True)),
    ],
)
def test_a_trial_draws_from_what_is_written(written, distribution):
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    assert space({"x": written}).choose(trial) == trial.params
    assert trial.distributions == {"x": distribution}


def test_probes_are_every_base_and_every_extreme_once():
    probed = list(space({"backbone": "choice(dense, cnn)", "lr": "interval(0.1, 1)"}, CONDITIONAL).probes({"backbone"}))
    assert probed == [
        {"backbone": "dense", "lr": 0.1},
        {"backbone": "dense", "lr": 1.0},
        {"backbone": "cnn", "lr": 0.1, "kernel": 3},
        {"backbone": "cnn", "lr": 0.1, "kernel": 5},
    ]


@pytest.mark.parametrize(
    ("written", "conditional", "told"),
    [
        ({"x": "interval(2, 1)"}, {}, r"x in search.space is interval\(2, 1\), which cannot be drawn from .*lower end"),
        ({"x": "tag(log, interval(0, 1))"}, {}, "both above 0"),
        ({"x": "range(3, 3)"}, {}, "there is nothing in it"),
        ({"x": "choice(1, 2"}, {}, r"x in search.space is 'choice\(1, 2', which cannot be read: write choice\(a, b\)"),
        ({}, {"backbone": {"x": "1,2"}}, "search.when has 'backbone': write SETTING=VALUE, such as backbone=cnn"),
        (
            {"x": "tag(log, range(1, 9, 2))"},
            {},
            r"x in search.space is tag\(log, range\(1, 9, 2\)\): tag\(log, …\) is for",
        ),
        ({"x": "tag(log, range(0.1, 0.9, 0.1))"}, {}, r"or int\(tag\(log,interval\(LOW,HIGH\)\)\) for whole numbers"),
        ({"x": "tag(log, choice(1, 10))"}, {}, r"write tag\(log,interval\(LOW,HIGH\)\)"),
        ({"x": "tag(lgo, interval(1, 9))"}, {}, r"with the tag lgo: the only tag is log, as in tag\(log, …\)"),
        (
            {"x": "choice(true, 1)"},
            {},
            r"x in search.space is choice\(true, 1\), where true and 1 count as the same value",
        ),
        ({"x": "0,false"}, {}, "where 0 and false count as the same value: leave one of them out"),
    ],
)
def test_what_cannot_be_drawn_from_is_told(written, conditional, told):
    with pytest.raises(ValueError, match=told):
        space(written, conditional)


def test_one_setting_has_one_list_under_all_conditions():
    """A study of Optuna holds no other; it would fail in the midst of the sweep."""
    conditional = {"o=adamw": {"lr": "0.1,0.2"}, "o=sgd": {"lr": "1,2"}}
    told = r"lr is choice\(1, 2\) when o is sgd, but under another condition it has another list .*: draw a variable"
    with pytest.raises(ValueError, match=told):
        space({"o": "choice(adamw, sgd)"}, conditional, grid=True)
    same = {"o=adamw": {"lr": "interval(0, 1)"}, "o=sgd": {"lr": "interval(0, 2)"}}
    described = space({"o": "choice(adamw, sgd)"}, same).describe()
    assert space({}, CONDITIONAL, grid=True).describe()["kernel"] == "choice(3, 5) when backbone is cnn or resnet"
    assert described == {"o": "choice(adamw, sgd)", "lr": "0.0 to 1.0 when o is adamw; 0.0 to 2.0 when o is sgd"}


def test_an_interval_has_no_grid():
    told = r"x is an interval, which a grid cannot list: give values, such as x=1,2 or range\(…\), or a search that"
    with pytest.raises(ValueError, match=told):
        list(space(typed=["x=interval(0, 1)"], grid=True).grid())


@pytest.mark.parametrize("expression", ["range(1, 9, 3)", "range(0.1, 0.5, 0.1)", "range(8, 0, -4)"])
def test_a_range_that_is_drawn_from_has_the_values_of_a_grid(expression):
    drawn, listed = (list(space({"x": expression}, grid=grid).grid()) for grid in (False, True))
    assert drawn == sorted(listed, key=lambda chosen: chosen["x"])


def test_a_list_among_the_choices_is_set_as_a_list():
    lists = space({"x": "choice([1, 2], [3])", "y": "choice('', dense)"})
    assert lists.settings({"x": "[1,2]", "y": "dense"}) == {"x": [1, 2], "y": "dense"}


def test_what_is_shown_can_be_typed():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = space({"search.variables.depth": "range(1, 9)", "lr": "interval(0.1, 0.9)", "d": "range(0.0, 0.5, 0.1)"})
    trial = study.ask()
    drawn.choose(trial)
    shown = display_values(trial)
    assert shown["lr"] == float(f"{trial.params['lr']:.6g}") != trial.params["lr"]
    assert shown["d"] in (0.0, 0.1, 0.2, 0.3, 0.4)
    assert isinstance(shown["depth"], int)
    assert drawn.settings(trial.params)["lr"] == shown["lr"]
    assert text([1, 2]) == "[1,2]"
    assert text(None) == "null"


def test_typed_values_keep_their_digits():
    """Six digits would make one value of these two."""
    typed = space(typed=["lr=0.00312345678,0.00312345612"], grid=True)
    assert [typed.settings(chosen)["lr"] for chosen in typed.grid()] == [0.00312345678, 0.00312345612]
    trial = optuna.create_study().ask({"lr": typed.parameters[0].distribution})
    assert display_values(trial) == {"lr": trial.params["lr"]}


def test_a_rounded_number_stays_inside_its_interval():
    narrow = space({"x": "interval(0.12345678, 0.9999999)"})
    assert [narrow.settings({"x": end})["x"] for end in (0.12345678, 0.9999999)] == [0.123457, 0.9999999]


@pytest.mark.parametrize("expression", ["shuffle(range(9))", "shuffle(a,b,c,d,e)", "shuffle(range(0.0,1.0,0.1))"])
def test_a_shuffled_list_has_the_same_order_at_each_start(expression):
    first, again = (list(space(typed=[f"x={expression}"], grid=True).grid()) for _ in range(2))
    assert first == again
    assert sorted(first, key=str) == sorted(space(typed=[f"x={expression[8:-1]}"], grid=True).grid(), key=str) != first


def test_a_shuffled_range_is_drawn_as_the_range_itself():
    assert space({"x": "shuffle(range(1, 9, 2))"}).describe() == space({"x": "range(1, 9, 2)"}).describe()


def test_the_size_of_a_space_counts_its_combinations():
    assert space({"backbone": "choice(dense, cnn)", "lr": "range(4)"}, CONDITIONAL).size(100) == 4 + 2 * 4
    assert [space({"x": "range(100)"}).size(most) for most in (99, 100)] == [None, 100]
    assert space({"x": "range(101)"}).size(100) is None
    assert space({"x": "interval(0, 1)"}).size(100) is None


def test_a_logarithmic_range_is_drawn_logarithmically():
    (parameter,) = space({"x": "tag(log, range(1, 9))"}).parameters
    assert parameter.describe() == "1 to 8 by 1, log"
    (listed,) = space({"x": "tag(log, range(1, 9, 2))"}, grid=True).parameters
    assert listed.describe() == "choice(1, 3, 5, 7)"


def test_a_condition_on_true_or_false_holds_as_it_is_typed():
    conditional = {"batch_norm=true": {"momentum": "0.1,0.2"}}
    chosen = list(space({"batch_norm": "choice(true, false)"}, conditional, grid=True).grid())
    assert [one.get("momentum") for one in chosen] == [0.1, 0.2, None]
