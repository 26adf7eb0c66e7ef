"""Instantiation of `_target_` groups, from trusted targets only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import execution_whitelist, instantiate

from prenda.errors import ConfigError, UserError

# Packages whose classes raise TypeError and RuntimeError for a setting of a wrong type or size.
_KNOWN = ("prenda.", "torch.", "optuna.")


def trusted_targets() -> tuple[str, ...]:
    """Return the patterns that `_target_` may match.

    Code outside the package is trusted through $PRENDA_TRUSTED_TARGETS only, never through a YAML file. The variable
    holds Hydra whitelist entries separated by commas, for example `my_shop.backbones.*`.
    """
    own = (
        "prenda.backbones.*",
        "prenda.optimizers.*",
        "prenda.schedules.*",
        "prenda.training.callbacks.*",
        "pytorch_lightning.callbacks.*",
        "torch.optim.*",
        "optuna.samplers.*",
        "optuna.pruners.*",
    )
    extra = os.environ.get("PRENDA_TRUSTED_TARGETS", "")
    return own + tuple(entry.strip() for entry in extra.split(",") if entry.strip())


def build(settings: Mapping[str, Any], group: str, *args: Any, **kwargs: Any) -> Any:
    """Instantiate one group of the configuration, from trusted targets only.

    Raises:
        ConfigError: If the group names an untrusted target, or has a setting that its target does not accept.
    """
    check_target(settings, group)
    with refused(settings, group), execution_whitelist(trusted_targets()):
        return instantiate(settings, *args, _convert_="all", **kwargs)


def check_target(settings: Mapping[str, Any], group: str) -> None:
    """Raise ConfigError for a group without `_target_`, such as `~backbone` leaves."""
    if not settings.get("_target_"):
        folder = _folder(group)
        raise ConfigError(f"{group} has no _target_: choose a file of {folder} by {folder.removeprefix('conf/')}=NAME.")


@contextmanager
def refused(settings: Mapping[str, Any], group: str) -> Iterator[None]:
    """Turn errors of a group's target, raised while it is built, into errors of the group's settings.

    torch raises TypeError and RuntimeError for invalid settings too. They count as errors of the settings if the class
    is from prenda, torch or Optuna. In a user's own class they are more likely a bug, and keep their traceback. So does
    every other kind of error.

    Raises:
        ConfigError: With the text of the class if it names a setting; else with the group's name, settings and help.
    """
    try:
        yield
    except UserError as error:
        error.__notes__ = [note for note in getattr(error, "__notes__", []) if not note.startswith("full_key:")]
        raise
    except InstantiationException as error:  # from Hydra: the target is not trusted, or cannot be imported
        raise ConfigError(_not_imported(group, _target(settings), error)) from error
    except (ValueError, TypeError, RuntimeError) as error:
        text, target = str(error), _target(settings)
        if isinstance(error, ValueError) and text.startswith(f"{group}."):
            raise ConfigError(text) from error
        message = _signature_refused(settings, group, text) if isinstance(error, TypeError) else None
        if message is None and not isinstance(error, ValueError) and not target.startswith(_KNOWN):
            raise
        raise ConfigError(message or _wrong_settings(settings, group, error)) from error


def _folder(group: str) -> str:
    """Return the folder of the group's files; a callback has a name of its own below its group."""
    return "conf/callbacks" if group.startswith("callbacks.") else f"conf/{group.replace('.', '/')}"


def _target(settings: Mapping[str, Any]) -> str:
    return str(settings.get("_target_"))


def _signature_refused(settings: Mapping[str, Any], group: str, text: str) -> str | None:
    """Name the setting that the target does not accept or lacks; return None for a call inside it, which is its bug."""
    target = _target(settings)
    unknown = re.search(r"got an unexpected keyword argument '(\w+)'", text)
    if unknown and unknown[1] in settings:
        return (
            f"{group}.{unknown[1]} is {settings[unknown[1]]!r}, but {target} takes no such setting: leave it out, or "
            f"choose one of {_folder(group)}."
        )
    missing = re.search(r"missing \d+ required .*arguments?: (.+)", text)
    if missing and text.startswith(target.rpartition(".")[2]):
        return f"{group} lacks settings that {target} needs ({missing[1]}): give each by +{group}.SETTING=VALUE."
    return None


def _wrong_settings(settings: Mapping[str, Any], group: str, error: Exception) -> str:
    own_settings = {key: value for key, value in settings.items() if not str(key).startswith("_")}
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return (
        f"{group}: {_target(settings)} cannot be made from {own_settings} ({reason}): correct its settings, or choose "
        f"one of {_folder(group)}."
    )


def _not_imported(group: str, target: str, error: InstantiationException) -> str:
    missing, text = error.__cause__, str(error)
    if "_execution_whitelist_ must" in text:
        return f"{group}._execution_whitelist_ is no setting: leave it out."
    named, inside = re.search(r"[Tt]arget '([^']+)'", text), re.search(r"^full_key: (.+)$", text, re.M)
    if named and inside:  # a target in a setting of the group's own
        group, target = f"{group}.{inside[1]}", named[1]
    if not isinstance(missing, ImportError):
        return (
            f"{group}._target_ is {target}, which is not trusted: choose one of {_folder(group)}. "
            "Targets outside prenda must be listed in $PRENDA_TRUSTED_TARGETS."
        )
    reason = missing.__cause__ or missing
    if isinstance(reason, ModuleNotFoundError) and target.startswith(f"{reason.name}."):
        return (
            f"{group}._target_ is {target}, but the module {reason.name} was not found: it must be importable. Put its "
            "folder on $PYTHONPATH, or install its package."
        )
    return (
        f"{group}._target_ is {target}, which cannot be imported ({type(reason).__name__}: {reason}): "
        f"`python -c 'import {target.rpartition('.')[0]}'` must work, and the module must define "
        f"{target.rpartition('.')[2]}."
    )
