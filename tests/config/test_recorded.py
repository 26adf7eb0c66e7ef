from __future__ import annotations

from typing import Any

import pytest
import yaml

from prenda.config import recorded
from prenda.config.convert import as_plain, as_yaml
from prenda.config.schema import RESULTS_VERSION, Normalize
from prenda.errors import ConfigError
from tests.conftest import configured


def changed(setting: str, value: object) -> dict[str, Any]:
    """What a run recorded, with one setting as no run of this version records it."""
    kept = as_plain(configured("data=generated"))
    group, _, name = setting.rpartition(".")
    (kept[group] if group else kept)[name] = value
    return kept


def test_what_a_run_wrote_comes_back_with_its_types(tmp_path):
    config = configured("data=generated", "optimizer.lr=1e-3")
    (tmp_path / "config.yaml").write_text(as_yaml(config))
    back = recorded.load(tmp_path / "config.yaml")
    assert as_plain(back) == as_plain(config)
    assert back.data.normalize is Normalize.standard


def test_settings_that_came_later_take_their_defaults():
    plain = changed("seed", 3)
    del plain["mirrored_scoring"]
    assert recorded.restore(plain, "a run").mirrored_scoring is False


def test_a_run_without_results_version_is_of_the_first(tmp_path):
    config = configured("data=generated")
    plain = as_plain(config)
    assert recorded.restore(plain, "a run").results_version == RESULTS_VERSION
    del plain["results_version"]
    assert recorded.restore(plain, "a run").results_version == 1
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(plain))
    assert recorded.load(tmp_path / "config.yaml").results_version == 1


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        (changed("data.colour", 3), "it has the setting data.colour, which this version does not know"),
        (changed("nothing", 3), "it has the setting nothing, which this version does not know"),
        (changed("trainer.epochs", "many"), "its trainer.epochs is 'many', which this version does not accept"),
        (changed("data", {}), "it lacks the setting data.name"),
        (changed("backbone", {}), "backbone has no _target_"),
        (changed("trainer", 5), "Merge error: int is not a subclass of TrainerConfig. value: 5"),
        ({}, "it lacks the setting data.name"),
        (None, "its configuration is None, where settings should be"),
        ("text", "its configuration is 'text', where settings should be"),
    ],
)
def test_what_this_version_cannot_read_is_refused_by_name(kept, reason):
    with pytest.raises(ConfigError) as error:
        recorded.restore(kept, "a.ckpt")
    assert str(error.value).startswith(f"a.ckpt was made by another version of prenda: {reason}. Use the version that")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"seed: [1", "while parsing a flow sequence"),
        (b"seed: \xff", "invalid start byte"),
        (b"3", "Invalid loaded object type: int"),
    ],
)
def test_a_damaged_file_is_told(content, reason, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        recorded.load(path)
    assert str(error.value).startswith(f"{path} is damaged (")
    assert reason in str(error.value)
    assert str(error.value).endswith("): restore the file as the run wrote it.")


def test_a_file_that_is_not_there_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        recorded.load(tmp_path / "config.yaml")
