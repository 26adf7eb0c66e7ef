"""Search space of a sweep: its parameters, the values of a trial, and every combination of a grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Transformer
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, Trial

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
                drawn = f"choice({', '.join(each if isinstance(each, str) else _recorded(each) for each in choices)})"
            case (
                IntDistribution(low=low, high=high, step=step, log=log)
                | FloatDistribution(low=low, high=high, step=step, log=log)
            ):
                drawn = f"{low} to {high}{'' if step is None else f' by {step}'}{', log' if log else ''}"
            case _:
                drawn = self.given if isinstance(self.given, str) else _recorded(self.given)
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

    def size(self, most: int) -> int | None:
        """Return the number of combinations; None if they are more than `most`, or if a parameter is an interval."""
        try:
            count = sum(1 for _ in islice(self.grid(), most + 1))
        except ConfigError:
            return None
        return count if count <= most else None

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
        applying = [parameter for parameter in self.parameters if parameter.applies(seen)]
        drawn = {p.setting: p.distribution for p in applying if p.distribution is not None}
        given = {parameter.setting: parameter.given for parameter in applying if parameter.distribution is None}
        return {setting: _meant(used(value, drawn.get(setting))) for setting, value in chosen.items()} | given

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
    return str(value).lower() if isinstance(value, bool) else str(Transformer.str(value))


def _recorded(value: Any) -> str:
    """Return a value as the records of earlier sweeps have it: `True` for true."""
    return str(Transformer.str(value))


def used(value: Value, distribution: BaseDistribution | None) -> Value:
    """Return a drawn value as the setting receives it.

    A number that was drawn from an interval is rounded to six digits, inside the interval: 17 digits say no more, and
    cannot be read or typed. A step leaves the rounding errors of its multiplication. A listed value stays as it is.
    """
    if not isinstance(distribution, FloatDistribution) or not isinstance(value, float):
        return value
    if distribution.step is not None:
        return float(f"{value:.12g}")
    return min(max(float(f"{value:.6g}"), distribution.low), distribution.high)


def display_values(trial: Trial | FrozenTrial) -> dict[str, Value]:
    """Return the values of a trial as they are used, with the variables by their own names."""
    return {
        setting.removeprefix(VARIABLES): used(value, trial.distributions.get(setting))
        for setting, value in trial.params.items()
    }


def _meant(label: Value) -> Any:
    """Return the value that a drawn value, or a label of a choice, stands for: the text of a list is a list."""
    if isinstance(label, str) and label[:1] in "[{":
        return OverridesParser.create().parse_override(f"_={label}").value()
    return label
