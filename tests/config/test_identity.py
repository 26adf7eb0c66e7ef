from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from prenda.config.convert import as_yaml
from prenda.config.identity import (
    check_folder,
    check_version,
    configuration,
    describe_run,
    differences,
    fingerprint,
    make_run_name,
    parameters,
    run_name,
    target_name,
)
from prenda.config.schema import TrainConfig
from prenda.errors import ConfigError
from tests.conftest import configured

# As version 0.1.0 gave it, of the settings in the test.
FINGERPRINT = "d7c49ac688daa7f637d27a9e09ddd0a47eff2570acad160a0d0653238e034bee"


@pytest.fixture(scope="module")
def config() -> TrainConfig:
    """Settings of the default command."""
    return configured()


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ([], "cnn_batch_norm-fashion_mnist-seed0"),
        (["backbone=dense", "data=mnist", "seed=3"], "dense-mnist-seed3"),
        (["optimizer=sgd", "optimizer.lr=3e-3"], "cnn_batch_norm-fashion_mnist-optimizer=sgd-lr=3e-3-seed0"),
        (["backbone=dense", "backbone.units=[512, 128]"], "dense-fashion_mnist-units=[512,128]-seed0"),
        (
            ["tracking=offline", "report=none", "paths.home=/a", "trainer.threads=2", "data.memory_gb=1", "workers=2"],
            "cnn_batch_norm-fashion_mnist-seed0",
        ),
        (["trainer=ddp_cpu", "ema=0.9"], "cnn_batch_norm-fashion_mnist-trainer=ddp_cpu-ema=0.9-seed0"),
        (["trainer.deterministic=true"], "cnn_batch_norm-fashion_mnist-deterministic=true-seed0"),
        (["data.dir=my_photos", "init_from=shop"], "cnn_batch_norm-fashion_mnist-dir=my_photos-init_from=shop-seed0"),
        (["data.dir=/b/photos"], "cnn_batch_norm-fashion_mnist-dir=photos_4d7552-seed0"),
        (["paths.data=/b/photos"], "cnn_batch_norm-fashion_mnist-data=photos_4d7552-seed0"),
        (["augment.flip=0.5"], "cnn_batch_norm-fashion_mnist-augment.flip=0.5-seed0"),  # there is data.flip too
        (["init_from='a b'"], "cnn_batch_norm-fashion_mnist-init_from=ab-seed0"),
        (["++trainer.epochs=3", "report.level=none"], "cnn_batch_norm-fashion_mnist-epochs=3-seed0"),
        (["trainer.epochs=3"], "cnn_batch_norm-fashion_mnist-epochs=3-seed0"),
        (["trainer.profile=20"], "cnn_batch_norm-fashion_mnist-seed0"),
        (["trainer=profile"], "cnn_batch_norm-fashion_mnist-trainer=profile-seed0"),  # of one epoch
    ],
)
def test_a_run_is_named_by_what_differs(overrides, told):
    choices = {"backbone": "cnn_batch_norm"} | dict(o.split("=", 1) for o in overrides if o.startswith("backbone="))
    config = replace(configured(*overrides), choices=choices)
    assert make_run_name(config, overrides) == told


def test_an_experiment_gives_its_name(config):
    config = replace(config, choices={"backbone": "cnn", "experiment": "keras_cnn"}, seed=1)
    assert make_run_name(config, ["experiment=keras_cnn", "seed=1", "trainer.epochs=2"]) == "keras_cnn-epochs=2-seed1"
    assert make_run_name(config, ["backbone=dense", "data=mnist"]) == "keras_cnn-backbone=dense-data=mnist-seed1"


def test_overrides_of_hydra_are_in_no_name_and_unknown_ones_are(config):
    config = replace(config, choices={"backbone": "cnn"})
    hydra = ["hydra/launcher=ray", "hydra.sweep.dir=/a", "~hydra.x"]
    assert make_run_name(config, [*hydra, "+callbacks.mine.x=1"]) == "cnn-fashion_mnist-x=1-seed0"
    assert make_run_name(config, ["optimizer.unknown=2"]) == "cnn-fashion_mnist-unknown=2-seed0"
    home = Path.home() / "photos"
    assert make_run_name(config, ["data.dir=~/photos"]) == make_run_name(config, [f"data.dir={home}"])


def test_a_long_list_of_settings_is_cut_before_the_seed(config):
    config = replace(config, choices={"backbone": "dense"}, seed=1)
    one, other = (make_run_name(config, [f"backbone.units=[{','.join(['512'] * 80)},{last}]"]) for last in (1, 2))
    assert re.fullmatch("dense-fashion_mnist-[0-9a-f]{6}-seed1", one)
    assert one != other


def test_a_name_of_100_characters_is_whole(config):
    config = replace(config, choices={"backbone": "dense"})
    longest = f"init_from={'x' * (100 - len('dense-fashion_mnist-init_from='))}"
    assert make_run_name(config, [longest]) == f"dense-fashion_mnist-{longest}-seed0"
    assert re.fullmatch("dense-fashion_mnist-[0-9a-f]{6}-seed0", make_run_name(config, [f"{longest}x"]))
    cut = make_run_name(config, ["optimizer.lr=0.001", longest])
    assert re.fullmatch("dense-fashion_mnist-lr=0.001-[0-9a-f]{6}-seed0", cut)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("data.dir=/a/photos", "data.dir=/b/photos"),
        ("init_from=/a/best.ckpt", "init_from=/b/best.ckpt"),
        ("data.flip=0.5", "augment.flip=0.5"),
        ("trainer=cpu", "trainer=ddp_cpu"),
    ],
)
def test_runs_that_differ_have_different_names(one, other, config):
    config = replace(config, choices={"backbone": "cnn"})
    assert make_run_name(config, [one]) != make_run_name(config, [other])


