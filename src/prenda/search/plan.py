"""What a sweep is going to do: its space, the configurations that its trials start from, and its name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prenda.config.hydra_errors import explained
from prenda.config.identity import decisive, differences, fingerprint
from prenda.config.schema import TrainConfig
from prenda.errors import ConfigError
from prenda.search.space import VARIABLES, Parameter, Space, Value, parse, text
from prenda.system.atomic_write import write_whole
from prenda.system.redaction import without_passwords

KEPT = "sweep.yaml"  # in a sweep's folder: what it was started with
# How long, where and how closely watched: the same sweep goes on when these change.
FREE = {"workers", "search.n_trials", "search.hours", "search.max_failures", "search.retry_failed", "search.retries"}
FREE_GROUPS = {"hydra", "tracking", "paths"}


@dataclass(frozen=True)
class Plan:
    """A sweep, before its first trial.

    Attributes:
        name: From `search.name`, or from the command.
        command: What was typed.
        overrides: What all of its runs have in common, as it was typed.
        config: The composed configuration without what is chosen.
        groups: The settings of the space that choose a file of conf/.
        bases: The configuration of each combination of those, unresolved: nothing is composed after the start.
    """

    name: str
    command: str
    overrides: Sequence[str]
    config: DictConfig
    space: Space
    groups: frozenset[str]
    bases: Mapping[str, DictConfig]

    def configuration(self, chosen: Mapping[str, Value]) -> DictConfig:
        """The configuration of a trial, resolved.

        Raises:
            ValueError: If a setting is not there, or takes no such value.
        """
        config = self.bases[_key(chosen, self.groups)].copy()
        for setting, value in self.space.settings(chosen).items():
            if setting in self.groups:
                continue
            try:
                OmegaConf.update(config, setting.lstrip("+"), value, force_add=setting.startswith("+"))
            except OmegaConfBaseException as error:
                raise explained(error, [f"{setting}={value}"]) from error
        try:
            resolved = OmegaConf.create(OmegaConf.to_container(config, resolve=True, enum_to_str=False))
            OmegaConf.merge(TrainConfig, resolved)
        except OmegaConfBaseException as error:
            raise explained(error, self.overrides) from error
        assert isinstance(resolved, DictConfig)
        return resolved

    def record(self) -> dict[str, Any]:
        """What decides the sweep, to be kept in its folder."""
        return {
            "name": self.name,
            "command": self.command,
            "space": self.space.describe(),
            "objectives": list(self.config.search.objectives),
            "settings": {key: decisive(_schema(base)) for key, base in self.bases.items()},
        }


def make_plan(config: DictConfig, loader: ConfigLoader, arguments: Sequence[str]) -> Plan:
    """Reads the space from `search` and from what was typed, and composes every base.

    Raises:
        ValueError: If an expression, a condition or a setting cannot be read.
    """
    parsed = OverridesParser.create(loader).parse_overrides(list(arguments))
    overrides = {each.get_key_element(): each for each in parsed}
    search = OmegaConf.to_container(config.search, resolve=False)
    assert isinstance(search, dict)
    given = [each for each in overrides.values() if not each.is_sweep_override()]
    parameters = parse(search["space"], search["when"], list(overrides.values()), grid=search["sampler"] is None)
    parameters = [parameter for parameter in parameters if _is_used(parameter, parameters, config)]
    space = Space(parameters, _known(config, given, parameters))
    groups = frozenset(
        parameter.setting
        for parameter in parameters
        if parameter.distribution is not None and loader.get_group_options(parameter.setting)
    )
    fixed = [each.input_line or "" for each in given]
    bases: dict[str, DictConfig] = {}
    for chosen in space.bases(set(groups)):
        key = _key(chosen, groups)
        bases[key] = _composed(
            config, loader, [*fixed, *(f"{group}={chosen[group]}" for group in groups if group in chosen)]
        )
    # Not by iterating, which would resolve the `${…}` of what was typed, and fail where one leads nowhere.
    typed: Any = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    return Plan(
        name=config.search.name or _name(config, list(overrides.values())),
        command=without_passwords(shlex.join(["prenda", "train", "-m", *typed])),
        overrides=[each for each in fixed if each in typed],
        config=config,
        space=space,
        groups=groups,
        bases=bases,
    )


def keep(plan: Plan, folder: Path) -> None:
    """Writes the plan to the sweep's folder, or compares it with the one that is there.

    Raises:
        ValueError: If the folder's sweep had another space or other settings, with what differs.
    """
    path = folder / KEPT
    record = plan.record()
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, OmegaConf.to_yaml(OmegaConf.create(record)))
        return
    kept: Any = OmegaConf.to_container(OmegaConf.load(path))
    here: Any = OmegaConf.to_container(OmegaConf.create(record))
    different = differences(_comparable(kept), _comparable(here))
    if different:
        raise ConfigError(
            f"{folder} holds a sweep of another space or other settings ({different}): restore them to go on with it, "
            "or start another with search.name=…"
        )


def told(plan: Plan, config: DictConfig, chosen: Mapping[str, Value]) -> tuple[list[str], list[str]]:
    """The overrides by which `prenda train` would run the trial: those of all trials, and its own."""
    settings = plan.space.settings(chosen).items()
    own = [
        f"{setting}={text(_value(config, setting) if _interpolated(value) else value)}"
        for setting, value in settings
        if not setting.startswith("search.")
    ]
    return [each for each in plan.overrides if not each.startswith(("search", "workers"))], own


def identify(config: DictConfig) -> str:
    """The fingerprint of a trial's configuration."""
    return fingerprint(_schema(config))


