"""Every setting with values of other types, not-a-number, infinite, empty, absurd and at the ends of its range.

Each is either refused in a clear line, or it is what the configuration then holds, and a step of training works.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from prenda.config.validation import check
from prenda.errors import UserError
from tests.reliability.hostile_settings import (
    BASE,
    Setting,
    check_refusal,
    configured,
    configured_fast,
    hostile,
    ready,
    settings,
    step,
    taken,
    target_settings,
    value_of,
    written,
)

EVERY = list(settings())
TARGETS = list(target_settings())
DERANDOMIZED = hypothesis.settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=15,
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
    if setting.name.startswith(PLACES):
        return
    for override in dict.fromkeys([*kept[:1], *kept[-1:]]):
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


@pytest.mark.parametrize(("file", "name", "usual"), TARGETS, ids=lambda value: str(value)[:40])
def test_a_hostile_value_of_a_target_is_refused_or_trains(file, name, usual, tmp_path):
    for value in (*(value for value in hostile(type(usual), None) if not _is_huge(value)), [math.nan], [0.5, 2], ["x"]):
        override = f"{name}={written(value)}"
        _refused_or_trains([file, override], name, tmp_path / "run")


def _refused_or_trains(overrides: list[str], name: str, folder: Path) -> None:
    base = [each for each in BASE if not each.startswith("backbone") or not name.startswith("backbone")]
    try:
        config = configured_fast([*base, overrides[0]], overrides[1:])
        parts = ready(config, folder)
    except UserError as error:
        check_refusal(error, name.partition(".")[0])
        return
    assert math.isfinite(step(parts, config)), overrides


def _is_huge(value: Any) -> bool:
    """Whether a network of so many units would take the machine's memory."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 1e4 < value < math.inf


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
