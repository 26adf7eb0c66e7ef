"""Check of the conditions of a search space (`search.when`): their settings and values must exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from prenda.config.convert import flatten
from prenda.errors import ConfigError
from prenda.search.composition import without_hydra
from prenda.search.expressions import parameter, parse_condition
from prenda.search.space import Parameter, text


def check_conditions(
    search: Mapping[str, Any], parameters: Sequence[Parameter], config: DictConfig, loader: ConfigLoader
) -> None:
    """Refuse a condition on a setting that does not exist, or on a value that the setting never has.

    Args:
        search: The group `search`, in plain types.
        parameters: Parameters of the search space.
        config: Configuration as Hydra composed it.
        loader: Loader of the files in `conf/`.

    Raises:
        ConfigError: If there is such a condition. The text suggests the nearest name or value.
    """
    settings = flatten(OmegaConf.to_container(without_hydra(config), resolve=False))
    names = {*settings, *(one.setting for one in parameters), *loader.list_groups("")}
    for condition, conditional in search["when"].items():
        setting, values = parse_condition(condition)
        if conditional is None:
            raise ConfigError(f"search.when has {condition!r} without settings: give some below it, or leave it out.")
        options = loader.get_group_options(setting)
        if setting not in names and not options:
            raise ConfigError(
                f"search.when has {condition!r}, but there is no setting {setting}{_meant(setting, names)}."
            )
        valid = options or _values(setting, search, parameters, settings.get(setting))
        for value in values:
            if valid and value not in valid:
                raise ConfigError(
                    f"search.when has {condition!r}, but {setting} is never {value!r}{_meant(value, valid)}. "
                    f"Its values are {', '.join(valid)}."
                )


def known_values(
    config: DictConfig, fixed_overrides: Sequence[Override], parameters: Sequence[Parameter]
) -> dict[str, str]:
    """Return the fixed values of the settings that conditions refer to."""
    conditions = {parameter.when[0] for parameter in parameters if parameter.when is not None}
    choices = config.hydra.runtime.choices
    known = {setting: choices.get(setting) or OmegaConf.select(config, setting) for setting in conditions}
    typed = {override.get_key_element(): override.value() for override in fixed_overrides}
    return {setting: text(typed.get(setting, value)) for setting, value in known.items() if value is not None}


def _values(setting: str, search: Mapping[str, Any], parameters: Sequence[Parameter], current: Any) -> list[str]:
    """Return every value of a setting that is no group; empty if they cannot be listed."""
    drawn = [one for one in parameters if one.setting == setting and one.distribution is not None]
    if setting in search["space"]:  # the command line may have narrowed it
        drawn.append(parameter(setting, search["space"][setting], "search.space", grid=True))
    if not drawn:
        return ["true", "false"] if isinstance(current, bool) else []
    try:
        return list(dict.fromkeys(text(value) for one in drawn for value in one.values()))
    except ConfigError:  # an interval
        return []


def _meant(written: str, valid: Iterable[str]) -> str:
    close = difflib.get_close_matches(written, list(valid), 1)
    return f" (did you mean {close[0]}?)" if close else ""
