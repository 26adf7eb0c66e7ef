"""Instantiation of `_target_` groups, from trusted targets only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hydra.utils import execution_whitelist, instantiate

from prenda.errors import ConfigError


def trusted_targets() -> tuple[str, ...]:
    """What `_target_` may name. Code outside the package joins through $PRENDA_TRUSTED_TARGETS, never through a YAML.

    The variable holds Hydra whitelist entries separated by commas, for example `my_shop.backbones.*`.
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
    """Instantiates one group of the configuration, from trusted targets only.

    Raises:
        ValueError: If the group names an untrusted target, or holds a setting that its target does not know or accept.
    """
    with refused(settings, group), execution_whitelist(trusted_targets()):
        return instantiate(settings, *args, _convert_="all", **kwargs)


@contextmanager
def refused(settings: Mapping[str, Any], group: str) -> Iterator[None]:
    """Whatever goes wrong inside is told as an error of this group's settings.

    Raises:
        ValueError: The one that names a setting of the group, as it is; anything else with the group's name and help.
    """
    try:
        yield
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, ValueError) and str(cause).startswith(f"{group}."):
            raise ConfigError(str(cause)) from error
        reason = (str(cause) or type(cause).__name__).splitlines()[0]
        given = {key: value for key, value in settings.items() if not str(key).startswith("_")}
        hint = " Targets outside prenda must be listed in $PRENDA_TRUSTED_TARGETS." if "whitelist" in str(error) else ""
        raise ConfigError(
            f"{group}: {settings.get('_target_')} cannot be made from {given} "
            f"({reason}): correct its settings, or choose one of conf/{group.replace('.', '/')}.{hint}"
        ) from error
