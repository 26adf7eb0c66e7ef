"""Configurations as dictionaries, lists and scalars."""

from __future__ import annotations

from typing import Any, cast

from omegaconf import DictConfig, OmegaConf


def as_plain(config: DictConfig) -> dict[str, Any]:
    """The resolved configuration as dictionaries, lists and scalars."""
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True, enum_to_str=True)
    return cast(dict[str, Any], plain)


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`; lists stay whole."""
    if not isinstance(tree, dict) or not tree:
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat
