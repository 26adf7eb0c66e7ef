"""What a sweep may choose, in Hydra's own grammar: `choice(a, b)`, `range(1, 4)`, `tag(log, interval(1e-4, 1))`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, QuotedString, RangeSweep, Transformer
from hydra.errors import HydraException
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from prenda.errors import ConfigError

Value = str | int | float | bool | None
VARIABLES = "search.variables."


@dataclass(frozen=True)
class Parameter:
    """One setting of a space.

    Attributes:
        setting: As Hydra names it: a group (`backbone`), a value (`optimizer.lr`), a new one (`+a.b`).
        distribution: What it is drawn from; None where it is given.
        given: The value, where it is given; it may be an interpolation.
        when: The setting that it depends on, and the values of that for which it is there; None where it always is.
    """

    setting: str
    distribution: BaseDistribution | None
    given: Any = None
    when: tuple[str, tuple[str, ...]] | None = None

    def applies(self, chosen: Mapping[str, str]) -> bool:
        return self.when is None or chosen.get(self.when[0]) in self.when[1]

    def draw(self, trial: Trial) -> Value:
        """Return the value that the trial's sampler draws; the same value again if it has drawn one."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                drawn: Value = trial.suggest_categorical(self.setting, choices)
                return drawn
            case IntDistribution(low=low, high=high, step=step, log=log):
                return trial.suggest_int(self.setting, low, high, step=step, log=log)
            case FloatDistribution(low=low, high=high, step=step, log=log):
                return trial.suggest_float(self.setting, low, high, step=step, log=log)
        raise AssertionError(self.setting)

    def values(self) -> list[Value]:
        """Every value of a discrete parameter.

        Raises:
            ConfigError: If there is no end to them.
        """
        distribution = self.distribution
        if isinstance(distribution, CategoricalDistribution):
            return list(distribution.choices)
        if isinstance(distribution, IntDistribution) and not distribution.log:
            return list(range(distribution.low, distribution.high + 1, distribution.step))
        if isinstance(distribution, FloatDistribution) and distribution.step is not None:
            count = round((distribution.high - distribution.low) / distribution.step) + 1
            return [round(distribution.low + place * distribution.step, 12) for place in range(count)]
        raise ConfigError(
            f"{self.setting} is an interval, which a grid cannot list: give values, such as {self.setting}=1,2 or "
            "range(…), or a search that draws from it, such as +search/sampler=tpe search.n_trials=20."
        )

    def extremes(self) -> list[Value]:
        """Values that show whether all of them can work: every choice, or both ends."""
        if isinstance(self.distribution, CategoricalDistribution):
            return list(self.distribution.choices)
        assert isinstance(self.distribution, IntDistribution | FloatDistribution)
        return [self.distribution.low, self.distribution.high]

    def describe(self) -> str:
        """One line that is the same for the same space, to tell changes by."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                drawn = f"choice({', '.join(each if isinstance(each, str) else text(each) for each in choices)})"
            case (
                IntDistribution(low=low, high=high, step=step, log=log)
                | FloatDistribution(low=low, high=high, step=step, log=log)
            ):
                drawn = f"{low} to {high}{'' if step is None else f' by {step}'}{', log' if log else ''}"
            case _:
                drawn = self.given if isinstance(self.given, str) else text(self.given)
        return drawn if self.when is None else f"{drawn} when {self.when[0]} is {' or '.join(self.when[1])}"


@dataclass(frozen=True)
class Space:
    """The parameters of a sweep, in the order in which they are chosen.

    Attributes:
        known: Values of settings that are not chosen, for conditions to look at.
    """

    parameters: Sequence[Parameter]
    known: Mapping[str, str] = field(default_factory=dict)

    def choose(self, trial: Trial) -> dict[str, Value]:
        """Return the values that the trial's sampler draws, by setting. An interrupted trial keeps its values."""
        drawn: dict[str, Value] = {}
        for parameter in self._applying(drawn):
            if parameter.distribution is not None:
                drawn[parameter.setting] = parameter.draw(trial)
        return drawn

    def grid(self) -> Iterator[dict[str, Value]]:
        """Every combination.

        Raises:
            ConfigError: If a parameter is an interval.
        """

        def extend(chosen: dict[str, Value], rest: Sequence[Parameter]) -> Iterator[dict[str, Value]]:
            if not rest:
                yield chosen
                return
            first, *others = rest
            if first.distribution is None or not first.applies(self._seen(chosen)):
                yield from extend(chosen, others)
                return
            for value in first.values():
                yield from extend({**chosen, first.setting: value}, others)

        return extend({}, self.parameters)

    def probes(self, groups: set[str]) -> Iterator[dict[str, Value]]:
        """Few choices that use every combination of groups, and every parameter at its extremes."""
        tried: set[tuple[str, Value]] = set()
        for base in self.bases(groups):
            chosen = dict(base)
            for parameter in self._applying(chosen):
                if parameter.distribution is not None and parameter.setting not in chosen:
                    chosen[parameter.setting] = parameter.extremes()[0]
            yield dict(chosen)
            tried |= set(chosen.items())
            for parameter in self._applying(chosen):
                if parameter.distribution is not None and parameter.setting not in groups:
                    for value in parameter.extremes():
                        if (parameter.setting, value) not in tried:
                            tried.add((parameter.setting, value))
                            yield {**chosen, parameter.setting: value}

    def bases(self, groups: set[str]) -> Iterator[dict[str, Value]]:
        """Every combination of the parameters that choose a file of conf/."""
        parameters = [parameter for parameter in self.parameters if parameter.setting in groups]
        return Space(parameters, self.known).grid()

    def settings(self, chosen: Mapping[str, Value]) -> dict[str, Any]:
        """Return the values to set: what was chosen, with what is given where its condition holds."""
        seen = self._seen(chosen)
        given = {p.setting: p.given for p in self.parameters if p.distribution is None and p.applies(seen)}
        return {setting: _meant(value) for setting, value in chosen.items()} | given

    def describe(self) -> dict[str, str]:
        """Return the space by setting, for its record."""
        lines: dict[str, str] = {}
        for parameter in self.parameters:
            before = f"{lines[parameter.setting]}; " if parameter.setting in lines else ""
            lines[parameter.setting] = before + parameter.describe()
        return lines

    def _seen(self, chosen: Mapping[str, Value]) -> dict[str, str]:
        return {**self.known, **{setting: text(value) for setting, value in chosen.items()}}

    def _applying(self, chosen: Mapping[str, Value]) -> Iterator[Parameter]:
        """Return the parameters whose condition holds, looked at one by one while `chosen` grows."""
        for parameter in self.parameters:
            if parameter.applies(self._seen(chosen)):
                yield parameter


