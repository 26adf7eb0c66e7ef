"""The configuration reference knows every setting that `prenda train --cfg job` prints."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from prenda.config.paths import REPOSITORY

REFERENCE = REPOSITORY / "docs" / "reference" / "configuration.md"
OWN_TABLES = {"backbone", "optimizer", "scheduler"}  # their settings depend on the file that is chosen


def test_the_reference_names_every_setting(prenda):
    printed = prenda("train", "--cfg", "job")
    assert printed.returncode == 0, printed.stderr
    config = OmegaConf.create(printed.stdout)
    assert isinstance(config, DictConfig)
    names = []
    for group, node in config.items():
        if group not in OWN_TABLES | {"choices"}:
            names += [f"{group}.{setting}" for setting in node] if isinstance(node, DictConfig) else [group]
    text = REFERENCE.read_text(encoding="utf-8")
    assert len(names) > 50
    assert [name for name in names if f"`{name}`" not in text] == []