def test_the_fingerprint_is_that_of_earlier_versions():
    """A new setting counts only where it differs from its default, and the results version from version 2 on."""
    config = configured("data=mnist", "backbone=dense", "optimizer=sgd", "scheduler=constant", "augment=none")
    assert fingerprint(replace(config, results_version=1)) == FINGERPRINT
    assert fingerprint(config) != FINGERPRINT
    assert fingerprint(configured("data=mnist", "callbacks=early_stopping")) != fingerprint(configured("data=mnist"))


@pytest.mark.parametrize(
    "override", ["data.dir=/a", "paths.home=/b", "trainer.threads=3", "tracking=offline", "workers=2"]
)
def test_the_fingerprint_leaves_out_what_does_not_change_the_result(override, config):
    assert fingerprint(configured(override)) == fingerprint(config)


def test_the_fingerprint_counts_images_by_their_content():
    config = configured("data.dir=/a")
    assert fingerprint(config, "abc") == fingerprint(configured("data.dir=/b"), "abc")
    assert fingerprint(config, "abc") != fingerprint(config, "abd")
    assert fingerprint(config, None) == fingerprint(config)


def test_runs_that_differ_in_their_seed_alone_have_one_configuration(config):
    assert configuration(replace(config, seed=1)) == configuration(config)
    assert configuration(replace(config, ema=0.9)) != configuration(config)
    assert configuration(config) != fingerprint(config)


def test_the_order_of_settings_does_not_matter(config):
    turned = replace(config, backbone=dict(reversed(config.backbone.items())))
    assert list(turned.backbone) != list(config.backbone)
    assert (fingerprint(turned), configuration(turned)) == (fingerprint(config), configuration(config))


def test_differences_name_three_settings_with_both_values():
    earlier = {"same": 0, "d": 4, "c": "x", "b": 1}
    assert differences(earlier, earlier) == ""
    assert differences(earlier, earlier | {"c": "y", "a": 2}) == "a: None recorded, 2 given; c: 'x' recorded, 'y' given"
    three = earlier | {"d": 5, "c": "y", "b": 2}
    texts = "b: 1 recorded, 2 now; c: 'x' recorded, 'y' now; d: 4 recorded, 5 now"
    assert differences(earlier, three, origin="now") == texts
    assert differences(earlier, three | {"e": 1, "f": 2}, origin="now") == f"{texts}; 2 more"
    assert differences(earlier, three, most=1) == "b: 1 recorded, 2 given; 2 more"


def test_a_folder_of_other_settings_or_another_version_is_refused(config, tmp_path: Path):
    for check in (lambda: check_version(tmp_path), lambda: check_folder(config, tmp_path)):
        check()  # a folder without a run
    path = tmp_path / "config.yaml"
    path.write_text(as_yaml(replace(config, seed=1)))
    check_version(tmp_path)
    with pytest.raises(ConfigError) as raised:
        check_folder(config, tmp_path)
    assert str(raised.value) == (
        f"{tmp_path} holds a run of other settings (seed: 1 recorded, 0 given): give another folder, or the settings "
        "that it was started with."
    )
    tracking = replace(config.tracking, command="prenda train seed=1")
    path.write_text(as_yaml(replace(config, results_version=1, tracking=tracking)))
    with pytest.raises(ConfigError) as raised:
        check_version(tmp_path)
    assert str(raised.value) == (
        f"{tmp_path} holds a run of results version 1, but this prenda has results version 2, whose training differs: "
        "train the run again in another folder (prenda train seed=1), or resume it with the prenda that started it. "
        "`prenda evaluate` and `prenda export` take its checkpoints as they are."
    )


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("prenda.backbones.cnn.ConvNet", "cnn"),
        ("prenda.optimizers.AdamW", "adamw"),
        ("torch.optim.SGD", "sgd"),
        ("mine.backbones.nets.Deep", "deep"),
    ],
)
def test_a_target_has_a_short_name(target, name):
    assert target_name({"_target_": target}) == name


def test_a_run_is_recorded_by_its_choices_and_settings(config):
    chosen = {"backbone": "cnn_batch_norm", "augment": "none", "search": "seeds", "search/sampler": "tpe"}
    recorded = parameters(replace(config, choices=chosen, callbacks={"early": {"_target_": "mine.Early", "x": 1}}))
    assert recorded["callbacks.early.x"] == 1
    assert list(recorded.items())[:3] == [
        ("backbone", "cnn_batch_norm"), ("data", "fashion_mnist"), ("augment", "none"),
    ]  # fmt: skip
    assert parameters(config)["backbone"] == "cnn"
    assert recorded["optimizer.lr"] == config.optimizer["lr"]
    assert recorded["seed"] == 0
    groups = {name.partition(".")[0] for name in recorded}
    assert groups.isdisjoint({"paths", "tracking", "search", "search/sampler", "workers", "choices"})
    assert not any(name.rpartition(".")[2].startswith("_") for name in recorded)


def test_a_run_is_described_by_name_and_tags(config):
    described = describe_run(replace(config, seed=3))
    assert described.name == "cnn-fashion_mnist-seed3"
    assert described.parameters == parameters(replace(config, seed=3))
    assert described.tags == {
        "backbone": "cnn", "data": "fashion_mnist", "seed": "3", "prenda.configuration": configuration(config),
    }  # fmt: skip
    assert run_name(replace(config, choices={"backbone": "cnn_batch_norm"})) == "cnn_batch_norm-fashion_mnist-seed0"
    assert run_name(replace(config, tracking=replace(config.tracking, run_name="mine"))) == "mine"