def _value(config: DictConfig, setting: str) -> Any:
    value = OmegaConf.select(config, setting.lstrip("+"))
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def _interpolated(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("${")


def _schema(config: DictConfig) -> DictConfig:
    typed = OmegaConf.merge(TrainConfig, config)
    assert isinstance(typed, DictConfig)
    return typed


def _composed(config: DictConfig, loader: ConfigLoader, overrides: list[str]) -> DictConfig:
    try:
        composed = loader.load_sweep_config(config, overrides)
    except HydraException as error:
        raise explained(error, overrides) from error
    choices = composed.hydra.runtime.choices
    OmegaConf.set_struct(composed, False)
    del composed["hydra"]
    OmegaConf.set_struct(composed, True)
    composed.choices = {group: choice for group, choice in choices.items() if choice and "hydra" not in group}
    return composed


def _key(chosen: Mapping[str, Value], groups: frozenset[str]) -> str:
    return ",".join(f"{group}={chosen[group]}" for group in sorted(groups) if group in chosen) or "all"


def _is_used(parameter: Parameter, parameters: Sequence[Parameter], config: DictConfig) -> bool:
    """Whether a variable is referred to; what refers to it may have been given on the command line instead."""
    if not parameter.setting.startswith(VARIABLES):
        return True
    settings = {name: config._get_node(name) for name in config if name not in ("hydra", "search")}
    written = [str(each.given) for each in parameters] + [OmegaConf.to_yaml(OmegaConf.create(settings))]
    return any(re.search(rf"{re.escape(parameter.setting)}\b", text) for text in written)


def _known(config: DictConfig, given: Sequence[Override], parameters: Sequence[Parameter]) -> dict[str, str]:
    """Of settings that conditions look at, the values that are not chosen."""
    asked = {parameter.when[0] for parameter in parameters if parameter.when is not None}
    choices = config.hydra.runtime.choices
    known = {setting: choices.get(setting) or OmegaConf.select(config, setting) for setting in asked}
    typed = {each.get_key_element(): each.value() for each in given}
    return {setting: text(typed.get(setting, value)) for setting, value in known.items() if value is not None}


def _name(config: DictConfig, overrides: Sequence[Override]) -> str:
    """Readable, then a digest of everything typed that decides which trials there are."""
    typed = sorted(
        f"{each.get_key_element()}={each.get_value_string() if each.input_line and '=' in each.input_line else ''}"
        for each in overrides
        if each.key_or_group not in FREE and each.key_or_group.replace("/", ".").partition(".")[0] not in FREE_GROUPS
    )
    digest = sha256("\n".join(typed).encode()).hexdigest()[:8]
    choices = config.hydra.runtime.choices
    readable = choices.get("experiment") or choices.get("search") or "sweep"
    return f"{readable}-{digest}"


def _comparable(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record's parts by dotted name; where all bases agree, a setting is told once."""
    flat = {f"space {setting}": line for setting, line in record["space"].items()}
    flat["objectives"] = record["objectives"]
    bases = record["settings"]
    for key, settings in bases.items():
        for setting, value in settings.items():
            shared = all(setting in other and other[setting] == value for other in bases.values())
            flat[setting if shared else f"{setting} with {key}"] = value
    return flat
