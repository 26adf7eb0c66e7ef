from __future__ import annotations

from dataclasses import replace

import pytest

from prenda.config.identity import fingerprint, make_run_name
from tests.conftest import configured

# As version 0.1.0 gave it, of the settings in the test.
FINGERPRINT = "d7c49ac688daa7f637d27a9e09ddd0a47eff2570acad160a0d0653238e034bee"


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
        (["trainer.epochs=3"], "cnn_batch_norm-fashion_mnist-epochs=3-seed0"),
        (["trainer.profile=20"], "cnn_batch_norm-fashion_mnist-seed0"),
        (["trainer=profile"], "cnn_batch_norm-fashion_mnist-trainer=profile-seed0"),  # of one epoch
    ],
)
def test_a_run_is_named_by_what_differs(overrides, told):
    choices = {"backbone": "cnn_batch_norm"} | dict(o.split("=", 1) for o in overrides if o.startswith("backbone="))
    config = replace(configured(*overrides), choices=choices)
    assert make_run_name(config, overrides) == told


def test_an_experiment_gives_its_name():
    config = replace(configured("seed=1"), choices={"backbone": "cnn", "experiment": "keras_cnn"})
    assert make_run_name(config, ["experiment=keras_cnn", "seed=1", "trainer.epochs=2"]) == "keras_cnn-epochs=2-seed1"


def test_a_long_list_of_settings_is_cut_before_the_seed():
    config = replace(configured("seed=1"), choices={"backbone": "dense"})
    one, other = (make_run_name(config, [f"backbone.units=[{','.join(['512'] * 80)},{last}]"]) for last in (1, 2))
    assert len(one) < 120
    assert one != other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("data.dir=/a/photos", "data.dir=/b/photos"),
        ("init_from=/a/best.ckpt", "init_from=/b/best.ckpt"),
        ("data.flip=0.5", "augment.flip=0.5"),
        ("trainer=cpu", "trainer=ddp_cpu"),
    ],
)
def test_runs_that_differ_have_different_names(one, other):
    config = replace(configured(), choices={"backbone": "cnn"})
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
def test_the_fingerprint_leaves_out_what_does_not_change_the_result(override):
    assert fingerprint(configured(override)) == fingerprint(configured())


def test_the_fingerprint_counts_images_by_their_content():
    config = configured("data.dir=/a")
    assert fingerprint(config, "abc") == fingerprint(configured("data.dir=/b"), "abc")
    assert fingerprint(config, "abc") != fingerprint(config, "abd")
    assert fingerprint(config, None) == fingerprint(config)
