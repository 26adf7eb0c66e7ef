"""Plan of a sweep: its search space, the base configurations of its trials, and its name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError
from optuna.distributions import FloatDistribution

from prenda.config.convert import as_plain, typed
from prenda.config.hydra_errors import explained
from prenda.config.identity import decisive
from prenda.config.schema import DataConfig, SearchConfig, TrackingConfig, TrainConfig
from prenda.data.datasets import content_identity
from prenda.data.photo_files import PhotoSettings, photo_settings
from prenda.errors import ConfigError
from prenda.search.composition import chosen_files, config_folder, without_hydra
from prenda.search.conditions import check_conditions, known_values
from prenda.search.expressions import parse
from prenda.search.space import VARIABLES, Parameter, Space, Value, text
from prenda.system.redaction import without_passwords

# Limits, places and tracking: a sweep can be resumed with other values of these.
FREE = {"workers", "search.n_trials", "search.hours", "search.max_failures", "search.retry_failed", "search.retries"}
NAME = re.compile(r"[^/\\.\-\x00-\x1f][^/\\\x00-\x1f]{0,99}")
FREE_GROUPS = {"hydra", "tracking", "paths"}
SPACE = "search.space."
SHARED = {"search", "tracking", "workers", "hydra", "choices", "results_version"}  # equal in all trials


@dataclass(frozen=True)
class Plan:
    """A sweep, before its first trial.

    Attributes:
        name: From `search.name`, or from the command.
        command: The command line, without passwords.
        config_folder: Arguments that name the folder of `--config-dir`, if there is one.
        overrides: The typed overrides that all trials share.
        search: The settings of the sweep itself.
        tracking: Where the trials are recorded.
        groups: The settings of the search space that choose a file of conf/.
        bases: The unresolved configuration of each combination of groups: nothing is composed after the start.
    """

    name: str
    command: str
    config_folder: Sequence[str]
    overrides: Sequence[str]
    search: SearchConfig
    tracking: TrackingConfig
    space: Space
    groups: frozenset[str]
    bases: Mapping[str, DictConfig]

    def configuration(self, chosen: Mapping[str, Value]) -> TrainConfig:
        """Return the resolved configuration of a trial.

        Raises:
            ConfigError: If a setting does not exist, or does not accept the value.
        """
        config = self.bases[_key(chosen, self.groups)].copy()
        # Resolved at the start: MLflow changes its variable, to which they may refer, while the sweep runs.
        config.tracking.uri, config.tracking.artifacts = self.tracking.uri, self.tracking.artifacts
        for setting, value in self.space.settings(chosen).items():
            if setting in self.groups:
                continue
            try:
                OmegaConf.update(config, setting.lstrip("+"), value, force_add=setting.startswith("+"))
            except OmegaConfBaseException as error:
                raise _refused(error, setting, value, self.space) from error
        try:
            return typed(config)
        except OmegaConfBaseException as error:
            raise explained(error, self.overrides) from error

    def record(self) -> dict[str, Any]:
        """Return what identifies the sweep, to be written to its folder."""
        return {
            "name": self.name,
            "command": self.command,
            "space": self.space.describe(),
            "objectives": list(self.search.objectives),
            "settings": {key: _decisive(typed(base)) for key, base in self.bases.items()},
        }


def make_plan(config: DictConfig, loader: ConfigLoader, arguments: Sequence[str]) -> Plan:
    """Read the search space from `search` and the command line, and compose every base configuration.

    Raises:
        ConfigError: If an expression, a condition or a setting cannot be read.
    """
    parsed = OverridesParser.create(loader).parse_overrides(list(arguments))
    overrides = {override.get_key_element(): override for override in parsed}
    search: Any = OmegaConf.to_container(config.search, resolve=False)
    fixed_overrides = [override for override in overrides.values() if not override.is_sweep_override()]
    parameters = parse(search["space"], search["when"], list(overrides.values()), grid=search["sampler"] is None)
    _check_shared(parameters, overrides)
    check_conditions(search, parameters, config, loader)
    parameters = [parameter for parameter in parameters if _is_used(parameter, parameters, config)]
    space = Space(parameters, known_values(config, fixed_overrides, parameters))
    groups = frozenset(
        parameter.setting
        for parameter in parameters
        if parameter.distribution is not None and loader.get_group_options(parameter.setting)
    )
    fixed = [override.input_line or "" for override in fixed_overrides]
    bases: dict[str, DictConfig] = {}
    for chosen in space.bases(set(groups)):
        key = _key(chosen, groups)
        bases[key] = _composed(
            config, loader, [*fixed, *(f"{group}={chosen[group]}" for group in groups if group in chosen)]
        )
    base = typed(without_hydra(config))
    name = base.search.name
    if name is not None and not NAME.fullmatch(name):
        raise ConfigError(
            f"search.name is {name!r}: it names a folder, so give at most 100 characters without / and \\, and none of "
            "the signs . and - at the start."
        )
    # Not by iterating, which would resolve a typed `${…}` and fail where its target does not exist.
    typed_overrides: Any = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    return Plan(
        name=name or _name(config, list(overrides.values())),
        command=_command(config),
        config_folder=config_folder(config.hydra.runtime.config_sources),
        overrides=[without_passwords(override) for override in fixed if override in typed_overrides],
        search=base.search,
        tracking=base.tracking,
        space=space,
        groups=groups,
        bases=bases,
    )


def _check_shared(parameters: Sequence[Parameter], overrides: Mapping[str, Override]) -> None:
    """Refuse overrides inside the search space, and several values for a setting that all trials of a sweep share.

    Raises:
        ConfigError: If there is such a setting, with the way to write what is probably meant.
    """
    for key, override in overrides.items():
        name = key.lstrip("+")
        if name.startswith(SPACE) and not override.is_delete():
            meant = shlex.quote(f"{name.removeprefix(SPACE)}={override.get_value_string()}")
            raise ConfigError(
                f"{override.input_line} is written inside the search space: give the setting itself its values, "
                f"without search.space: {meant}."
            )
    for setting in (one.setting for one in parameters):
        name = setting.lstrip("+")
        if name.replace("/", ".").partition(".")[0] in SHARED and not name.startswith(VARIABLES):
            given = overrides[setting].input_line if setting in overrides else f"{setting} in search.space"
            raise ConfigError(
                f"{given} has several values, but all trials of a sweep share this setting: give one value; start a "
                "sweep for each value if you need several."
            )


def trial_overrides(plan: Plan, config: TrainConfig, chosen: Mapping[str, Value]) -> tuple[list[str], list[str]]:
    """Return the overrides with which `prenda train` runs the trial: those that all trials share, and its own."""
    settings = plan.space.settings(chosen).items()
    own = [
        f"{setting}={text(_value(config, setting) if _interpolated(value) else value)}"
        for setting, value in settings
        if not setting.startswith("search.")
    ]
    shared = [override for override in plan.overrides if not override.startswith(("search", "workers"))]
    return shared, own


def content_of(data: DataConfig) -> str | None:
    """Return the fingerprint of images that the data set's name does not determine; cached for the process."""
    return _content(data.name, data.dir, photo_settings(data))


