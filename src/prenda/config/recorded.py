"""Recorded configurations, from a run's folder or a checkpoint, possibly of another version of prenda."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from prenda.config.convert import flatten, typed
from prenda.config.instantiate import check_target
from prenda.config.schema import BUILT, TrainConfig
from prenda.errors import ConfigError, UserError

TYPED = ("command", "run_name")  # settings of `tracking` with texts of the command line


def load(path: Path) -> TrainConfig:
    """Read a run's config.yaml.

    Raises:
        ConfigError: If the file is damaged, or this version cannot read what it holds.
    """
    try:
        content = OmegaConf.load(path)
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        if (
            isinstance(error, OSError) and error.errno is not None
        ):  # OmegaConf raises one without errno for a lone scalar
            raise
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} is damaged ({reason}): restore the file as the run wrote it.") from error
    return restore(content, str(path))


def restore(content: Any, source: str) -> TrainConfig:
    """Return a recorded configuration with the types and defaults of this version.

    Args:
        content: The recorded settings, in plain types.
        source: Where they were recorded, for the text of an error.

    Raises:
        ConfigError: If this version cannot read it.
    """
    if not isinstance(content, dict | DictConfig):
        raise ConfigError(other_version(source, f"its configuration is {content!r}, where settings should be"))
    try:
        versioned = OmegaConf.merge({"results_version": 1}, content)  # version 1 recorded none
        plain = OmegaConf.to_container(versioned, resolve=False)
        assert isinstance(plain, dict)
        config = typed(_without_references(plain))
        for group in BUILT:
            check_target(getattr(config, group), group)
    except (OmegaConfBaseException, UserError) as error:
        raise ConfigError(other_version(source, _reason(error))) from error
    return config


def _without_references(content: dict[Any, Any]) -> dict[Any, Any]:
    """Return recorded settings in which nothing is looked up: a `${oc.env:…}` of others could tell them a secret.

    A run records what its settings refer to. Only its command, and the name made from it, are kept as typed.

    Raises:
        ConfigError: If a setting has a reference.
    """
    tracking = content.get("tracking")
    if isinstance(tracking, dict):
        typed_texts = {name: tracking[name] for name in TYPED if isinstance(tracking.get(name), str)}
        literal = {name: text.replace("${", r"\${") for name, text in typed_texts.items()}
        content = {**content, "tracking": {**tracking, **literal}}
    for name, value in flatten(content).items():
        if name.removeprefix("tracking.") not in TYPED and "${" in str(value):
            raise ConfigError(f"its {name} has a reference (${{…}}), where a run records a value")
    return content


def other_version(source: str, reason: str) -> str:
    """Return the text of an error about a record that this version cannot read."""
    return (
        f"{source} was made by another version of prenda: {reason}. Use the version that made it, which the run's "
        "environment.txt names, or train the run again."
    )


def _reason(error: Exception) -> str:
    match error:
        case ConfigKeyError() | ConfigAttributeError():
            return f"it has the setting {error.full_key}, which this version does not know"
        case MissingMandatoryValue():
            return f"it lacks the setting {error.full_key}"
        case ValidationError() if error.full_key:
            return f"its {error.full_key} is {error.value!r}, which this version does not accept"
        case UserError():  # without its advice, which is about a command's settings
            return str(error).partition(":")[0]
    return str(error).splitlines()[0].removesuffix(".")