def text(value: Any) -> str:
    """Return a value as it is typed."""
    return str(Transformer.str(value))


def parse(
    written: Mapping[str, Any], conditional: Mapping[str, Mapping[str, Any]], arguments: Sequence[Override], grid: bool
) -> list[Parameter]:
    """Return the parameters that a search's YAML and the command line write; the command line wins.

    Args:
        written: `search.space`: expressions by setting.
        conditional: `search.when`: conditions such as `backbone=cnn`, each with expressions by setting.
        arguments: What was typed.
        grid: Keep what can be listed as a list, so that every value has its place.

    Raises:
        ConfigError: If an expression or a condition cannot be read, or cannot be drawn from.
    """
    typed = {override.get_key_element(): override for override in arguments}
    parameters = [
        _written(setting, value, "search.space", grid=grid)
        for setting, value in written.items()
        if setting not in typed
    ]
    parameters += [_parameter(each, "the command", grid=grid) for each in typed.values() if each.is_sweep_override()]
    for condition, settings in conditional.items():
        place, when = f"search.when.{condition}", _condition(condition)
        for setting, value in settings.items():
            if setting not in typed:
                parameters.append(_written(setting, value, place, when, grid))
    return parameters


def _condition(condition: str) -> tuple[str, tuple[str, ...]]:
    setting, _, values = condition.partition("=")
    if not (setting and values):
        raise ConfigError(f"search.when has {condition!r}: write SETTING=VALUE, such as backbone=cnn.")
    return setting, tuple(value.strip() for value in values.split(","))


def _written(
    setting: str, value: Any, place: str, when: tuple[str, tuple[str, ...]] | None = None, grid: bool = False
) -> Parameter:
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
    try:
        return Parameter(setting, _distribution(override, grid), when=when)
    except (ValueError, HydraException) as error:  # Optuna's for ends that cannot be, Hydra's for the expression
        raise ConfigError(
            f"{setting} in {place} is {override.get_value_string()}, which cannot be drawn from ({error}): give a "
            "lower end below the higher one, and for tag(log, …) both above 0."
        ) from error


def _distribution(override: Override, grid: bool) -> BaseDistribution:
    sweep: Any = override.value()
    log = "log" in getattr(sweep, "tags", ())
    if isinstance(sweep, IntervalSweep):
        low, high = sweep.start, sweep.end
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=log)
        return FloatDistribution(float(low or 0), float(high or 0), log=log)
    values: list[Any] = list(override.sweep_iterator())
    if not values:
        raise ValueError("there is nothing in it")
    numbers = isinstance(sweep, RangeSweep) and not sweep.transformers and len(values) > 1
    if grid or not numbers:
        return CategoricalDistribution(list(dict.fromkeys(_label(value) for value in values)))
    first, second, last = values[0], values[1], values[-1]
    if all(isinstance(value, int) for value in values):
        low, high = sorted((first, last))
        return IntDistribution(low, high, step=abs(second - first))
    low, high = sorted((float(first), float(last)))
    return FloatDistribution(low, high, step=round(abs(second - first), 12))


def _label(value: Any) -> Value:
    """Return a value as Optuna keeps it: plain ones as they are, a list or dictionary as its text."""
    if isinstance(value, QuotedString):
        return value.text
    return value if value is None or isinstance(value, str | int | float | bool) else text(value)


def display_values(drawn: Mapping[str, Value]) -> dict[str, Value]:
    """Return drawn values as they are used and shown: numbers to six digits, variables by their own names."""
    return {setting.removeprefix(VARIABLES): _rounded(value) for setting, value in drawn.items()}


def _rounded(value: Value) -> Value:
    """Round a drawn number to six digits: 17 say no more, and cannot be read or typed."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _meant(label: Value) -> Any:
    """Return the value that a drawn value, or a label of `_label`, stands for."""
    if isinstance(label, str) and label[:1] in "[{":
        return OverridesParser.create().parse_override(f"_={label}").value()
    return _rounded(label)
