"""Conversion of configurations: composed by Hydra, typed, and in plain types for files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from prenda.config.paths import home
from prenda.config.schema import TrainConfig, composition_schema
from prenda.system.redaction import set_apart
from prenda.system.sqlite_address import artifact_folder, mlflow_address, sqlite_address


def register() -> None:
    """Make the schema and prenda's resolvers known to Hydra; may be called again."""
    OmegaConf.register_resolver("prenda.home", lambda: str(home()), replace=True)
    OmegaConf.register_resolver("prenda.sqlite", sqlite_address, replace=True)
    OmegaConf.register_resolver("prenda.store", mlflow_address, replace=True)
    OmegaConf.register_resolver("prenda.artifacts", artifact_folder, replace=True)
    # For searches over the number of layers and their width.
    OmegaConf.register_resolver("prenda.repeat", lambda width, depth: [width] * depth, replace=True)
    OmegaConf.register_resolver(
        "prenda.double", lambda width, depth: [width * 2**stage for stage in range(depth)], replace=True
    )
    ConfigStore.instance().store(name="train_schema", node=composition_schema(), replace=True)


def typed(config: DictConfig | Mapping[str, Any]) -> TrainConfig:
    """Return a composed or recorded configuration as typed, frozen dataclasses, resolved.

    The passwords of its addresses are set apart: no configuration holds one.

    Raises:
        OmegaConfBaseException: If a setting is unknown, missing or of another type.
    """
    if not OmegaConf.has_resolver("prenda.home"):  # a recorded configuration may be the first one in this process
        register()
    # Plain first: a node that Hydra composed onto the schema would add settings of its own.
    plain = OmegaConf.to_container(config, resolve=True) if isinstance(config, DictConfig) else config
    merged = OmegaConf.merge(composition_schema(), plain)
    result = OmegaConf.to_object(merged)
    assert isinstance(result, TrainConfig)
    return _without_passwords(result)


def _without_passwords(config: TrainConfig) -> TrainConfig:
    uri, storage = config.tracking.uri, config.search.storage
    return replace(
        config,
        tracking=replace(config.tracking, uri=uri and set_apart(uri)),
        search=replace(config.search, storage=storage and set_apart(storage)),
    )


def as_yaml(config: TrainConfig) -> str:
    """Return the text of a run's `config.yaml`."""
    return OmegaConf.to_yaml(OmegaConf.create(as_plain(config)))


def as_plain(config: TrainConfig) -> dict[str, Any]:
    """Return the configuration as dictionaries, lists and scalars."""
    plain = _without_enums(asdict(config))
    assert isinstance(plain, dict)
    return plain


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Return `{"a": {"b": 1}}` as `{"a.b": 1}`; lists stay whole."""
    if not isinstance(tree, dict) or not tree:
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _without_enums(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _without_enums(value) for key, value in tree.items()}
    return tree.name if isinstance(tree, Enum) else tree