@cache
def _content(name: str, folder: str, photos: PhotoSettings) -> str | None:
    return content_identity(name, Path(folder).expanduser(), photos)


def _command(config: DictConfig) -> str:
    """Return the command line, to be pasted in any folder."""
    typed: Any = OmegaConf.to_container(config.hydra.overrides, resolve=False)
    of_hydra = [one for one in typed["hydra"] if not one.startswith("hydra.mode=")]  # Hydra's own, for -m
    folder = config_folder(config.hydra.runtime.config_sources)
    return without_passwords(shlex.join(["prenda", "train", "-m", *folder, *typed["task"], *of_hydra]))


def _refused(error: OmegaConfBaseException, setting: str, value: Any, space: Space) -> ConfigError:
    """Return the explanation of a value that a setting does not accept."""
    message = str(explained(error, [f"{setting}={value}"]))
    drawn = next((one.distribution for one in space.parameters if one.setting == setting), None)
    if isinstance(error, ValidationError) and isinstance(drawn, FloatDistribution) and drawn.step is None:
        message += f" An interval has real numbers; int(interval({drawn.low:g},{drawn.high:g})) has whole ones."
    return ConfigError(message)


def _decisive(config: TrainConfig) -> dict[str, Any]:
    return decisive(config, content_of(config.data))


def _value(config: TrainConfig, setting: str) -> Any:
    value: Any = as_plain(config)
    for key in setting.lstrip("+").split("."):
        value = value[key]
    return value


def _interpolated(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("${")


def _composed(config: DictConfig, loader: ConfigLoader, overrides: list[str]) -> DictConfig:
    try:
        composed = loader.load_sweep_config(config, overrides)
    except HydraException as error:
        raise explained(error, overrides) from error
    base = without_hydra(composed)
    base.choices = chosen_files(composed.hydra.runtime.choices)
    return base


def _key(chosen: Mapping[str, Value], groups: frozenset[str]) -> str:
    return ",".join(f"{group}={chosen[group]}" for group in sorted(groups) if group in chosen) or "all"


def _is_used(parameter: Parameter, parameters: Sequence[Parameter], config: DictConfig) -> bool:
    """Whether any setting refers to a variable; the command line may have replaced the setting that did."""
    if not parameter.setting.startswith(VARIABLES):
        return True
    settings = OmegaConf.masked_copy(config, [str(name) for name in config if name not in ("hydra", "search")])
    written = [str(other.given) for other in parameters] + [OmegaConf.to_yaml(settings)]
    return any(re.search(rf"{re.escape(parameter.setting)}\b", text) for text in written)


def _name(config: DictConfig, overrides: Sequence[Override]) -> str:
    """Return a readable part, then a digest of the typed overrides that determine the trials."""
    typed = sorted(
        f"{one.get_key_element()}={one.get_value_string() if one.input_line and '=' in one.input_line else ''}"
        for one in overrides
        if one.key_or_group not in FREE and one.key_or_group.replace("/", ".").partition(".")[0] not in FREE_GROUPS
    )
    digest = sha256(without_passwords("\n".join(typed)).encode()).hexdigest()[:8]
    choices = config.hydra.runtime.choices
    readable = choices.get("experiment") or choices.get("search") or "sweep"
    return f"{readable}-{digest}"
