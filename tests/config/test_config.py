from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, ValidationError

from prenda.config import paths
from prenda.config.convert import as_plain, as_yaml, flatten, typed
from prenda.config.identity import check_folder, fingerprint
from prenda.config.instantiate import build, trusted_targets
from prenda.config.paths import CONFIG_DIR, home
from prenda.config.validation import check
from prenda.data.datamodule import from_config
from tests.conftest import configured

GROUPS = sorted(path.relative_to(CONFIG_DIR) for path in CONFIG_DIR.glob("*/*.yaml"))
PARTS = sorted(path.relative_to(CONFIG_DIR) for path in CONFIG_DIR.glob("*/*/*.yaml"))


@pytest.mark.parametrize("path", GROUPS, ids=str)
def test_every_file_composes_and_builds(path: Path):
    group, name = path.parts[0], path.stem
    config = configured("data=generated", f"{group}={name}")
    check(config)
    from_config(config.data, config.augment)
    network = build(config.backbone, "backbone", image_shape=(1, 32, 32), num_classes=10)
    optimizer = build(config.optimizer, "optimizer")(network.parameters())
    build(config.scheduler, "scheduler")(optimizer, 10)


@pytest.mark.parametrize("path", [Path("train.yaml"), *GROUPS, *PARTS], ids=str)
def test_every_file_opens_with_a_comment(path: Path):
    assert (CONFIG_DIR / path).read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize(("data", "flip"), [("fashion_mnist", 0.5), ("mnist", 0.0), ("kmnist", 0.0)])
def test_characters_are_not_mirrored_unless_asked(data, flip):
    assert configured(f"data={data}").augment.flip == flip
    assert configured(f"data={data}", "augment.flip=0.3").augment.flip == 0.3
    assert configured(f"data={data}", "augment=none").augment.flip == 0


def test_a_wrong_type_or_key_is_refused():
    with pytest.raises(ConfigCompositionException, match=r"Error merging override trainer.epochs=abc") as error:
        configured("trainer.epochs=abc")
    assert "Value 'abc' of type 'str' could not be converted to Integer" in str(error.value.__cause__)
    with pytest.raises(ConfigCompositionException, match=r"Error merging override trainer.profile=some"):
        configured("trainer.profile=some")
    plain = as_plain(configured())
    with pytest.raises(ConfigKeyError, match="epohcs"):
        typed(plain | {"trainer": {"epohcs": 3}})
    with pytest.raises(ValidationError, match=r"normalize|standard"):
        typed(plain | {"data": {"normalize": "none"}})


def test_a_configuration_is_frozen_and_converts_back_unchanged():
    config = configured("backbone=dense", "data=mnist", "seed=3")
    with pytest.raises(FrozenInstanceError):
        config.trainer.epochs = 3
    assert typed(as_plain(config)) == config
    assert typed(OmegaConf.create(as_yaml(config))) == config


def test_an_untrusted_target_is_never_called(tmp_path, monkeypatch):
    config = configured("backbone._target_=os.mkdir")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match=r"backbone._target_ is os.mkdir, which is not trusted: .* listed in \$PRENDA_TRUSTED_TARGETS"
    ):
        build(config.backbone, "backbone", image_shape=(1, 28, 28), num_classes=10)
    assert not list(tmp_path.iterdir())


def test_an_unknown_setting_of_a_target_is_told_with_its_group():
    config = configured("+backbone.depth=3")
    with pytest.raises(
        ValueError, match=r"backbone.depth is 3, but prenda.backbones.cnn.ConvNet takes no such setting"
    ):
        build(config.backbone, "backbone", image_shape=(1, 28, 28), num_classes=10)


def test_trust_is_extended_by_the_environment_alone(monkeypatch):
    monkeypatch.setenv("PRENDA_TRUSTED_TARGETS", "my_shop.backbones.*, my_shop.Optimizer")
    assert trusted_targets()[-2:] == ("my_shop.backbones.*", "my_shop.Optimizer")


def test_home_is_the_environment_then_the_checkout_then_here(monkeypatch, tmp_path):
    assert home() == (tmp_path / "home").resolve()
    monkeypatch.delenv("PRENDA_HOME")
    assert home() == paths.REPOSITORY
    monkeypatch.setattr(paths, "CONFIG_DIR", paths.PACKAGE / "conf")
    monkeypatch.chdir(tmp_path)
    assert home() == tmp_path


def test_flatten_joins_names_with_dots():
    assert flatten({"a": {"b": 1, "c": {}}, "d": [1, {"e": 2}]}) == {"a.b": 1, "a.c": {}, "d": [1, {"e": 2}]}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Of a run with the settings of the default command."""
    (tmp_path / "config.yaml").write_text(as_yaml(configured()))
    return tmp_path


@pytest.mark.parametrize(
    "override",
    ["tracking=offline", "report=none", "paths.home=/a", "data.dir=/b", "trainer.threads=3", "trainer.profile=20"],
)
def test_a_runs_folder_takes_settings_that_do_not_change_its_result(override, folder):
    check_folder(configured(override), folder)


@pytest.mark.parametrize(
    "override", ["seed=1", "optimizer.lr=0.1", "backbone=dense", "trainer.epochs=3", "data.split_seed=1", "ema=0.9"]
)
def test_a_runs_folder_refuses_other_settings_by_name(override, folder):
    with pytest.raises(ValueError, match=rf"holds a run of other settings \(.*{override.split('=')[0]}"):
        check_folder(configured(override), folder)


def test_the_store_is_that_of_mlflows_variable_unless_another_is_chosen(tmp_path, monkeypatch):
    own = (f"sqlite:///{tmp_path}/home/mlruns/mlflow.db", f"{tmp_path}/home/mlruns/artifacts")

    def store(*overrides: str) -> tuple[str | None, str | None]:
        tracking = configured(*overrides).tracking
        return tracking.uri, tracking.artifacts

    before = fingerprint(configured())
    assert store() == own
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert store() == ("http://127.0.0.1:9", None)
    assert store("tracking=local") == own
    assert store("tracking.uri=http://other") == ("http://other", None)
    assert fingerprint(configured()) == before
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert store() == (f"sqlite:///{Path.cwd()}/other.db", own[1])
    assert typed(as_plain(configured())).tracking.uri == f"sqlite:///{Path.cwd()}/other.db"
