"""Expressions of a search space, in Hydra's grammar: `choice(a, b)`, `range(1, 4)`, `tag(log, interval(1e-4, 1))`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, QuotedString, RangeSweep
from hydra.errors import HydraException
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)

from prenda.errors import ConfigError
from prenda.search.space import Parameter, Value, text

ENDS = "give a lower end below the higher one, and for tag(log, …) both above 0"
WHOLE_STEPS = (
    "tag(log, …) is for an interval, or a range of whole numbers by 1: write tag(log,interval(LOW,HIGH)), or "
    "int(tag(log,interval(LOW,HIGH))) for whole numbers"
)


def parse(
    written: Mapping[str, Any], conditional: Mapping[str, Mapping[str, Any]], arguments: Sequence[Override], grid: bool
) -> list[Parameter]:
    """Return the parameters of a search's YAML and of the command line; the command line takes precedence.

    Args:
        written: `search.space`: expressions by setting.
        conditional: `search.when`: conditions such as `backbone=cnn`, each with expressions by setting.
        arguments: Overrides of the command line.
        grid: Whether to turn every expression that can be listed into a list of values.

    Raises:
        ConfigError: If an expression or a condition cannot be read, or cannot be drawn from.
    """
    typed = {override.get_key_element(): override for override in arguments}
    parameters = [
        parameter(setting, value, "search.space", grid=grid)
        for setting, value in written.items()
        if setting not in typed
    ]
    parameters += [_parameter(each, "the command", grid=grid) for each in typed.values() if each.is_sweep_override()]
    for condition, settings in conditional.items():
        place, when = f"search.when.{condition}", parse_condition(condition)
        for setting, value in settings.items():
            if setting not in typed:
                parameters.append(parameter(setting, value, place, when, grid))
    _check_compatible(parameters)
    return parameters


def _check_compatible(parameters: Iterable[Parameter]) -> None:
    """Refuse a setting with different lists under different conditions, which one Optuna study cannot hold."""
    first: dict[str, BaseDistribution] = {}
    for one in parameters:
        if one.distribution is None:
            continue
        try:
            check_distribution_compatibility(first.setdefault(one.setting, one.distribution), one.distribution)
        except ValueError as error:
            raise ConfigError(
                f"{one.setting} is {one.describe()}, but under another condition it has another list or kind of "
                "numbers: draw a variable of its own under each condition, as conf/search/optimizer.yaml does with "
                "adamw_lr."
            ) from error


def parse_condition(condition: str) -> tuple[str, tuple[str, ...]]:
    """Return the setting of a condition, and the values for which it holds.

    Raises:
        ConfigError: If it is not of the form `SETTING=VALUE,…`.
    """
    setting, _, values = condition.partition("=")
    if not (setting and values):
        raise ConfigError(f"search.when has {condition!r}: write SETTING=VALUE, such as backbone=cnn.")
    return setting, tuple(value.strip() for value in values.split(","))


def parameter(
    setting: str, value: Any, place: str, when: tuple[str, tuple[str, ...]] | None = None, grid: bool = False
) -> Parameter:
    """Return the parameter of an expression in a search's YAML; errors name its `place`.

    Raises:
        ConfigError: If the expression cannot be read, or cannot be drawn from.
    """
    if not isinstance(value, str) or value.startswith("${"):
        return Parameter(setting, None, value, when)
    try:
        override = OverridesParser.create().parse_override(f"{setting}={value}")
    except HydraException as error:
        raise ConfigError(
            f"{setting} in {place} is {value!r}, which cannot be read: write choice(a, b), range(1, 4), "
            "interval(0, 1) or tag(log, interval(1e-4, 1e-1))."
        ) from error
    return _parameter(override, place, when, grid)


def _parameter(
    override: Override, place: str, when: tuple[str, tuple[str, ...]] | None = None, grid: bool = False
) -> Parameter:
    setting = override.get_key_element()
    if not override.is_sweep_override():
        return Parameter(setting, None, override.value(), when)
    expression = f"{setting} in {place} is {override.get_value_string()}"
    try:
        return Parameter(setting, _distribution(override, expression, grid), when=when)
    except ConfigError:
        raise
    except (ValueError, HydraException) as error:  # Optuna's for ends that cannot be, Hydra's for the expression
        raise ConfigError(f"{expression}, which cannot be drawn from ({error}): {ENDS}.") from error


def _distribution(override: Override, expression: str, grid: bool) -> BaseDistribution:
    sweep: Any = override.value()
    tags = sorted(getattr(sweep, "tags", ()))
    if tags not in ([], ["log"]):
        raise ConfigError(f"{expression}, with the tag {', '.join(tags)}: the only tag is log, as in tag(log, …).")
    if isinstance(sweep, IntervalSweep):
        low, high = sweep.start, sweep.end
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=bool(tags))
        return FloatDistribution(float(low or 0), float(high or 0), log=bool(tags))
    values = _listed(override)
    if not values:
        raise ValueError("there is nothing in it")
    if grid or not isinstance(sweep, RangeSweep) or sweep.transformers or len(values) == 1:
        if tags and not grid and len(values) > 1:
            raise ConfigError(f"{expression}: {WHOLE_STEPS}.")
        return CategoricalDistribution(_distinct(values, expression))
    return _steps(values, bool(tags), expression)


def _listed(override: Override) -> list[Any]:
    """Return the values of an expression; the order of `shuffle(…)` is the same at each start."""
    values: list[Any] = list(override.sweep_iterator())
    if getattr(override.value(), "shuffle", False):
        values.sort(key=text)
        Random(override.get_value_string()).shuffle(values)  # noqa: S311 - no secret: an order that repeats
    return values


def _steps(values: Iterable[Any], log: bool, expression: str) -> BaseDistribution:
    """Return the distribution of a range."""
    ordered = sorted(values)
    low, second, high = ordered[0], ordered[1], ordered[-1]
    whole = all(isinstance(value, int) for value in ordered)
    if log and not (whole and second - low == 1):
        raise ConfigError(f"{expression}: {WHOLE_STEPS}.")
    if whole:
        return IntDistribution(low, high, step=second - low, log=log)
    return FloatDistribution(float(low), float(high), step=round(second - low, 12))


def _distinct(values: Iterable[Any], expression: str) -> list[Value]:
    """Return the values in the form that Optuna stores, without duplicates.

    Raises:
        ConfigError: If two of them are equal in Python, and so in Optuna, but differ as settings: `true` and 1.
    """
    labels: list[Value] = []
    for label in map(_label, values):
        same = next((other for other in labels if other == label), None)
        if label not in labels:
            labels.append(label)
        elif isinstance(label, bool) != isinstance(same, bool):
            raise ConfigError(
                f"{expression}, where {text(same)} and {text(label)} count as the same value: leave one of them out."
            )
    return labels


def _label(value: Any) -> Value:
    """Return a value in the form that Optuna stores: a list or dictionary becomes its text."""
    if isinstance(value, QuotedString):
        return value.text
    return value if value is None or isinstance(value, str | int | float | bool) else text(value)
