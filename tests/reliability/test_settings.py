"""Every setting with values of other types, not-a-number, infinite, empty, absurd and at the ends of its range.

Each is either refused in a clear line, or it is what the configuration then holds, and a step of training works.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from prenda.config.paths import CONFIG_DIR
from prenda.config.schema import BUILT, TrainConfig
from prenda.config.validation import check
from prenda.errors import UserError
from prenda.training.build import build_classifier
from prenda.training.initial_weights import load_initial
from tests.reliability.hostile_settings import (
    BASE,
    Ready,
    Setting,
    check_refusal,
    configured,
    configured_fast,
    hostile,
    ready,
    settings,
    step,
    taken,
    value_of,
    written,
)

EVERY = list(settings())
BASED = "cnn_batch_norm"  # a file with the settings of another
TARGETS = [
    (group, path.stem) for group in BUILT for path in sorted((CONFIG_DIR / group).glob("*.yaml")) if path.stem != BASED
]
VALUES: tuple[Any, ...] = (
    "",
    "abc",
    True,
    None,
    [],
    ["a"],
    [0.5, 2],
    [[]],
    {"a": 1},
    math.nan,
    math.inf,
    -1,
    0,
    10**30,
)
SMALL_NETWORK = "test_convnext"
DERANDOMIZED = hypothesis.settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
# Paths and addresses are opened when a run is recorded; tests/tracking and tests/system attack them there.
PLACES = ("paths.", "tracking.", "search.")
ANYTHING = (
    st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.booleans()
    | st.lists(st.integers() | st.text(max_size=3), max_size=2)
)


def accepted(setting: Setting, value: Any) -> str | None:
    """The override, if the value is accepted; a refusal is checked."""
    override = f"{setting.name}={written(value)}"
    try:
        kept = taken(setting, override)
    except UserError as error:
        check_refusal(error, setting.name)
        return None
    assert setting.holds(value, kept), f"{override}: {kept!r}"
    return override


@pytest.mark.parametrize("setting", EVERY, ids=lambda setting: setting.name)
def test_a_hostile_value_is_refused_or_kept(setting, tmp_path):
    kept = [override for value in hostile(setting.kind, setting.valid) if (override := accepted(setting, value))]
    if setting.name.startswith(PLACES) or setting.name == "trainer.compile":  # tests/training compiles once
        return
    for override in kept[-1:]:
        try:
            config = configured_fast(BASE, [override])
            assert value_of(config, setting.name) == taken(setting, override)
            parts = ready(config, tmp_path / "run")
        except UserError as error:
            check_refusal(error, setting.name)
        else:
            assert math.isfinite(step(parts, config)), override


@pytest.mark.parametrize("setting", EVERY, ids=lambda setting: setting.name)
@DERANDOMIZED
@given(value=ANYTHING)
def test_any_value_is_refused_or_kept(setting, value):
    accepted(setting, value)


@pytest.fixture(scope="module")
def usual(tmp_path_factory) -> tuple[TrainConfig, Ready]:
    """A usual configuration, and its data."""
    config = configured_fast(BASE, [])
    return config, ready(config, tmp_path_factory.mktemp("usual"))


@pytest.mark.slow
@pytest.mark.parametrize(("group", "file"), TARGETS, ids=str)
def test_a_hostile_value_of_a_target_is_refused_or_trains(group, file, usual):
    """The values are those that Hydra would read; no target checks the type of every setting."""
    config, parts = usual
    settings = {"model": SMALL_NETWORK} if file == "timm" else {}
    target = yaml.safe_load((CONFIG_DIR / group / f"{file}.yaml").read_text(encoding="utf-8"))
    target = {key: value for key, value in (target | settings).items() if key != "defaults"}
    for name in target:
        for value in [] if name.startswith("_") else VALUES:
            changed = replace(config, **{group: {**target, name: value}})
            try:
                check(changed)
                classifier = build_classifier(changed, parts.data)
                load_initial(changed, classifier, parts.data, Path("nowhere"))
            except UserError as error:
                check_refusal(error, group)
            else:
                loss = step(Ready(classifier, parts.data), changed)
                assert math.isfinite(loss), f"{group}.{name}={value!r}: {loss}"


@pytest.mark.parametrize("override", ["trainer.epochs=abc", "data.image_size=4096", "seed=3", "ema=nan", "data=x"])
def test_the_fast_way_to_a_configuration_is_that_of_hydra(override):
    answers = []
    for way in (lambda: configured([*BASE, override]), lambda: configured_fast(BASE, [override])):
        try:
            answers.append(repr(way()))
        except UserError as error:
            answers.append(str(error))
    if override != "data=x":  # a group, which only a whole composition can choose
        assert answers[0] == answers[1]


def test_settings_that_a_run_fills_in_are_refused():
    with pytest.raises(UserError, match="results_version is 7"):
        check(configured_fast(BASE, ["results_version=7"]))
